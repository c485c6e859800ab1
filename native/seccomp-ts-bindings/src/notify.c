#include "notify.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>

#include <seccomp.h>

#include "filter.h"
#include "values.h"

#define ARGUMENTS 6

/* libseccomp answers ECANCELED for whatever the kernel said, which it leaves in errno: both are returned. */
static napi_value with_errno(napi_env env, int status)
{
	int system_errno = status < 0 ? errno : 0;

	return from_pair(env, from_int(env, status), from_int(env, system_errno));
}

/* load(): [status, errno]. From here on the calling thread, or with threadSync the process, is under the filter. */
napi_value filter_load(napi_env env, napi_callback_info info)
{
	struct filter *filter = filter_of_call(env, info, 0, NULL);

	if (filter == NULL)
		return NULL;
	errno = 0;
	return with_errno(env, seccomp_load(filter->ctx));
}

/* notifyFd(): the descriptor, or a negative number where no filter with notify was loaded. */
napi_value filter_notify_fd(napi_env env, napi_callback_info info)
{
	struct filter *filter = filter_of_call(env, info, 0, NULL);

	return filter == NULL ? NULL : from_int(env, seccomp_notify_fd(filter->ctx));
}

static bool to_fd(napi_env env, napi_value value, int *ret_fd)
{
	int fd = 0;

	if (!to_i32(env, value, &fd) || fd < 0) {
		throw_type_error(env, "the descriptor must be an integer from 0 to 2147483647");
		return false;
	}
	*ret_fd = fd;
	return true;
}

/* [id, pid, flags, syscall, arch, instructionPointer, args...] */
static napi_value from_notification(napi_env env, const struct seccomp_notif *request)
{
	napi_value list = NULL;

	if (napi_create_array_with_length(env, 6 + ARGUMENTS, &list) != napi_ok)
		return NULL;
	(void)napi_set_element(env, list, 0, from_u64(env, request->id));
	(void)napi_set_element(env, list, 1, from_u32(env, request->pid));
	(void)napi_set_element(env, list, 2, from_u32(env, request->flags));
	(void)napi_set_element(env, list, 3, from_int(env, request->data.nr));
	(void)napi_set_element(env, list, 4, from_u32(env, request->data.arch));
	(void)napi_set_element(env, list, 5, from_u64(env, request->data.instruction_pointer));
	for (uint32_t i = 0; i < ARGUMENTS; i++)
		(void)napi_set_element(env, list, 6 + i, from_u64(env, request->data.args[i]));
	return list;
}

/* 1 when a notification waits, 0 when none came in time, or negative errno; EPIPE when nobody is left under the filter. */
static int wait_for(int fd, int timeout_ms)
{
	struct pollfd poller = { .fd = fd, .events = POLLIN };
	int ready = poll(&poller, 1, timeout_ms);

	if (ready < 0)
		return errno == EINTR ? 0 : -errno;
	if (ready == 0 || (poller.revents & POLLIN) != 0)
		return ready;
	return (poller.revents & POLLNVAL) != 0 ? -EBADF : -EPIPE;
}

napi_value notify_receive(napi_env env, napi_callback_info info)
{
	napi_value arguments[2] = { NULL }, notification = from_null(env);
	struct seccomp_notif *request = NULL;
	int64_t timeout = 0;
	int fd = -1, status;

	if (!get_arguments(env, info, 2, arguments, NULL) || !to_fd(env, arguments[0], &fd))
		return NULL;
	if (!to_integer(env, arguments[1], -1, INT_MAX, &timeout))
		return throw_type_error(env, "timeoutMs must be an integer from -1 (no limit) to 2147483647");
	/* The kernel's own wait would go on for ever once the last program under the filter is gone (seen up to 6.10). */
	status = wait_for(fd, (int)timeout);
	if (status <= 0)
		return from_pair(env, from_pair(env, from_int(env, status), from_int(env, 0)), notification);
	status = seccomp_notify_alloc(&request, NULL);
	if (status == 0) {
		errno = 0;
		status = seccomp_notify_receive(fd, request);
		/* ENOENT: the caller was killed or interrupted after poll had seen it. */
		if (status == -ECANCELED && errno == ENOENT)
			status = 0;
		else if (status == 0)
			notification = from_notification(env, request);
	}
	napi_value code = with_errno(env, status);
	seccomp_notify_free(request, NULL);
	return from_pair(env, code, notification);
}

napi_value notify_respond(napi_env env, napi_callback_info info)
{
	napi_value arguments[5] = { NULL };
	struct seccomp_notif_resp *response = NULL;
	int64_t value = 0;
	uint64_t id = 0;
	uint32_t flags = 0;
	int fd = -1, error = 0, status;

	if (!get_arguments(env, info, 5, arguments, NULL) || !to_fd(env, arguments[0], &fd))
		return NULL;
	if (!to_u64(env, arguments[1], &id) || !to_i64(env, arguments[2], &value) ||
	    !to_i32(env, arguments[3], &error) || !to_u32(env, arguments[4], &flags))
		return throw_type_error(env, "id and value must be 64-bit integers");
	status = seccomp_notify_alloc(NULL, &response);
	if (status == 0) {
		response->id = id;
		response->val = value;
		response->error = error;
		response->flags = flags;
		errno = 0;
		status = seccomp_notify_respond(fd, response);
	}
	napi_value code = with_errno(env, status);
	seccomp_notify_free(NULL, response);
	return code;
}

napi_value notify_id_valid(napi_env env, napi_callback_info info)
{
	napi_value arguments[2] = { NULL };
	uint64_t id = 0;
	int fd = -1;

	if (!get_arguments(env, info, 2, arguments, NULL) || !to_fd(env, arguments[0], &fd))
		return NULL;
	if (!to_u64(env, arguments[1], &id))
		return throw_type_error(env, "the id must be a bigint");
	return from_int(env, seccomp_notify_id_valid(fd, id));
}
