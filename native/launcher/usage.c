// SPDX-License-Identifier: Apache-2.0
/*
 * A scratch folder on disk has no limit of the kernel's. A companion counts what is in it, over and over; here its figures are held
 * against the limits. It is asked for a fresh count twice: before the gate opens, for what the program did not make, and when the
 * program is dead, for the record.
 */
#include <sys/epoll.h>

#include "companion.h"
#include "run.h"
#include "sys.h"
#include "util.h"

#define FINAL_COUNT_NS (5 * NS_PER_S)

static int companion_of(const struct run *run)
{
	const struct wire_list companions = run->plan.sandbox->companions;

	for (uint32_t i = 0; i < companions.count; i++)
		if (plan_item(&run->plan.sandbox_part, companions, wire_companion, i)->ready == COMPANION_READY_USAGE)
			return (int)i;
	return -1;
}

static bool ask(struct run *run, const struct companion_task *task)
{
	run->usage.asked = task->pid > 0 && !task->dead && sys_pidfd_send_signal(task->pidfd, USAGE_ASK) == 0;
	return run->usage.asked;
}

static bool exceeds(uint64_t value, uint64_t base, uint64_t limit)
{
	return limit && value > base && value - base > limit;
}

bool usage_over_limit(const struct run *run)
{
	const struct wire_sandbox_plan *sandbox = run->plan.sandbox;
	const struct usage *usage = &run->usage;

	return usage->known && (exceeds(usage->bytes, run->base_bytes, sandbox->scratch_bytes) ||
				exceeds(usage->inodes, run->base_inodes, sandbox->scratch_inodes));
}

/* Whether the program may start, as far as this goes: what is there already must be known first. */
bool usage_settled(struct run *run)
{
	int index = companion_of(run);

	if (index < 0 || run->usage.based)
		return true;
	if (!run->usage.asked && !ask(run, &run->companions[index]))
		(void)run_fail(run, STAGE_COMPANION, STEP_COMPANION_START, (uint32_t)index, 0, "usage");
	return false;
}

static void take(struct run *run, const struct usage_message *message)
{
	run->usage.bytes = message->bytes;
	run->usage.inodes = message->inodes;
	run->usage.known = true;
	if (run->state == RUN_RUNNING && usage_over_limit(run))
		run_end(run, EVIDENCE_DISK_KILL);
	if (!message->asked || !run->usage.asked)
		return;
	run->usage.asked = false;
	run->usage.final_ns = 0;
	if (run->usage.based)
		return;
	run->usage.based = true;
	run->base_bytes = message->bytes;
	run->base_inodes = message->inodes;
	launch_open_gate(run);
}

void usage_event(struct run *run, struct companion_task *task)
{
	struct usage_message message;

	while (task->ready >= 0) {
		ssize_t n = read(task->ready, &message, sizeof(message));

		if (n < 0 && (errno == EAGAIN || errno == EINTR))
			return;
		if (n != (ssize_t)sizeof(message)) { /* its end is told by its pidfd */
			(void)epoll_ctl(run->epoll, EPOLL_CTL_DEL, task->ready, NULL);
			close_fd(&task->ready);
			return;
		}
		take(run, &message);
	}
}

/* The program is dead: a last count, for which the end of the run waits a little. */
void usage_finish(struct run *run)
{
	int index = companion_of(run);

	if (index >= 0 && run->usage.based && ask(run, &run->companions[index]))
		run->usage.final_ns = now_ns() + FINAL_COUNT_NS;
}
