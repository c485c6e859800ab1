/*
 * Node-API over libseccomp, as thin as it can be: every function takes checked plain values and returns what libseccomp
 * returned (0 or negative errno); index.js turns that into typed results and errors.
 *
 * Nothing that JavaScript passes may crash the process: `this` is checked by type tag, numbers for range and integrality,
 * strings for length and embedded NUL, and libseccomp only ever sees a live filter context.
 */
#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <node_api.h>
#include <seccomp.h>

#include "library.h"
#include "values.h"

#define MAX_ARGS      6
#define WORDS_PER_ARG 4

/* seccomp_init's context; NULL once released or merged into another. */
struct filter {
	scmp_filter_ctx ctx;
};

/* Marks our own objects, so that a method borrowed for another object throws instead of reading its memory. */
static const napi_type_tag filter_tag = { 0x9d1c5b0e6f0a4c7dULL, 0xa3b1f58e27cc4190ULL };

static bool unwrap(napi_env env, napi_value object, struct filter **ret_filter)
{
	bool ours = false;
	void *data = NULL;

	if (napi_check_object_type_tag(env, object, &filter_tag, &ours) != napi_ok || !ours)
		return false;
	if (napi_unwrap(env, object, &data) != napi_ok)
		return false;
	*ret_filter = data;
	return true;
}

/* The live filter behind `this`, or NULL with an exception pending. */
static struct filter *this_filter(napi_env env, napi_value self)
{
	struct filter *filter = NULL;

	if (!unwrap(env, self, &filter)) {
		throw_type_error(env, "not a filter");
		return NULL;
	}
	if (filter->ctx == NULL) {
		throw_type_error(env, "the filter was released");
		return NULL;
	}
	return filter;
}

static void free_filter(napi_env env, void *data, void *hint)
{
	struct filter *filter = data;

	(void)env;
	(void)hint;
	if (filter->ctx != NULL)
		seccomp_release(filter->ctx);
	free(filter);
}

/* new NativeFilter(defaultAction): throws a TypeError on a value that is no u32; an unknown action leaves `valid` false. */
static napi_value filter_new(napi_env env, napi_callback_info info)
{
	napi_value argument = NULL, self = NULL, target = NULL;
	struct filter *filter;
	uint32_t action = 0;

	if (!get_arguments(env, info, 1, &argument, &self))
		return NULL;
	if (napi_get_new_target(env, info, &target) != napi_ok || target == NULL)
		return throw_type_error(env, "a filter is made with new");
	if (!to_u32(env, argument, &action))
		return throw_type_error(env, "the default action must be an unsigned 32-bit integer");
	filter = calloc(1, sizeof(*filter));
	if (filter == NULL)
		return throw_type_error(env, "out of memory");
	filter->ctx = seccomp_init(action);
	if (napi_wrap(env, self, filter, free_filter, NULL, NULL) != napi_ok) {
		free_filter(env, filter, NULL);
		return throw_type_error(env, "cannot wrap the filter");
	}
	if (napi_type_tag_object(env, self, &filter_tag) != napi_ok)
		return throw_type_error(env, "cannot tag the filter");
	return self;
}

/* valid(): whether seccomp_init accepted the default action and the context still lives. */
static napi_value filter_valid(napi_env env, napi_callback_info info)
{
	napi_value self = NULL, result = NULL;
	struct filter *filter = NULL;

	if (!get_arguments(env, info, 0, NULL, &self))
		return NULL;
	if (!unwrap(env, self, &filter))
		return throw_type_error(env, "not a filter");
	(void)napi_get_boolean(env, filter->ctx != NULL, &result);
	return result;
}

static napi_value filter_release(napi_env env, napi_callback_info info)
{
	napi_value self = NULL;
	struct filter *filter = NULL;

	if (!get_arguments(env, info, 0, NULL, &self))
		return NULL;
	if (!unwrap(env, self, &filter))
		return throw_type_error(env, "not a filter");
	if (filter->ctx != NULL)
		seccomp_release(filter->ctx);
	filter->ctx = NULL;
	return NULL;
}

static napi_value filter_reset(napi_env env, napi_callback_info info)
{
	napi_value argument = NULL, self = NULL;
	struct filter *filter;
	uint32_t action = 0;

	if (!get_arguments(env, info, 1, &argument, &self))
		return NULL;
	filter = this_filter(env, self);
	if (filter == NULL)
		return NULL;
	if (!to_u32(env, argument, &action))
		return throw_type_error(env, "the default action must be an unsigned 32-bit integer");
	return from_int(env, seccomp_reset(filter->ctx, action));
}

