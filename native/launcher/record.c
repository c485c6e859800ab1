// SPDX-License-Identifier: Apache-2.0
/* From what was seen to the record: figures, evidence, and the verdict that the generated table derives from it. */
#include <linux/seccomp.h>
#include <sys/statfs.h>
#include <sys/wait.h>

#include "run.h"
#include "sys.h"
#include "util.h"

int control_send(const struct run *run, uint32_t kind, const void *payload, uint32_t length)
{
	const uint32_t header[2] = { kind, length };
	struct iovec parts[2] = { { (void *)(uintptr_t)header, sizeof(header) },
				  { (void *)(uintptr_t)payload, length } };
	struct msghdr message = { .msg_iov = parts, .msg_iovlen = 2 };
	ssize_t n;

	do
		n = sendmsg(run->control, &message, MSG_NOSIGNAL);
	while (n < 0 && errno == EINTR);
	return n < 0 ? -errno : (size_t)n == sizeof(header) + length ? 0 : -EIO;
}

static bool ran(const struct run *run)
{
	return run->gate_open && !(run->evidence & EVIDENCE_START_FAILED);
}

static void read_disk(const struct run *run, struct wire_run_record *record)
{
	struct statfs status;

	record->disk_full = 2;
	record->disk_bytes = record->disk_inodes = NOT_MEASURED;
	if (*plan_text(&run->plan.sandbox_part, run->plan.sandbox->scratch_path)) {
		if (!run->usage.known || !run->usage.based || run->usage.bytes == UINT64_MAX)
			return;
		record->disk_bytes = run->usage.bytes > run->base_bytes ? run->usage.bytes - run->base_bytes : 0;
		record->disk_inodes = run->usage.inodes > run->base_inodes ? run->usage.inodes - run->base_inodes : 0;
		record->disk_full = usage_over_limit(run);
		return;
	}
	if (run->scratch < 0 || fstatfs(run->scratch, &status) < 0)
		return;
	uint64_t bytes = (status.f_blocks - status.f_bfree) * (uint64_t)status.f_bsize,
		 inodes = status.f_files - status.f_ffree;
	record->disk_bytes = bytes > run->base_bytes ? bytes - run->base_bytes : 0;
	record->disk_inodes = inodes > run->base_inodes ? inodes - run->base_inodes : 0;
	record->disk_full = (status.f_blocks && status.f_bavail == 0) || (status.f_files && status.f_ffree == 0);
}

static bool by_cgroup(const struct run *run, enum limit limit)
{
	uint32_t mechanism = run->plan.exec->mechanisms[limit];

	return mechanism == MECHANISM_CGROUP2 || mechanism == MECHANISM_CGROUP1;
}

/*
 * CPU time of the program: the cgroup's or the perf clock's figure is exact. Otherwise, or where a process was seen to leave the
 * clock, the largest of what is known: the usage of init and of all that was reaped, less what init and the task used before exec,
 * the samples, and the clock. That is a lower bound, because children that nobody waits for are only in samples.
 */
static void read_cpu(const struct run *run, struct wire_run_record *record)
{
	uint64_t reaped = run->tree_user_ns + run->tree_system_ns, ours = run->init_cpu_ns + run->task.cpu_ns;
	enum mechanism cgroup = cgroups_cpu_by(run);
	uint64_t value = 0;

	record->cpu_ns = record->user_ns = record->system_ns = NOT_MEASURED;
	if (!ran(run))
		return;
	record->cpu_ns = run->off_clock > 1 ? NOT_MEASURED : run_cpu_ns(run);
	record->cpu_exact = record->cpu_ns != NOT_MEASURED;
	record->cpu_by = cgroup == MECHANISM_NONE ? MECHANISM_PERF : cgroup;
	reaped = reaped > ours ? reaped - ours : 0;
	/* A clock that shows less than what was reaped was tampered with, or is not what we think: then it proves nothing. */
	if (record->cpu_exact && (cgroup != MECHANISM_NONE || record->cpu_ns + CLOCK_SLACK_NS >= reaped))
		return;
	record->cpu_exact = 0;
	record->cpu_ns = reaped;
	if (run->sampled_cpu_ns > record->cpu_ns)
		record->cpu_ns = run->sampled_cpu_ns;
	if (run->clock >= 0 && read(run->clock, &value, sizeof(value)) == sizeof(value) && value > record->cpu_ns)
		record->cpu_ns = value;
	record->cpu_by = MECHANISM_SUPERVISOR;
}

