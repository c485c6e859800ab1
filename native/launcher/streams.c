// SPDX-License-Identifier: Apache-2.0
/*
 * The two ends of each stream that pump.c moves bytes between.
 *
 * O_NONBLOCK belongs to the open file description, which the caller shares with its other children, so it is never set on a descriptor
 * of the caller's: a pipe or terminal is reopened through /proc for a description of our own, a socket is written with MSG_DONTWAIT,
 * and a regular file never waits.
 */
#include <poll.h>
#include <sys/epoll.h>

#include "run.h"
#include "sys.h"
#include "util.h"

/* Finds a non-blocking description of what the caller gave us as `fd`; the shared one where that cannot be had. */
static void adopt(struct watch *watch, int fd, int access, bool *ret_socket)
{
	struct stat status;
	char path[32];
	struct text text = text_in(path, sizeof(path));
	bool waits;

	*ret_socket = false;
	watch->fd = fd;
	if (fstat(fd, &status) < 0)
		return;
	*ret_socket = S_ISSOCK(status.st_mode);
	waits = S_ISFIFO(status.st_mode) || *ret_socket || (S_ISCHR(status.st_mode) && isatty(fd));
	watch->always_ready = !waits;
	watch->shared = waits;
	watch->has_peer = S_ISFIFO(status.st_mode) || *ret_socket;
	if (!waits || *ret_socket)
		return;
	text_add(&text, "/proc/self/fd/");
	text_add_u64(&text, (uint64_t)fd);
	int own = open(path, access | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	if (own < 0)
		return;
	watch->fd = own;
	watch->shared = false;
}

static int pipe_pair(int *ret_ours, int *ret_programs, bool program_writes)
{
	int ends[2];

	if (pipe2(ends, O_CLOEXEC) < 0)
		return -errno;
	*ret_ours = ends[program_writes ? 0 : 1];
	*ret_programs = ends[program_writes ? 1 : 0];
	return fcntl(*ret_ours, F_SETFL, O_NONBLOCK) < 0 ? -errno : 0;
}

static int open_stream(struct run *run, int stream, uint32_t kind)
{
	struct pump *pump = &run->pumps[stream];
	struct watch *caller = stream == 0 ? &pump->from : &pump->to, *ours = stream == 0 ? &pump->to : &pump->from;
	bool is_socket = false;

	pump->to_is_caller = stream > 0;
	pump->limit = stream > 0 ? run->plan.exec->output_bytes : UINT64_MAX;
	caller->fd = -1;
	pump->framed = run->client.served && stream > 0 && kind != STDIO_KIND_NULL;
	if (pump->framed)
		caller->always_ready = true; /* client.c waits for it */
	if (kind != STDIO_KIND_NULL && !run->client.served)
		adopt(caller, stream, stream == 0 ? O_RDONLY : O_WRONLY, &is_socket);
	pump->send = (is_socket && stream > 0) || pump->framed;
	/*
	 * Towards the program bytes are copied: a splice would put pages of the caller's files into a pipe of the program's,
	 * and kernels have let a pipe's owner write to such pages.
	 */
	pump->splice_works = stream > 0 && kind != STDIO_KIND_TERMINAL && !pump->send;
	if (kind != STDIO_KIND_TERMINAL) {
		int r = pipe_pair(&ours->fd, &run->program_ends[1 + stream], stream > 0);

		if (r < 0)
			return run_fail(run, STAGE_PARENT, STEP_OPEN_STDIO, (uint32_t)stream, r, "");
	}
	pump->from_open = pump->from.fd >= 0;
	pump->to_open = pump->to.fd >= 0 || pump->framed;
	if (stream == 0 && kind == STDIO_KIND_NULL)
		pump_close_to(run, pump); /* end of file at once */
	return 0;
}

int pumps_open(struct run *run)
{
	const uint32_t kinds[3] = { run->plan.exec->stdin, run->plan.exec->stdout, run->plan.exec->stderr };

	for (int i = 0; i < 3; i++) {
		int r = open_stream(run, i, kinds[i]);

		if (r < 0)
			return r;
	}
	return 0;
}
