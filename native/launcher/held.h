/* SPDX-License-Identifier: Apache-2.0 -- memory that is held without being mapped. */
#ifndef BELLJAR_HELD_H
#define BELLJAR_HELD_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct held {
	bool device_known;
	dev_t device;
	unsigned int count;
	uint64_t inodes[512]; /* beyond that many, a file held twice is counted twice */
	uint64_t bytes;
};

void held_start(struct held *held);
/* Adds the files of one thread's descriptors; those that share the table of their process are in that one's. */
void held_add_descriptors(struct held *held, pid_t pid, pid_t thread);
/* Bytes of the segments in the IPC namespace of `fd`, which is its /proc/sysvipc/shm, opened there; -1: none. */
uint64_t held_segments(int fd);

#endif