static void read_memory(const struct run *run, struct wire_run_record *record)
{
	record->memory_peak = record->oom_kills = record->processes_peak = record->process_limit_hits = NOT_MEASURED;
	if (!ran(run))
		return;
	if (run->has_samples) {
		record->memory_peak = run->sampled_memory_peak;
		record->processes_peak = run->sampled_processes_peak;
	}
	/* The kernel's own high-water mark of the largest process is a better lower bound than a missed sample. */
	if (!by_cgroup(run, LIMIT_MEMORY) && run->tree_max_rss > (run->has_samples ? run->sampled_memory_peak : 0))
		record->memory_peak = run->tree_max_rss;
	cgroups_read(run, record);
}

/* SIGSYS can be raised by anybody; it is the filter's only where a filter has an action that sends it. */
static bool filter_kills(const struct part *part, struct wire_bytes filter)
{
	const struct sock_filter *instruction = plan_bytes(part, filter);

	for (uint32_t i = 0; i < filter.len / sizeof(*instruction); i++) {
		uint32_t action = instruction[i].k & SECCOMP_RET_ACTION_FULL;

		if (instruction[i].code == (BPF_RET | BPF_K) &&
		    (action == SECCOMP_RET_KILL_PROCESS || action == SECCOMP_RET_KILL_THREAD ||
		     action == SECCOMP_RET_TRAP))
			return true;
	}
	return false;
}

static void read_status(struct run *run, struct wire_run_record *record)
{
	record->exit_code = -1;
	if (!run->has_status)
		return;
	if (WIFEXITED(run->status))
		record->exit_code = WEXITSTATUS(run->status);
	else
		record->signal = WTERMSIG(run->status);
	if (record->exit_code > 0)
		run->evidence |= EVIDENCE_NON_ZERO;
	if (record->signal)
		run->evidence |= EVIDENCE_SIGNALED;
	if (record->signal == SIGSYS && (filter_kills(&run->plan.exec_part, run->plan.exec->filter) ||
					 filter_kills(&run->plan.sandbox_part, run->plan.sandbox->base_filter)))
		run->evidence |= EVIDENCE_SIGSYS;
	/* A rule that kills, where calls are audited: our own kill record, in place of the signal that the rule means. */
	if (record->signal == SIGKILL && run->killed_for != UINT32_MAX) {
		record->signal = SIGSYS;
		run->evidence |= EVIDENCE_SIGSYS;
	}
}

static void read_counters(struct run *run, struct wire_run_record *record)
{
	const struct wire_exec_plan *exec = run->plan.exec;
	bool ended_itself = run->has_status && !(run->evidence & EVIDENCE_CANCELLED);

	if (record->oom_kills != NOT_MEASURED && record->oom_kills > 0) {
		run_out_of_memory(run);
		if (!(run->evidence & EVIDENCE_SANDBOX_ERROR))
			run->evidence |= EVIDENCE_OOM_KILL;
	}
	/* Kernels count a fork that a cgroup above refused here too (v1 all of them): then there were never as many tasks as the limit. */
	if (record->process_limit_hits != NOT_MEASURED && record->process_limit_hits > 0 &&
	    (!exec->processes || record->processes_peak == NOT_MEASURED || record->processes_peak >= exec->processes))
		run->evidence |= EVIDENCE_PROCESS_LIMIT_HIT;
	if (record->disk_full == 1)
		run->evidence |= EVIDENCE_SCRATCH_FULL;
	/* A program that ended between two looks, by itself or by the CPU resource limit: a figure at the limit proves as much as our kill. */
	if (ended_itself && exec->cpu_ms && record->cpu_ns != NOT_MEASURED &&
	    record->cpu_ns >= exec->cpu_ms * NS_PER_MS)
		run->evidence |= EVIDENCE_CPU_KILL;
	if (ended_itself && exec->mechanisms[LIMIT_MEMORY] == MECHANISM_SUPERVISOR && exec->memory_bytes &&
	    run->sampled_memory_peak > exec->memory_bytes)
		run->evidence |= EVIDENCE_OOM_KILL;
}

static uint32_t classify(uint32_t evidence, bool failed)
{
	uint32_t i = 0;

	for (; i < VERDICT_COUNT - 1; i++) {
		const struct verdict_rule *rule = &verdict_rules[i];

		if ((evidence & rule->evidence && (failed || !rule->only_if_failed)) ||
		    (evidence & rule->evidence_if_failed && failed))
			break;
	}
	return i;
}

