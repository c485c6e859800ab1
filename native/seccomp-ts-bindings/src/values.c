#include "values.h"

#include <math.h>
#include <string.h>

napi_value throw_type_error(napi_env env, const char *message)
{
	bool pending = false;

	/* A getter or a failed call may already have thrown: the first error stands. */
	(void)napi_is_exception_pending(env, &pending);
	if (!pending)
		(void)napi_throw_type_error(env, NULL, message);
	return NULL;
}

napi_value from_int(napi_env env, int value)
{
	napi_value result = NULL;

	(void)napi_create_int32(env, value, &result);
	return result;
}

napi_value from_u32(napi_env env, uint32_t value)
{
	napi_value result = NULL;

	(void)napi_create_uint32(env, value, &result);
	return result;
}

napi_value from_u64(napi_env env, uint64_t value)
{
	napi_value result = NULL;

	(void)napi_create_bigint_uint64(env, value, &result);
	return result;
}

napi_value from_pair(napi_env env, napi_value first, napi_value second)
{
	napi_value pair = NULL;

	if (napi_create_array_with_length(env, 2, &pair) != napi_ok)
		return NULL;
	(void)napi_set_element(env, pair, 0, first);
	(void)napi_set_element(env, pair, 1, second);
	return pair;
}

napi_value from_null(napi_env env)
{
	napi_value result = NULL;

	(void)napi_get_null(env, &result);
	return result;
}

bool to_integer(napi_env env, napi_value value, double min, double max, int64_t *ret_integer)
{
	double number = 0;

	if (napi_get_value_double(env, value, &number) != napi_ok)
		return false;
	if (!(number >= min && number <= max) || floor(number) != number)
		return false;
	*ret_integer = (int64_t)number;
	return true;
}

bool to_u32(napi_env env, napi_value value, uint32_t *ret_number)
{
	int64_t integer = 0;

	if (!to_integer(env, value, 0, UINT32_MAX, &integer))
		return false;
	*ret_number = (uint32_t)integer;
	return true;
}

bool to_i32(napi_env env, napi_value value, int *ret_number)
{
	int64_t integer = 0;

	if (!to_integer(env, value, INT32_MIN, INT32_MAX, &integer))
		return false;
	*ret_number = (int)integer;
	return true;
}

bool to_u64(napi_env env, napi_value value, uint64_t *ret_number)
{
	bool lossless = false;

	return napi_get_value_bigint_uint64(env, value, ret_number, &lossless) == napi_ok && lossless;
}

bool to_i64(napi_env env, napi_value value, int64_t *ret_number)
{
	bool lossless = false;

	return napi_get_value_bigint_int64(env, value, ret_number, &lossless) == napi_ok && lossless;
}

bool to_name(napi_env env, napi_value value, char ret_name[static NAME_SIZE])
{
	size_t length = 0;

	if (napi_get_value_string_utf8(env, value, ret_name, NAME_SIZE, &length) != napi_ok)
		return false;
	/* Too long was cut at the end of the buffer; an embedded NUL would resolve only what stands before it. */
	if (length >= NAME_SIZE - 1 || strlen(ret_name) != length)
		ret_name[0] = '\0';
	return true;
}

bool get_arguments(napi_env env, napi_callback_info info, size_t count, napi_value *ret_arguments, napi_value *ret_this)
{
	size_t given = count;

	return napi_get_cb_info(env, info, &given, ret_arguments, ret_this, NULL) == napi_ok;
}
