// SPDX-License-Identifier: Apache-2.0
/*
 * A member of a run server: a launcher that is a fork of the server, with a sandbox that waits for its one client.
 *
 * It holds nothing of the server's or of other members' but the memory it was forked with, and in that there is the plan and no byte that a client
 * ever sent, for the server reads none. Its own fork, init, is where a program could look, if it could look there at all.
 */
#include <sys/wait.h>

#include "run.h"
#include "serve.h"
#include "sys.h"
#include "util.h"

/* Of the sandbox; the client has its record by then. */
static uint32_t tear_down(struct run *run)
{
	if (run->init_pid > 0 && !run->reaped) {
		(void)sys_pidfd_send_signal(run->init_pidfd, SIGKILL);
		while (waitpid(run->init_pid, NULL, __WALL) < 0 && errno == EINTR)
			;
	}
	return cgroups_remove(run);
}

int member_main(const struct plan *plan, int link)
{
	struct run *run = run_make(link);

	if (!run)
		return 1;
	run->client.served = true;
	run->plan = *plan;
	if (run_events(run) == 0)
		(void)launch_start(run);
	if (run->init_pid > 0)
		supervise(run);
	companions_kill(run);
	if (!run->caller_gone && client_finish(run) == 0) {
		files_copy_out(run);
		/* While it has no client, this tells the server why there is no sandbox. */
		record_send(run);
	}
	/* Where there is one CPU for both, the client reads its record first. */
	bool is_gone = client_linger(run, 2 * NS_PER_MS);
	uint32_t left = tear_down(run);
	if (!is_gone)
		(void)client_linger(run, 2 * NS_PER_S);
	return left ? 1 : 0;
}
