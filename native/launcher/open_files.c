// SPDX-License-Identifier: Apache-2.0
/*
 * The limit of open files. Besides what it says, the kernel holds whoever sends a descriptor over a Unix socket to it: of all that this user's processes
 * have sent and nobody has received, in any sandbox, there may be no more than the sender's own limit. So a program that sends itself descriptors and
 * takes none could keep every other run of this user from passing on a single one. Ours therefore have the highest limit there is, and the program task gets
 * its own from outside, when it has sent its last.
 */
#include <sys/resource.h>

#include "run.h"
#include "sys.h"
#include "util.h"

void open_files_raise(struct run *run)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
		return;
	run->open_files = limit.rlim_cur;
	run->open_files_max = limit.rlim_max;
	limit.rlim_cur = limit.rlim_max;
	(void)setrlimit(RLIMIT_NOFILE, &limit);
}

int open_files_limit(struct run *run)
{
	const struct wire_exec_plan *exec = run->plan.exec;
	struct rlimit64 limit = { .rlim_cur = run->open_files, .rlim_max = run->open_files_max };

	for (uint32_t i = 0; i < exec->rlimits.count; i++) {
		const struct wire_rlimit *wanted = plan_item(&run->plan.exec_part, exec->rlimits, wire_rlimit, i);

		if (wanted->resource != RLIMIT_NOFILE)
			continue;
		if (wanted->hard < limit.rlim_max)
			limit.rlim_max = wanted->hard;
		limit.rlim_cur = wanted->soft < limit.rlim_max ? wanted->soft : limit.rlim_max;
	}
	if (syscall(SYS_prlimit64, run->program_pid, RLIMIT_NOFILE, &limit, NULL) < 0)
		return run_fail(run, STAGE_PARENT, STEP_RLIMITS, RLIMIT_NOFILE, errno, "open files");
	return 0;
}