static void fill(struct run *run, struct wire_run_record *record)
{
	if (ran(run))
		(void)cgroups_check(run);
	read_status(run, record);
	read_cpu(run, record);
	read_memory(run, record);
	read_disk(run, record);
	read_counters(run, record);
	/* Of a program that never started there is nothing to measure. */
	record->wall_ns = ran(run) ? run->ended_ns - run->gate_ns : NOT_MEASURED;
	record->setup_ns = run->gate_open ? run->setup_ended_ns - run->started_ns : NOT_MEASURED;
	record->ended_ns = run->ending_ns ? run->ending_ns : run->ended_ns ? run->ended_ns : NOT_MEASURED;
	record->landlock_abi = run->task.landlock_abi;
	record->seccomp_enforced = run->task.seccomp;
	record->audit = run->task.audit;
	record->killed_for = run->killed_for;
	record->denials_lost = run->denials_lost;
	record->sample_step_ns = run->series_step_ns;
	record->stdout_bytes = run->pumps[1].count;
	record->stderr_bytes = run->pumps[2].count;
	record->stdout_truncated = run->pumps[1].truncated;
	record->stderr_truncated = run->pumps[2].truncated;
	memcpy(record->mechanisms, run->plan.exec->mechanisms, sizeof(record->mechanisms));
	/* A perf clock that this host refused, or that the program got rid of: the truth is what took its place. */
	if (record->mechanisms[LIMIT_CPU_TIME] == MECHANISM_PERF &&
	    (run->clock < 0 || (ran(run) && !record->cpu_exact)))
		record->mechanisms[LIMIT_CPU_TIME] = MECHANISM_SUPERVISOR;
}

/* A plan that was refused: nothing happened, so nothing was measured. */
static void nothing_measured(struct wire_run_record *record)
{
	record->exit_code = -1;
	record->killed_for = UINT32_MAX;
	record->disk_full = 2;
	record->wall_ns = record->setup_ns = record->ended_ns = record->cpu_ns = record->user_ns = record->system_ns =
		NOT_MEASURED;
	record->memory_peak = record->oom_kills = record->processes_peak = record->process_limit_hits = NOT_MEASURED;
	record->disk_bytes = record->disk_inodes = record->stdout_bytes = record->stderr_bytes = NOT_MEASURED;
}

static void send_denials(const struct run *run)
{
	for (uint32_t i = 0; i < run->denial_count; i++) {
		const struct denial *denial = &run->denials[i];
		struct wire_denial_record record = {
			.syscall = denial->syscall,
			.slot = denial->slot,
			.arguments_kept = denial->arguments_kept,
			.caller = denial->caller,
			.count = denial->count,
			.argument0 = denial->arguments[0],
			.argument1 = denial->arguments[1],
			.argument2 = denial->arguments[2],
			.argument3 = denial->arguments[3],
			.argument4 = denial->arguments[4],
			.argument5 = denial->arguments[5],
		};

		if (denial->count == 0) /* withdrawn, and not made again */
			continue;
		copy_text(record.caller_name, sizeof(record.caller_name), denial->caller_name);
		if (control_send(run, MESSAGE_KIND_DENIAL, &record, sizeof(record)) < 0)
			return;
	}
}

void record_send(struct run *run)
{
	struct wire_run_record record = { .magic = WIRE_MAGIC, .version = WIRE_VERSION, .size = sizeof(record) };

	if (run->plan.exec)
		fill(run, &record);
	else
		nothing_measured(&record);
	/* A client does not wait for that: its cgroups go behind the record, and the server sees to it. */
	record.leftovers = run->client.served ? LEFTOVERS_UNKNOWN : cgroups_remove(run);
	record.cancel_signal = run->cancel_signal;
	record.error_stage = run->failure.stage;
	record.error_step = run->failure.step;
	record.error_index = run->failure.index;
	record.error_errno = run->failure.error;
	record.start_failure = run->start_failure;
	copy_text(record.error_text, sizeof(record.error_text), run->failure.text);
	record.evidence = run->evidence;
	record.verdict =
		classify(run->evidence, !(run->has_status && WIFEXITED(run->status) && WEXITSTATUS(run->status) == 0));
	send_denials(run);
	series_send(run);
	(void)control_send(run, MESSAGE_KIND_RECORD, &record, sizeof(record));
}