/* merge(other): other's rules move here and other is released by libseccomp, only on success. */
static napi_value filter_merge(napi_env env, napi_callback_info info)
{
	napi_value argument = NULL, self = NULL;
	struct filter *filter, *other;
	int result;

	if (!get_arguments(env, info, 1, &argument, &self))
		return NULL;
	filter = this_filter(env, self);
	if (filter == NULL)
		return NULL;
	other = this_filter(env, argument);
	if (other == NULL)
		return NULL;
	if (other == filter)
		return throw_type_error(env, "a filter cannot be merged into itself");
	result = seccomp_merge(filter->ctx, other->ctx);
	if (result == 0)
		other->ctx = NULL;
	return from_int(env, result);
}

static napi_value filter_arch(napi_env env, napi_callback_info info, int (*apply)(scmp_filter_ctx ctx, uint32_t arch))
{
	napi_value argument = NULL, self = NULL;
	struct filter *filter;
	uint32_t arch = 0;

	if (!get_arguments(env, info, 1, &argument, &self))
		return NULL;
	filter = this_filter(env, self);
	if (filter == NULL)
		return NULL;
	if (!to_u32(env, argument, &arch))
		return throw_type_error(env, "the architecture must be an unsigned 32-bit integer");
	return from_int(env, apply(filter->ctx, arch));
}

static napi_value filter_add_arch(napi_env env, napi_callback_info info)
{
	return filter_arch(env, info, seccomp_arch_add);
}

static napi_value filter_remove_arch(napi_env env, napi_callback_info info)
{
	return filter_arch(env, info, seccomp_arch_remove);
}

static int arch_exist(scmp_filter_ctx ctx, uint32_t arch)
{
	return seccomp_arch_exist(ctx, arch);
}

static napi_value filter_has_arch(napi_env env, napi_callback_info info)
{
	return filter_arch(env, info, arch_exist);
}

static napi_value filter_set_attribute(napi_env env, napi_callback_info info)
{
	napi_value arguments[2] = { NULL }, self = NULL;
	struct filter *filter;
	uint32_t attribute = 0, value = 0;

	if (!get_arguments(env, info, 2, arguments, &self))
		return NULL;
	filter = this_filter(env, self);
	if (filter == NULL)
		return NULL;
	if (!to_u32(env, arguments[0], &attribute) || !to_u32(env, arguments[1], &value))
		return throw_type_error(env, "attribute and value must be unsigned 32-bit integers");
	return from_int(env, seccomp_attr_set(filter->ctx, (enum scmp_filter_attr)attribute, value));
}

/* getAttribute(attribute): [status, value]. */
static napi_value filter_get_attribute(napi_env env, napi_callback_info info)
{
	napi_value argument = NULL, self = NULL, pair = NULL, number = NULL;
	struct filter *filter;
	uint32_t attribute = 0, value = 0;
	int result;

	if (!get_arguments(env, info, 1, &argument, &self))
		return NULL;
	filter = this_filter(env, self);
	if (filter == NULL)
		return NULL;
	if (!to_u32(env, argument, &attribute))
		return throw_type_error(env, "the attribute must be an unsigned 32-bit integer");
	result = seccomp_attr_get(filter->ctx, (enum scmp_filter_attr)attribute, &value);
	if (napi_create_array_with_length(env, 2, &pair) != napi_ok ||
	    napi_create_uint32(env, value, &number) != napi_ok)
		return NULL;
	(void)napi_set_element(env, pair, 0, from_int(env, result));
	(void)napi_set_element(env, pair, 1, number);
	return pair;
}

static napi_value filter_set_priority(napi_env env, napi_callback_info info)
{
	napi_value arguments[2] = { NULL }, self = NULL;
	struct filter *filter;
	int64_t priority = 0;
	int syscall_nr = 0;

	if (!get_arguments(env, info, 2, arguments, &self))
		return NULL;
	filter = this_filter(env, self);
	if (filter == NULL)
		return NULL;
	if (!to_i32(env, arguments[0], &syscall_nr))
		return throw_type_error(env, "the system call number must be a 32-bit integer");
	if (!to_integer(env, arguments[1], 0, UINT8_MAX, &priority))
		return throw_type_error(env, "the priority must be an integer from 0 to 255");
	return from_int(env, seccomp_syscall_priority(filter->ctx, syscall_nr, (uint8_t)priority));
}

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

