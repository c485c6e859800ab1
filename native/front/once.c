// SPDX-License-Identifier: Apache-2.0
/* One run, from the plan on its control socket to the record. */
#include <signal.h>

#include "front.h"
#include "run.h"
#include "util.h"

static int prepare(struct run *run)
{
	int r = plan_read(run->control, &run->plan);

	if (r < 0) {
		run->plan = (struct plan){ 0 };
		return run_fail(run, STAGE_PARENT, r == -EBADMSG ? STEP_CHECK_PLAN : STEP_READ_PLAN, 0, r, "plan");
	}
	r = run_events(run);
	if (r < 0)
		return r;
	r = terminal_raw(run);
	/* Only now: a run with a terminal that was started in the background has to stop there, like any other program. */
	(void)signal(SIGTTOU, SIG_IGN);
	return r;
}

int run_whole(int control)
{
	struct run *run = run_make(control);

	if (!run)
		return 1;
	if (prepare(run) == 0)
		(void)launch_start(run);
	if (run->init_pid > 0)
		supervise(run);
	if (run->plan.sandbox)
		companions_kill(run);
	terminal_restore(run);
	if (run->plan.exec && !run->caller_gone)
		files_copy_out(run);
	record_send(run);
	return 0;
}
