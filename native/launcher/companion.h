/* SPDX-License-Identifier: Apache-2.0 -- what the launcher and its companions agree on. */
#ifndef BELLJAR_COMPANION_H
#define BELLJAR_COMPANION_H

#include <signal.h>
#include <stdint.h>

/* Where a companion says that it is ready, and where it finds the FUSE connection of the root. */
enum { READY_FD = 3, FUSE_FD = 4 };

/* What a scratch folder on disk holds (native/apply/usage.c). Asks for a fresh count. */
#define USAGE_ASK SIGUSR1

/* One message on the ready pipe; small enough to be written whole. */
struct usage_message {
	uint64_t bytes, inodes; /* UINT64_MAX: deeper than can be counted */
	uint64_t asked;		/* 1: counted after it was asked to */
};

#endif
