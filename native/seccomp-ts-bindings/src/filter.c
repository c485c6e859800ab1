#include "filter.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>

#include "newer.h"
#include "values.h"

/* What libseccomp's allocations come to, measured with 2.5 and 2.6 on x86_64. V8 needs the order of magnitude only. */
#define FILTER_BYTES	 1024
#define RULE_BYTES	 600
#define COMPARATOR_BYTES 450

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

struct filter *this_filter(napi_env env, napi_value self)
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

struct filter *filter_of_call(napi_env env, napi_callback_info info, size_t count, napi_value *arguments)
{
	napi_value self = NULL;

	return get_arguments(env, info, count, arguments, &self) ? this_filter(env, self) : NULL;
}

static void account(napi_env env, struct filter *filter, int64_t change)
{
	int64_t total = 0;

	filter->accounted += change;
	(void)napi_adjust_external_memory(env, change, &total);
}

void account_rule(napi_env env, struct filter *filter, unsigned int comparators)
{
	account(env, filter, RULE_BYTES + (int64_t)comparators * COMPARATOR_BYTES);
}

static void release(napi_env env, struct filter *filter)
{
	if (filter->ctx != NULL)
		seccomp_release(filter->ctx);
	filter->ctx = NULL;
	account(env, filter, -filter->accounted);
}

static void free_filter(napi_env env, void *data, void *hint)
{
	(void)hint;
	release(env, data);
	free(data);
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
	if (filter->ctx != NULL)
		account(env, filter, FILTER_BYTES);
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
	release(env, filter);
	return NULL;
}

static napi_value filter_reset(napi_env env, napi_callback_info info)
{
	napi_value argument = NULL;
	struct filter *filter;
	uint32_t action = 0;
	int result;

	filter = filter_of_call(env, info, 1, &argument);
	if (filter == NULL)
		return NULL;
	if (!to_u32(env, argument, &action))
		return throw_type_error(env, "the default action must be an unsigned 32-bit integer");
	result = seccomp_reset(filter->ctx, action);
	if (result == 0) {
		account(env, filter, FILTER_BYTES - filter->accounted);
		filter->transactions = 0;
	}
	return from_int(env, result);
}

/* merge(other): other's rules move here and other is released by libseccomp, only on success. */
static napi_value filter_merge(napi_env env, napi_callback_info info)
{
	napi_value argument = NULL;
	struct filter *filter, *other;
	int result;

	filter = filter_of_call(env, info, 1, &argument);
	if (filter == NULL)
		return NULL;
	other = this_filter(env, argument);
	if (other == NULL)
		return NULL;
	if (other == filter)
		return throw_type_error(env, "a filter cannot be merged into itself");
	result = seccomp_merge(filter->ctx, other->ctx);
	if (result == 0) {
		other->ctx = NULL;
		filter->accounted += other->accounted;
		other->accounted = 0;
	}
	return from_int(env, result);
}

static napi_value filter_arch(napi_env env, napi_callback_info info, int (*apply)(scmp_filter_ctx ctx, uint32_t arch))
{
	napi_value argument = NULL;
	struct filter *filter;
	uint32_t arch = 0;

	filter = filter_of_call(env, info, 1, &argument);
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
	napi_value arguments[2] = { NULL };
	struct filter *filter;
	uint32_t attribute = 0, value = 0;

	filter = filter_of_call(env, info, 2, arguments);
	if (filter == NULL)
		return NULL;
	if (!to_u32(env, arguments[0], &attribute) || !to_u32(env, arguments[1], &value))
		return throw_type_error(env, "attribute and value must be unsigned 32-bit integers");
	return from_int(env, seccomp_attr_set(filter->ctx, (enum scmp_filter_attr)attribute, value));
}

/* getAttribute(attribute): [status, value]. */
static napi_value filter_get_attribute(napi_env env, napi_callback_info info)
{
	napi_value argument = NULL;
	struct filter *filter;
	uint32_t attribute = 0, value = 0;
	int result;

	filter = filter_of_call(env, info, 1, &argument);
	if (filter == NULL)
		return NULL;
	if (!to_u32(env, argument, &attribute))
		return throw_type_error(env, "the attribute must be an unsigned 32-bit integer");
	result = seccomp_attr_get(filter->ctx, (enum scmp_filter_attr)attribute, &value);
	return from_pair(env, from_int(env, result), from_u32(env, value));
}

static napi_value filter_set_priority(napi_env env, napi_callback_info info)
{
	napi_value arguments[2] = { NULL };
	struct filter *filter;
	int64_t priority = 0;
	int syscall_nr = 0;

	filter = filter_of_call(env, info, 2, arguments);
	if (filter == NULL)
		return NULL;
	if (!to_i32(env, arguments[0], &syscall_nr))
		return throw_type_error(env, "the system call number must be a 32-bit integer");
	if (!to_integer(env, arguments[1], 0, UINT8_MAX, &priority))
		return throw_type_error(env, "the priority must be an integer from 0 to 255");
	return from_int(env, seccomp_syscall_priority(filter->ctx, syscall_nr, (uint8_t)priority));
}

/* What the library at run time lacks is told by null: 0 and negative errnos are libseccomp's own. */
static napi_value filter_precompute(napi_env env, napi_callback_info info)
{
	struct filter *filter = filter_of_call(env, info, 0, NULL);

	if (filter == NULL)
		return NULL;
	return seccomp_precompute == NULL ? from_null(env) : from_int(env, seccomp_precompute(filter->ctx));
}

static napi_value filter_start_transaction(napi_env env, napi_callback_info info)
{
	struct filter *filter = filter_of_call(env, info, 0, NULL);
	int result;

	if (filter == NULL)
		return NULL;
	if (seccomp_transaction_start == NULL)
		return from_null(env);
	result = seccomp_transaction_start(filter->ctx);
	if (result == 0)
		filter->transactions++;
	return from_int(env, result);
}

/* With none open libseccomp 2.6 may read what it has freed, so it is never asked. */
static napi_value end_transaction(napi_env env, napi_callback_info info, int (*end)(const scmp_filter_ctx ctx))
{
	struct filter *filter = filter_of_call(env, info, 0, NULL);
	int result;

	if (filter == NULL)
		return NULL;
	if (end == NULL)
		return from_null(env);
	if (filter->transactions == 0)
		return from_int(env, -EINVAL);
	result = end(filter->ctx);
	if (result == 0)
		filter->transactions--;
	return from_int(env, result);
}

static napi_value filter_commit_transaction(napi_env env, napi_callback_info info)
{
	return end_transaction(env, info, seccomp_transaction_commit);
}

static int transaction_reject(const scmp_filter_ctx ctx)
{
	seccomp_transaction_reject(ctx);
	return 0;
}

static napi_value filter_reject_transaction(napi_env env, napi_callback_info info)
{
	return end_transaction(env, info, seccomp_transaction_reject == NULL ? NULL : transaction_reject);
}

bool define_filter(napi_env env, napi_value exports)
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
		METHOD("precompute", filter_precompute),
		METHOD("startTransaction", filter_start_transaction),
		METHOD("commitTransaction", filter_commit_transaction),
		METHOD("rejectTransaction", filter_reject_transaction),
		METHOD("load", filter_load),
		METHOD("notifyFd", filter_notify_fd),
	};
	napi_value filter_class = NULL;

	return napi_define_class(env, "NativeFilter", NAPI_AUTO_LENGTH, filter_new, NULL,
				 sizeof(methods) / sizeof(methods[0]), methods, &filter_class) == napi_ok &&
	       napi_set_named_property(env, exports, "NativeFilter", filter_class) == napi_ok;
}
