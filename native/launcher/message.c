// SPDX-License-Identifier: Apache-2.0
#include "message.h"

#include <string.h>

#include "sys.h"

union control {
	char bytes[CMSG_SPACE(sizeof(int) * 16) + CMSG_SPACE(sizeof(struct ucred))];
	struct cmsghdr align;
};

int message_send(int socket, const void *data, size_t length, const int *fds, unsigned int count)
{
	struct iovec iov = { .iov_base = (void *)(uintptr_t)data, .iov_len = length };
	struct msghdr message = { .msg_iov = &iov, .msg_iovlen = 1 };
	union control control;
	ssize_t n;

	if (count > MESSAGE_MAX_FDS)
		return -EINVAL;
	if (count) {
		memset(&control, 0, sizeof(control));
		message.msg_control = control.bytes;
		message.msg_controllen = (socklen_t)CMSG_SPACE(sizeof(int) * count);
		struct cmsghdr *header = CMSG_FIRSTHDR(&message);
		header->cmsg_level = SOL_SOCKET;
		header->cmsg_type = SCM_RIGHTS;
		header->cmsg_len = (socklen_t)CMSG_LEN(sizeof(int) * count);
		memcpy(CMSG_DATA(header), fds, sizeof(int) * count);
	}
	do
		n = sendmsg(socket, &message, MSG_NOSIGNAL);
	while (n < 0 && errno == EINTR);
	return n < 0 ? -errno : (size_t)n == length ? 0 : -EBADMSG;
}

static void take_fds(const struct cmsghdr *header, int *fds, unsigned int capacity, unsigned int *taken)
{
	size_t came = (header->cmsg_len - CMSG_LEN(0)) / sizeof(int);

	for (size_t i = 0; i < came; i++) {
		int fd;

		memcpy(&fd, CMSG_DATA(header) + i * sizeof(int), sizeof(fd));
		if (*taken < capacity)
			fds[(*taken)++] = fd;
		else
			(void)close(fd);
	}
}

int message_receive(int socket, void *data, size_t length, int *fds, unsigned int *count, pid_t *ret_pid, int flags)
{
	struct iovec iov = { .iov_base = data, .iov_len = length };
	union control control;
	struct msghdr message = {
		.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = control.bytes,
		.msg_controllen = sizeof(control.bytes),
	};
	unsigned int capacity = count ? *count : 0, taken = 0;
	ssize_t n;

	do
		n = recvmsg(socket, &message, flags | MSG_CMSG_CLOEXEC);
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return -errno;
	for (unsigned int i = 0; i < capacity; i++)
		fds[i] = -1;
	if (ret_pid)
		*ret_pid = 0;
	for (struct cmsghdr *at = CMSG_FIRSTHDR(&message); at; at = CMSG_NXTHDR(&message, at)) {
		if (at->cmsg_level != SOL_SOCKET)
			continue;
		if (at->cmsg_type == SCM_RIGHTS)
			take_fds(at, fds, capacity, &taken);
		if (at->cmsg_type == SCM_CREDENTIALS && ret_pid) {
			struct ucred credentials;

			memcpy(&credentials, CMSG_DATA(at), sizeof(credentials));
			*ret_pid = credentials.pid;
		}
	}
	if (count)
		*count = taken;
	if (n == 0)
		return 0;
	/* There is room for all that any message has: what was cut off found no place in our table. */
	if (message.msg_flags & MSG_CTRUNC)
		return -EMFILE;
	return (size_t)n == length && !(message.msg_flags & MSG_TRUNC) ? 1 : -EBADMSG;
}
