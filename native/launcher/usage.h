/* SPDX-License-Identifier: Apache-2.0 -- what a scratch folder on disk holds, as a companion (native/apply/usage.c) tells it. */
#ifndef BELLJAR_USAGE_H
#define BELLJAR_USAGE_H

#include <signal.h>
#include <stdint.h>

/* Asks for a fresh count. */
#define USAGE_ASK SIGUSR1

/* One message on the companion's ready pipe; small enough to be written whole. */
struct usage_message {
	uint64_t bytes, inodes; /* UINT64_MAX: deeper than can be counted */
	uint64_t asked;		/* 1: counted after it was asked to */
};

#endif
