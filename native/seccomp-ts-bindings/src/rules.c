#include "filter.h"

#include <string.h>

#include "values.h"

#define MAX_ARGS      6
#define WORDS_PER_ARG 4

/* Comparators arrive as a BigUint64Array of (index, operator, datum, second datum). */
static bool to_comparators(napi_env env, napi_value value, struct scmp_arg_cmp *ret_comparators,
			   unsigned int *ret_count)
{
	napi_typedarray_type type = napi_int8_array;
	bool is_array = false;
	size_t length = 0;
	void *data = NULL;
	uint64_t words[MAX_ARGS * WORDS_PER_ARG] = { 0 };

	if (napi_is_typedarray(env, value, &is_array) != napi_ok || !is_array)
		return false;
	if (napi_get_typedarray_info(env, value, &type, &length, &data, NULL, NULL) != napi_ok)
		return false;
	if (type != napi_biguint64_array || length % WORDS_PER_ARG != 0 || length > MAX_ARGS * WORDS_PER_ARG)
		return false;
	/* Copied once: another thread may write to a shared buffer. */
	if (length > 0)
		memcpy(words, data, length * sizeof(words[0]));
	for (size_t i = 0; i < length / WORDS_PER_ARG; i++) {
		const uint64_t *word = &words[i * WORDS_PER_ARG];

		if (word[0] >= MAX_ARGS || word[1] <= _SCMP_CMP_MIN || word[1] >= _SCMP_CMP_MAX)
			return false;
		ret_comparators[i] = (struct scmp_arg_cmp){
			.arg = (unsigned int)word[0],
			.op = (enum scmp_compare)word[1],
			.datum_a = word[2],
			.datum_b = word[3],
		};
	}
	*ret_count = (unsigned int)(length / WORDS_PER_ARG);
	return true;
}

napi_value filter_add_rule(napi_env env, napi_callback_info info)
{
	napi_value arguments[4] = { NULL };
	struct scmp_arg_cmp comparators[MAX_ARGS] = { { 0 } };
	struct filter *filter;
	unsigned int count = 0;
	uint32_t action = 0;
	bool exact = false;
	int syscall_nr = 0, result;

	filter = filter_of_call(env, info, 4, arguments);
	if (filter == NULL)
		return NULL;
	if (!to_u32(env, arguments[0], &action))
		return throw_type_error(env, "the action must be an unsigned 32-bit integer");
	if (!to_i32(env, arguments[1], &syscall_nr))
		return throw_type_error(env, "the system call number must be a 32-bit integer");
	if (!to_comparators(env, arguments[2], comparators, &count))
		return throw_type_error(env, "the comparators must be at most 6 groups of 4 unsigned 64-bit integers");
	if (napi_get_value_bool(env, arguments[3], &exact) != napi_ok)
		return throw_type_error(env, "exact must be a boolean");
	result = exact ? seccomp_rule_add_exact_array(filter->ctx, action, syscall_nr, count, comparators)
		       : seccomp_rule_add_array(filter->ctx, action, syscall_nr, count, comparators);
	if (result == 0)
		account_rule(env, filter, count);
	return from_int(env, result);
}
