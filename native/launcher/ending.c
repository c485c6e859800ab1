// SPDX-License-Identifier: Apache-2.0
/*
 * When the program's end was first seen. A dying process closes its streams before anybody can wait for it, and whoever reads at the
 * other end may act on that before init has said a word. For two programs that are joined by their streams the order
 * of their ends is only right when it is noted before the end of a stream is passed on.
 */
#include <fcntl.h>

#include "run.h"
#include "sys.h"
#include "util.h"

enum { FLAGS_FIELD = 9, PROCESS_IS_EXITING = 4 }; /* of proc(5) stat; PF_EXITING, set before files are closed */

static bool is_exiting(pid_t pid)
{
	char path[48], buffer[1024];
	struct text text = text_in(path, sizeof(path));
	uint64_t flags;

	text_add(&text, "/proc/");
	text_add_u64(&text, (uint64_t)pid);
	text_add(&text, "/stat");
	CLEANUP_FD int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? 0 : read(fd, buffer, sizeof(buffer) - 1);
	if (n <= 0)
		return true; /* reaped */
	buffer[n] = '\0';
	/* The name, field 2, may hold anything. */
	const char *at = strrchr(buffer, ')');
	for (int field = 2; at && field < FLAGS_FIELD; field++) {
		at = strchr(at, ' ');
		at = at ? at + 1 : NULL;
	}
	return at && parse_u64(at, &flags) == 0 && flags & PROCESS_IS_EXITING;
}

void run_stream_ended(struct run *run)
{
	/* Before it waits at the gate there is no program yet, and only death closes a stream. */
	if (!run->ending_ns && run->state < RUN_ENDING && (!run->waiting || is_exiting(run->program_pid)))
		run->ending_ns = now_ns();
}
