// SPDX-License-Identifier: Apache-2.0
/*
 * The run's cgroups: made, limited, read back, read, killed and removed here, because this must work without the command.
 *
 * v2: <parent>/<run> with <run>/init (PID 1, so that it survives an OOM kill of the program and can tell) and <run>/exec-1
 * (the program, with all limits). v1: <parent>/<run> in each hierarchy, for the program only. The program task is attached
 * while it waits at the gate, by the process id that the kernel reported.
 */
#include <sys/statfs.h>
#include <sys/statvfs.h>

#include "cgroup_file.h"
#include "run.h"
#include "sys.h"
#include "util.h"

static const struct wire_cgroup_hierarchy *hierarchy(const struct run *run, uint32_t i)
{
	return plan_item(&run->plan.sandbox_part, run->plan.sandbox->cgroups, wire_cgroup_hierarchy, i);
}

/* None before a plan was accepted. */
static uint32_t hierarchies(const struct run *run)
{
	return run->plan.sandbox ? run->plan.sandbox->cgroups.count : 0;
}

static const char *controllers(const struct run *run, uint32_t i)
{
	return plan_text(&run->plan.sandbox_part, hierarchy(run, i)->controllers);
}

static int fail_at(struct run *run, uint32_t step, uint32_t index, int error, const char *name)
{
	const char *parent = plan_text(&run->plan.sandbox_part, hierarchy(run, index)->parent);
	char path[256];
	struct text text = text_in(path, sizeof(path));

	text_add(&text, parent);
	text_add(&text, "/");
	text_add(&text, plan_text(&run->plan.sandbox_part, run->plan.sandbox->run_id));
	text_add(&text, "/");
	text_add(&text, name);
	return run_fail(run, STAGE_PARENT, step, index, error, path);
}

static int fail(struct run *run, uint32_t index, int error, const char *name)
{
	return fail_at(run, STEP_MAKE_CGROUP, index, error, name);
}

