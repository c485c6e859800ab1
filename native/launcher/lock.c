// SPDX-License-Identifier: Apache-2.0
/*
 * What the image store needs of the kernel and Node does not offer: flock(2) and syncfs(2) on descriptor 3, which the caller
 * opened and keeps. A lock belongs to the open file description, so it stays with the caller when this process has ended, and
 * the kernel drops it when the caller dies, however it dies.
 */
#include <stdio.h>
#include <sys/file.h>

#include "lock.h"
#include "sys.h"
#include "util.h"

enum { LOCK_FD = 3, EXIT_BUSY = 1, EXIT_FAILED = 3 };

static const struct {
	const char *mode;
	int operation;
} operations[] = {
	{ "lock-shared", LOCK_SH },
	{ "lock-exclusive", LOCK_EX },
	{ "try-lock-shared", LOCK_SH | LOCK_NB },
	{ "try-lock-exclusive", LOCK_EX | LOCK_NB },
};

static int failed(const char *what)
{
	const char *reason = strerror(errno);

	ignore_result(dprintf(2, "%s: %s\n", what, reason));
	return EXIT_FAILED;
}

static int lock(int operation)
{
	/* A caller that dies while we wait wants the lock no more. One that died before this line gets it, and we end. */
	(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
	while (flock(LOCK_FD, operation) < 0) {
		if (errno == EWOULDBLOCK)
			return EXIT_BUSY;
		if (errno != EINTR)
			return failed("flock");
	}
	return 0;
}

bool lock_knows(const char *mode)
{
	for (size_t i = 0; i < ARRAY_SIZE(operations); i++)
		if (strcmp(mode, operations[i].mode) == 0)
			return true;
	return strcmp(mode, "sync") == 0;
}

int lock_main(const char *mode)
{
	for (size_t i = 0; i < ARRAY_SIZE(operations); i++)
		if (strcmp(mode, operations[i].mode) == 0)
			return lock(operations[i].operation);
	return syncfs(LOCK_FD) < 0 ? failed("syncfs") : 0;
}