static napi_value filter_add_rule(napi_env env, napi_callback_info info)
{
	napi_value arguments[4] = { NULL }, self = NULL;
	struct scmp_arg_cmp comparators[MAX_ARGS] = { { 0 } };
	struct filter *filter;
	unsigned int count = 0;
	uint32_t action = 0;
	bool exact = false;
	int syscall_nr = 0;

	if (!get_arguments(env, info, 4, arguments, &self))
		return NULL;
	filter = this_filter(env, self);
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
	if (exact)
		return from_int(env, seccomp_rule_add_exact_array(filter->ctx, action, syscall_nr, count, comparators));
	return from_int(env, seccomp_rule_add_array(filter->ctx, action, syscall_nr, count, comparators));
}

/* Reads a whole memfd into a new ArrayBuffer; 0 or negative errno. */
static int read_all(napi_env env, int fd, napi_value *ret_buffer)
{
	struct stat status;
	napi_value buffer = NULL;
	void *data = NULL;
	size_t done = 0, size;

	if (fstat(fd, &status) < 0)
		return -errno;
	size = (size_t)status.st_size;
	if (napi_create_arraybuffer(env, size, &data, &buffer) != napi_ok)
		return -ENOMEM;
	while (done < size) {
		ssize_t got = pread(fd, (char *)data + done, size - done, (off_t)done);

		if (got < 0 && errno == EINTR)
			continue;
		if (got <= 0)
			return got < 0 ? -errno : -EIO;
		done += (size_t)got;
	}
	*ret_buffer = buffer;
	return 0;
}

/* Through a memfd, because seccomp_export_bpf_mem is newer (2.6) than the libseccomp of current distributions. */
static napi_value filter_export(napi_env env, napi_callback_info info,
				int (*write_to)(const scmp_filter_ctx ctx, int fd))
{
	napi_value self = NULL, buffer = NULL;
	struct filter *filter;
	int fd, result;

	if (!get_arguments(env, info, 0, NULL, &self))
		return NULL;
	filter = this_filter(env, self);
	if (filter == NULL)
		return NULL;
	fd = memfd_create("seccomp-export", MFD_CLOEXEC);
	if (fd < 0)
		return from_int(env, -errno);
	result = write_to(filter->ctx, fd);
	if (result == 0)
		result = read_all(env, fd, &buffer);
	(void)close(fd);
	return result == 0 ? buffer : from_int(env, result);
}

static napi_value filter_export_bpf(napi_env env, napi_callback_info info)
{
	return filter_export(env, info, seccomp_export_bpf);
}

static napi_value filter_export_pfc(napi_env env, napi_callback_info info)
{
	return filter_export(env, info, seccomp_export_pfc);
}

#define METHOD(js_name, function)                                                    \
	{                                                                            \
		js_name, NULL, function, NULL, NULL, NULL, napi_default_method, NULL \
	}

/* The header defines this function without declaring it. */
NAPI_MODULE_EXPORT int32_t NODE_API_MODULE_GET_API_VERSION(void);

NAPI_MODULE_INIT()
{
	const napi_property_descriptor methods[] = {
		METHOD("valid", filter_valid),
		METHOD("release", filter_release),
		METHOD("reset", filter_reset),
		METHOD("merge", filter_merge),
		METHOD("addArch", filter_add_arch),
		METHOD("removeArch", filter_remove_arch),
		METHOD("hasArch", filter_has_arch),
		METHOD("setAttribute", filter_set_attribute),
		METHOD("getAttribute", filter_get_attribute),
		METHOD("setPriority", filter_set_priority),
		METHOD("addRule", filter_add_rule),
		METHOD("exportBpf", filter_export_bpf),
		METHOD("exportPfc", filter_export_pfc),
	};
	const napi_property_descriptor functions[] = {
		METHOD("version", library_version),  METHOD("apiLevel", api_level),
		METHOD("nativeArch", native_arch),   METHOD("syscallNumber", syscall_number),
		METHOD("syscallName", syscall_name),
	};
	napi_value filter_class = NULL;

	if (napi_define_class(env, "NativeFilter", NAPI_AUTO_LENGTH, filter_new, NULL,
			      sizeof(methods) / sizeof(methods[0]), methods, &filter_class) != napi_ok)
		return NULL;
	if (napi_set_named_property(env, exports, "NativeFilter", filter_class) != napi_ok)
		return NULL;
	if (napi_define_properties(env, exports, sizeof(functions) / sizeof(functions[0]), functions) != napi_ok)
		return NULL;
	return exports;
}