static int make_directory(int parent, const char *name, bool *ret_made)
{
	if (mkdirat(parent, name, 0755) < 0)
		return -errno;
	*ret_made = true;
	int fd = openat(parent, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	return fd < 0 ? -errno : fd;
}

/* "+memory +pids" for the children of `dir`. Enabling what is enabled already is no error. */
static int enable(int dir, const char *names)
{
	char line[128];
	struct text text = text_in(line, sizeof(line));

	if (!*names)
		return 0;
	while (*names) {
		size_t length = strcspn(names, " ");
		char name[32];

		if (length >= sizeof(name))
			return -EINVAL;
		memcpy(name, names, length);
		name[length] = '\0';
		text_add(&text, "+");
		text_add(&text, name);
		names += length;
		names += strspn(names, " ");
		text_add(&text, *names ? " " : "");
	}
	return cgroup_write_file(dir, "cgroup.subtree_control", line);
}

static int make_v2(struct run *run, uint32_t i)
{
	struct cgroup *cgroup = &run->cgroups[i];
	int r = enable(cgroup->parent, controllers(run, i));

	if (r < 0)
		return fail(run, i, r, "../cgroup.subtree_control");
	r = enable(cgroup->run, controllers(run, i));
	if (r < 0)
		return fail(run, i, r, "cgroup.subtree_control");
	cgroup->init = make_directory(cgroup->run, "init", &cgroup->made_init);
	if (cgroup->init < 0)
		return fail(run, i, cgroup->init, "init");
	cgroup->exec = make_directory(cgroup->run, "exec-1", &cgroup->made_exec);
	return cgroup->exec < 0 ? fail(run, i, cgroup->exec, "exec-1") : 0;
}

/* A limit counts only when the kernel says it back. */
static int write_limit(struct run *run, const struct wire_cgroup_write *limit)
{
	const struct part *part = &run->plan.exec_part;
	const char *name = plan_text(part, limit->file), *value = plan_text(part, limit->value);
	int dir = run->cgroups[limit->hierarchy].exec;
	char back[128];
	int r = cgroup_write_file(dir, name, value);

	if ((r == -ENOENT || r == -EACCES || r == -EPERM) && limit->optional)
		return 0;
	if (r == 0)
		r = cgroup_read_file(dir, name, back, sizeof(back));
	if (r < 0)
		return fail(run, limit->hierarchy, r, name);
	back[strcspn(back, "\n")] = '\0';
	return strcmp(back, value) == 0 ? 0 : fail(run, limit->hierarchy, EINVAL, name);
}

int cgroups_make(struct run *run)
{
	const struct wire_sandbox_plan *sandbox = run->plan.sandbox;
	const char *name = plan_text(&run->plan.sandbox_part, sandbox->run_id);
	int r;

	for (uint32_t i = 0; i < sandbox->cgroups.count; i++) {
		struct cgroup *cgroup = &run->cgroups[i];

		cgroup->parent = open(plan_text(&run->plan.sandbox_part, hierarchy(run, i)->parent),
				      O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		if (cgroup->parent < 0)
			return fail(run, i, errno, "..");
		cgroup->run = make_directory(cgroup->parent, name, &cgroup->made_run);
		if (cgroup->run < 0)
			return fail(run, i, cgroup->run, "");
		if (hierarchy(run, i)->version == 1)
			cgroup->exec = cgroup->run;
		else if ((r = make_v2(run, i)) < 0)
			return r;
	}
	return cgroups_limit(run, NULL);
}

static bool has_written(const struct plan *plan, const struct plan *from, const struct wire_cgroup_write *limit)
{
	if (!plan)
		return false;
	const struct part *part = &plan->exec_part;
	for (uint32_t i = 0; i < plan->exec->cgroup_writes.count; i++) {
		const struct wire_cgroup_write *one = plan_item(part, plan->exec->cgroup_writes, wire_cgroup_write, i);

		if (one->hierarchy == limit->hierarchy &&
		    strcmp(plan_text(part, one->file), plan_text(&from->exec_part, limit->file)) == 0)
			return strcmp(plan_text(part, one->value), plan_text(&from->exec_part, limit->value)) == 0;
	}
	return false;
}

int cgroups_limit(struct run *run, const struct plan *before)
{
	for (uint32_t i = 0; i < run->plan.exec->cgroup_writes.count; i++) {
		const struct wire_cgroup_write *limit =
			plan_item(&run->plan.exec_part, run->plan.exec->cgroup_writes, wire_cgroup_write, i);
		int r = has_written(before, &run->plan, limit) ? 0 : write_limit(run, limit);

		if (r < 0)
			return r;
	}
	return 0;
}

int cgroups_init_fd(const struct run *run)
{
	for (uint32_t i = 0; i < hierarchies(run); i++)
		if (hierarchy(run, i)->version == 2)
			return run->cgroups[i].init;
	return -1;
}

int cgroups_attach(struct run *run, pid_t pid)
{
	char line[24];
	struct text text = text_in(line, sizeof(line));
	int r;

	text_add_u64(&text, (uint64_t)pid);
	for (uint32_t i = 0; i < hierarchies(run); i++) {
		if (pid <= 0)
			return run_fail(run, STAGE_PARENT, STEP_ATTACH_CGROUP, i, ESRCH, "");
		r = cgroup_write_file(run->cgroups[i].exec, "cgroup.procs", line);
		if (r < 0)
			return run_fail(run, STAGE_PARENT, STEP_ATTACH_CGROUP, i, r, "cgroup.procs");
	}
	return 0;
}

/*
 * Whoever removes a cgroup has moved its processes out before, and one that cannot be written takes no kill and cannot be removed: either
 * way the limits are not what the report would say. Neither makes a noise that could be waited for.
 */
int cgroups_check(struct run *run)
{
	struct statfs status;

	for (uint32_t i = 0; i < hierarchies(run); i++) {
		const char *name = hierarchy(run, i)->version == 2 ? "exec-1/cgroup.procs" : "cgroup.procs";
		int dir = run->cgroups[i].exec, r = 0;

		if (faccessat(dir, "cgroup.procs", F_OK, 0) < 0 || fstatfs(dir, &status) < 0)
			r = -errno;
		else if (status.f_flags & ST_RDONLY)
			r = -EROFS;
		if (r < 0)
			return fail_at(run, STEP_SUPERVISE, i, r, name);
	}
	return 0;
}

/* Index of the hierarchy that has a controller (v2: any question that every cgroup can answer), or -1. */
static int having(const struct run *run, const char *controller)
{
	for (uint32_t i = 0; i < hierarchies(run); i++)
		if (cgroup_has_word(controllers(run, i), controller))
			return (int)i;
	return -1;
}

static int unified(const struct run *run)
{
	for (uint32_t i = 0; i < hierarchies(run); i++)
		if (hierarchy(run, i)->version == 2)
			return (int)i;
	return -1;
}

enum mechanism cgroups_cpu_by(const struct run *run)
{
	if (unified(run) >= 0) /* cpu.stat is there without the cpu controller too */
		return MECHANISM_CGROUP2;
	return having(run, "cpuacct") >= 0 ? MECHANISM_CGROUP1 : MECHANISM_NONE;
}

uint64_t cgroups_cpu_ns(const struct run *run)
{
	int i = unified(run);
	uint64_t usec;

	if (i >= 0) {
		usec = cgroup_keyed_number(run->cgroups[i].exec, "cpu.stat", "usage_usec");
		return usec == NOT_MEASURED ? usec : usec * 1000;
	}
	i = having(run, "cpuacct");
	return i < 0 ? NOT_MEASURED : cgroup_number(run->cgroups[i].exec, "cpuacct.usage");
}

uint64_t cgroups_memory_bytes(const struct run *run)
{
	int i = having(run, "memory");

	if (i < 0)
		return NOT_MEASURED;
	return cgroup_number(run->cgroups[i].exec,
			     hierarchy(run, (uint32_t)i)->version == 2 ? "memory.current" : "memory.usage_in_bytes");
}

uint64_t cgroups_processes(const struct run *run)
{
	int i = having(run, "pids");

	return i < 0 ? NOT_MEASURED : cgroup_number(run->cgroups[i].exec, "pids.current");
}

uint64_t cgroups_oom_kills(const struct run *run)
{
	int i = having(run, "memory");

	if (i < 0)
		return NOT_MEASURED;
	return cgroup_keyed_number(run->cgroups[i].exec,
				   hierarchy(run, (uint32_t)i)->version == 2 ? "memory.events" : "memory.oom_control",
				   "oom_kill");
}

static uint64_t memory_peak(const struct run *run, uint32_t i)
{
	return cgroup_number(run->cgroups[i].exec,
			     hierarchy(run, i)->version == 2 ? "memory.peak" : "memory.max_usage_in_bytes");
}

/*
 * Whether memory ran out somewhere else, above the run's cgroup or in the whole host: its own peak was never near its limit. (One page more
 * than the limit is what kills; a request may be of some.)
 */
bool cgroups_memory_ran_out_above(const struct run *run)
{
	const uint64_t near = 1 << 20, limit = run->plan.exec->memory_bytes;
	int i = having(run, "memory");

	if (i < 0 || limit == 0)
		return false;
	uint64_t peak = memory_peak(run, (uint32_t)i);
	uint64_t with_swap = cgroup_number(run->cgroups[i].exec, "memory.memsw.max_usage_in_bytes");
	if (with_swap != NOT_MEASURED && with_swap > peak)
		peak = with_swap;
	return peak != NOT_MEASURED && peak + near < limit;
}

static void read_cpu_split(const struct run *run, struct wire_run_record *record)
{
	int i = unified(run);

	if (i < 0)
		return; /* cpuacct.stat counts in ticks: too coarse to be called a measurement */
	uint64_t user = cgroup_keyed_number(run->cgroups[i].exec, "cpu.stat", "user_usec");
	uint64_t system = cgroup_keyed_number(run->cgroups[i].exec, "cpu.stat", "system_usec");
	if (user != NOT_MEASURED && system != NOT_MEASURED) {
		record->user_ns = user * 1000;
		record->system_ns = system * 1000;
	}
}

void cgroups_read(const struct run *run, struct wire_run_record *record)
{
	int i = having(run, "memory");

	if (i >= 0) {
		record->memory_peak = memory_peak(run, (uint32_t)i);
		record->oom_kills = cgroups_oom_kills(run);
	}
	i = having(run, "pids");
	if (i >= 0) {
		record->processes_peak = cgroup_number(run->cgroups[i].exec, "pids.peak");
		record->process_limit_hits = cgroup_keyed_number(run->cgroups[i].exec, "pids.events", "max");
	}
	read_cpu_split(run, record);
}

void cgroups_kill(const struct run *run)
{
	/* Where the kernel has it (5.14, v2): also reaches what the program moved into cgroups of its own making. */
	for (uint32_t i = 0; i < hierarchies(run); i++)
		if (run->cgroups[i].run >= 0 && hierarchy(run, i)->version == 2)
			(void)cgroup_write_file(run->cgroups[i].run, "cgroup.kill", "1");
}

/* Members that are dying leave a moment after their parent was told; there is no event for it in v1. */
static bool remove_directory(int parent, const char *name)
{
	const struct timespec pause = { .tv_nsec = (long)NS_PER_MS };

	for (int tries = 0; tries < 500; tries++) {
		if (unlinkat(parent, name, AT_REMOVEDIR) == 0 || errno == ENOENT)
			return true;
		if (errno != EBUSY)
			return false;
		(void)nanosleep(&pause, NULL);
	}
	return false;
}

uint32_t cgroups_remove(struct run *run)
{
	uint32_t left = 0;

	for (uint32_t i = 0; i < hierarchies(run); i++) {
		struct cgroup *cgroup = &run->cgroups[i];

		if (cgroup->made_exec && !remove_directory(cgroup->run, "exec-1"))
			left++;
		if (cgroup->made_init && !remove_directory(cgroup->run, "init"))
			left++;
		if (cgroup->made_run &&
		    !remove_directory(cgroup->parent, plan_text(&run->plan.sandbox_part, run->plan.sandbox->run_id)))
			left++;
	}
	return left;
}
