// SPDX-License-Identifier: Apache-2.0
/*
 * Sandboxes made ahead of their use. The plan's exec part is a template then: everything is done up to the gate, where the program task waits with
 * its filter on and may only read the gate and execve. A second exec part says what to run. Of it the task needs argv and envp alone, which it
 * finds in memory that it shares with the launcher and nobody else (init unmaps it before anything of a stranger's runs); all else
 * is the launcher's work, from outside: limits, files, clocks.
 */
#include <sys/resource.h>

#include "run.h"
#include "sys.h"
#include "util.h"

void park(struct run *run)
{
	if (run->parked)
		return;
	run->parked = true;
	int r = control_send(run, MESSAGE_KIND_PARKED, NULL, 0);
	if (r < 0)
		(void)run_fail(run, STAGE_PARENT, STEP_GATE, 1, r, "parked");
}

/* As the task itself would (task.c): never above what it has. */
static int limit_task(struct run *run, const struct plan *template)
{
	struct wire_list wanted = run->plan.exec->rlimits, has = template->exec->rlimits;

	if (wanted.count == has.count &&
	    memcmp(run->plan.exec_part.base + wanted.off, template->exec_part.base + has.off,
		   wanted.count * sizeof(struct wire_rlimit)) == 0)
		return 0; /* it set them itself */

	for (uint32_t i = 0; i < wanted.count; i++) {
		const struct wire_rlimit *one = plan_item(&run->plan.exec_part, wanted, wire_rlimit, i);
		struct rlimit64 limit;

		if (one->resource == RLIMIT_NOFILE) /* open_files.c */
			continue;
		if (syscall(SYS_prlimit64, run->program_pid, one->resource, NULL, &limit) < 0)
			return run_fail(run, STAGE_PARENT, STEP_RLIMITS, i, errno, "");
		if (one->hard < limit.rlim_max)
			limit.rlim_max = one->hard;
		limit.rlim_cur = one->soft < limit.rlim_max ? one->soft : limit.rlim_max;
		if (syscall(SYS_prlimit64, run->program_pid, one->resource, &limit, NULL) < 0)
			return run_fail(run, STAGE_PARENT, STEP_RLIMITS, i, errno, "");
	}
	return 0;
}

void unpark(struct run *run)
{
	const struct plan template = run->plan;
	int r;

	run->started_ns = now_ns();
	run->setup_deadline_ns = run->started_ns + SETUP_NS;
	/* Nothing else is heard meanwhile: a client of a server's, who may be anybody with this user's id, has little time. */
	r = plan_read_second(run->control, run->client.served ? run->started_ns + CLIENT_NS : run->setup_deadline_ns,
			     &run->plan);
	run->parked = false;
	if (r < 0) {
		(void)run_fail(run, STAGE_PARENT, r == -EBADMSG ? STEP_CHECK_PLAN : STEP_READ_PLAN, 1, r, "plan");
		return;
	}
	pumps_limit(run);
	if (limit_task(run, &template) < 0 || cgroups_limit(run, &template) < 0 || files_open_in(run) < 0)
		return;
	if (run->plan.exec->files_in.count && files_copy_in(run) < 0)
		return;
	plan_hand_over(&run->plan);
	launch_open_gate(run);
}
