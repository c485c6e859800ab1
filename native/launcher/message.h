/* SPDX-License-Identifier: Apache-2.0 -- sendmsg and recvmsg with descriptors and credentials. */
#ifndef BELLJAR_MESSAGE_H
#define BELLJAR_MESSAGE_H

#include <stddef.h>
#include <sys/types.h>

#define MESSAGE_MAX_FDS 5

/* Sends one packet with up to MESSAGE_MAX_FDS descriptors. 0 or a negative errno. Async-signal-safe. */
int message_send(int socket, const void *data, size_t length, const int *fds, unsigned int count);

/*
 * Receives one packet of exactly `length` bytes. Descriptors beyond *count are closed, missing ones are -1; *count becomes
 * how many came. ret_pid (may be NULL) is the sender as the kernel names it in our pid namespace, 0 when unknown.
 * 1 for a packet, 0 for end of file, or a negative errno (-EAGAIN with flags MSG_DONTWAIT, -EBADMSG for a short one).
 */
int message_receive(int socket, void *data, size_t length, int *fds, unsigned int *count, pid_t *ret_pid, int flags);

#endif
