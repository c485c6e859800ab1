// SPDX-License-Identifier: Apache-2.0
/*
 * The program task: a fork of init that turns itself into the untrusted program.
 *
 * Order matters. Whatever needs a privilege or a free descriptor comes first; ids before capabilities (setresuid clears
 * them), no_new_privs before Landlock and seccomp (both demand it), resource limits after the last descriptor of ours is
 * open, and seccomp last of all. After it the task may only write its state, read the gate and execve.
 * Only async-signal-safe calls. It never cleans up: it says where it failed, and exits.
 */
#include <limits.h>
#include <linux/capability.h>
#include <linux/keyctl.h>
#include <linux/perf_event.h>
#include <linux/securebits.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <termios.h>

#include "audit.h"
#include "init.h"
#include "message.h"
#include "sys.h"
#include "util.h"

struct task {
	const struct plan *plan;
	int gate;
	int stdio[3];
	int descriptors[2];
	struct gate_message message;
	struct audit audit;
};

static _Noreturn void fail(struct task *task, uint32_t step, uint32_t index, int error, const char *text)
{
	task->message.kind = GATE_FAILED;
	task->message.failure.stage = STAGE_CHILD;
	task->message.failure.step = step;
	task->message.failure.index = index;
	task->message.failure.error = error < 0 ? -error : error;
	copy_text(task->message.failure.text, sizeof(task->message.failure.text), text);
	/* write, not send: the profile's filter may be on already, and it is sure to permit write. */
	(void)write_all(task->gate, &task->message, sizeof(task->message));
	_exit(127);
}

static void session(struct task *task)
{
	if (setsid() < 0)
		fail(task, STEP_SESSION, 0, errno, "setsid");
	/* Where an outer filter denies keyctl, it denies it to the program as well. */
	if (syscall(SYS_keyctl, KEYCTL_JOIN_SESSION_KEYRING, NULL) < 0 && errno != ENOSYS && errno != EPERM)
		fail(task, STEP_SESSION, 1, errno, "keyring");
}

static void terminal(struct task *task)
{
	int unlock = 0;

	if (task->plan->exec->stdin != STDIO_KIND_TERMINAL)
		return;
	int master = open("/dev/pts/ptmx", O_RDWR | O_NOCTTY | O_CLOEXEC);
	if (master < 0 || ioctl(master, TIOCSPTLCK, &unlock) < 0)
		fail(task, STEP_TERMINAL, 0, errno, "/dev/pts/ptmx");
	int slave = ioctl(master, TIOCGPTPEER, O_RDWR | O_NOCTTY | O_CLOEXEC);
	if (slave < 0)
		fail(task, STEP_TERMINAL, 1, errno, "/dev/pts/ptmx");
	/* The program must be able to reopen its own terminal after it changed ids. */
	if (fchown(slave, task->plan->exec->uid, task->plan->exec->gid) < 0 || ioctl(slave, TIOCSCTTY, 0) < 0)
		fail(task, STEP_TERMINAL, 2, errno, "");
	task->descriptors[0] = master;
	task->message.has |= GATE_HAS_TERMINAL;
	for (int i = 0; i < 3; i++)
		task->stdio[i] = slave;
}

/*
 * Closes what else init had open, before any path of an image's is followed: "/proc/self/fd/9" as a working directory or a command
 * would lead to the cgroups, the scratch space or the procfs of the host, and from there upwards to all of its files.
 */
static void stdio(struct task *task)
{
	for (int i = 0; i < 3; i++)
		if (dup2(task->stdio[i], i) < 0)
			fail(task, STEP_STDIO, (uint32_t)i, errno, "");
	int r = sys_close_all_but(task->gate, task->descriptors[0]);
	if (r < 0)
		fail(task, STEP_STDIO, 3, r, "");
}

static void bounding_set(struct task *task)
{
	for (unsigned int cap = 0; cap < 64; cap++) {
		if (task->plan->sandbox->bounding_set >> cap & 1)
			continue;
		if (prctl(PR_CAPBSET_DROP, cap, 0, 0, 0) < 0) {
			if (errno == EINVAL && cap > 0)
				return; /* beyond the newest the kernel knows */
			fail(task, STEP_BOUNDING_SET, cap, errno, "");
		}
	}
}

static void groups(struct task *task)
{
	const struct wire_exec_plan *exec = task->plan->exec;
	gid_t list[PLAN_MAX_GROUPS];

	if (task->plan->sandbox->deny_setgroups)
		return;
	for (uint32_t i = 0; i < exec->groups.count; i++)
		list[i] = plan_item(&task->plan->exec_part, exec->groups, wire_number, i)->value;
	if (syscall(SYS_setgroups, exec->groups.count, list) < 0)
		fail(task, STEP_GROUPS, 1, errno, "");
}

static void ids(struct task *task)
{
	const struct wire_exec_plan *exec = task->plan->exec;

	if (exec->capabilities && prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0) < 0)
		fail(task, STEP_IDS, 0, errno, "keep capabilities");
	if (syscall(SYS_setresgid, exec->gid, exec->gid, exec->gid) < 0)
		fail(task, STEP_IDS, 1, errno, "gid");
	if (syscall(SYS_setresuid, exec->uid, exec->uid, exec->uid) < 0)
		fail(task, STEP_IDS, 2, errno, "uid");
}

static void capabilities(struct task *task)
{
	struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct data[2];
	uint64_t set = task->plan->exec->capabilities & task->plan->sandbox->bounding_set;

	for (int i = 0; i < 2; i++) {
		uint32_t half = (uint32_t)(set >> (32 * i));

		data[i] = (struct __user_cap_data_struct){ .effective = half, .permitted = half, .inheritable = half };
	}
	if (prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) < 0)
		fail(task, STEP_CAPABILITIES, 64, errno, "ambient");
	if (syscall(SYS_capset, &header, data) < 0)
		fail(task, STEP_CAPABILITIES, 65, errno, "");
	for (unsigned int cap = 0; cap < 64; cap++)
		if (set >> cap & 1 && prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, cap, 0, 0) < 0)
			fail(task, STEP_CAPABILITIES, cap, errno, "ambient");
}

static void workdir(struct task *task)
{
	const char *path = plan_text(&task->plan->exec_part, task->plan->exec->cwd);

	if (chdir(path) < 0)
		fail(task, STEP_WORKDIR, 0, errno, path);
}

static void landlock(struct task *task)
{
	uint32_t index;
	int r = landlock_restrict(task->plan, &task->message.landlock_abi, &index);

	if (r < 0)
		fail(task, STEP_LANDLOCK, index, r, "");
}

/* Counts this task and everything it will ever fork, from execve on; a host that forbids it is no failure. */
static void cpu_clock(struct task *task)
{
	struct perf_event_attr attr = {
		.type = PERF_TYPE_SOFTWARE,
		.size = sizeof(attr),
		.config = PERF_COUNT_SW_TASK_CLOCK,
		.disabled = 1,
		.inherit = 1,
		.exclude_kernel =
			1, /* what unprivileged users may ask for; a task clock counts kernel time all the same */
		.exclude_hv = 1,
		.enable_on_exec = 1,
	};
	uint32_t by = task->plan->exec->mechanisms[LIMIT_CPU_TIME];

	/* Without a limit the figure is wanted all the same. */
	if (by != MECHANISM_PERF && (by != MECHANISM_NOT_ASKED || task->plan->sandbox->cgroups.count))
		return;
	long fd = syscall(SYS_perf_event_open, &attr, 0, -1, -1, 8 /* PERF_FLAG_FD_CLOEXEC */);
	if (fd < 0)
		return;
	task->descriptors[task->message.has ? 1 : 0] = (int)fd;
	task->message.has |= GATE_HAS_CLOCK;
}

static void affinity(struct task *task)
{
	const struct wire_exec_plan *exec = task->plan->exec;
	cpu_set_t set;

	if (exec->cpus.count == 0)
		return;
	CPU_ZERO(&set);
	for (uint32_t i = 0; i < exec->cpus.count; i++) {
		uint32_t cpu = plan_item(&task->plan->exec_part, exec->cpus, wire_number, i)->value;

		if (cpu < CPU_SETSIZE)
			CPU_SET(cpu, &set);
	}
	if (sched_setaffinity(0, sizeof(set), &set) < 0)
		fail(task, STEP_AFFINITY, 0, errno, "");
}

/* The kernel's own structure: C libraries differ in what getrlimit takes. */
struct limit64 {
	uint64_t current, maximum;
};

/*
 * The launcher's own stack, which this task has a copy of, may be larger than the program's is to be: under such a limit it
 * could not grow by another page. So what the steps up to exec need is had before.
 */
static __attribute__((noinline)) void have_stack(void)
{
	volatile char room[64 * 1024];

	for (size_t i = 0; i < sizeof(room); i += 4096)
		room[i] = 0;
}

static void rlimits(struct task *task)
{
	const struct wire_exec_plan *exec = task->plan->exec;

	have_stack();
	for (uint32_t i = 0; i < exec->rlimits.count; i++) {
		const struct wire_rlimit *wanted = plan_item(&task->plan->exec_part, exec->rlimits, wire_rlimit, i);
		struct limit64 limit;

		if (wanted->resource == RLIMIT_NOFILE) /* ours until the last descriptor is sent: open_files.c */
			continue;
		if (syscall(SYS_prlimit64, 0, wanted->resource, NULL, &limit) < 0)
			fail(task, STEP_RLIMITS, i, errno, "");
		if (wanted->hard < limit.maximum)
			limit.maximum = wanted->hard;
		limit.current = wanted->soft < limit.maximum ? wanted->soft : limit.maximum;
		if (syscall(SYS_prlimit64, 0, wanted->resource, &limit, NULL) < 0)
			fail(task, STEP_RLIMITS, i, errno, "");
	}
}

static void reset_signals(struct task *task)
{
	const uint64_t standard[4] = { 0 }; /* the kernel's struct sigaction: SIG_DFL, no flags, an empty mask */
	sigset_t none;

	/* Not by the C library, which keeps two for itself; and whoever was started by posix_spawn(3) got those ignored. */
	for (int signal = 1; signal <= SIGRTMAX; signal++)
		(void)syscall(SYS_rt_sigaction, signal, standard, NULL,
			      sizeof(uint64_t)); /* refused for SIGKILL and SIGSTOP */
	(void)sigemptyset(&none);
	if (sigprocmask(SIG_SETMASK, &none, NULL) < 0)
		fail(task, STEP_SIGNALS, 0, errno, "");
	(void)umask((mode_t)task->plan->exec->umask);
}

static void hand_over_descriptors(struct task *task)
{
	unsigned int count =
		(task->message.has & GATE_HAS_TERMINAL ? 1 : 0) + (task->message.has & GATE_HAS_CLOCK ? 1 : 0);
	int r;

	task->message.kind = GATE_DESCRIPTORS;
	r = count ? message_send(task->gate, &task->message, sizeof(task->message), task->descriptors, count) : 0;
	if (r == 0)
		r = sys_close_range(3, ~0u, CLOSE_RANGE_CLOEXEC);
	if (r < 0)
		fail(task, STEP_DESCRIPTORS, 0, r, "");
}

static void audit(struct task *task)
{
	int r = audit_start(&task->audit, task->plan, &task->gate);

	if (r < 0)
		fail(task, STEP_AUDIT_THREAD, 0, r, "");
}

static void seccomp(struct task *task)
{
	const struct plan *plan = task->plan;
	int r = 0;

	if (audit_works(&task->audit)) {
		r = audit_install(&task->audit);
		if (r < 0)
			fail(task, STEP_SECCOMP, 2, r, "audit filter");
		return;
	}

	/* The base filter first: the profile's need not permit the seccomp call that would install a second one. */
	if (plan->sandbox->base_filter.len)
		r = sys_seccomp_install(plan_bytes(&plan->sandbox_part, plan->sandbox->base_filter),
					plan->sandbox->base_filter.len);
	if (r < 0)
		fail(task, STEP_SECCOMP, 0, r, "base filter");
	if (plan->exec->filter.len)
		r = sys_seccomp_install(plan_bytes(&plan->exec_part, plan->exec->filter), plan->exec->filter.len);
	if (r < 0)
		fail(task, STEP_SECCOMP, 1, r, "filter");
}

static void wait_at_gate(struct task *task)
{
	char go;
	ssize_t n;

	if (write_all(task->gate, &task->message, sizeof(task->message)) < 0)
		_exit(127);
	do
		n = read(task->gate, &go, 1);
	while (n < 0 && errno == EINTR);
	if (n != 1)
		_exit(127);
}

/*
 * Like execvp with the program's own PATH. A file that is there while its interpreter is missing looks like a missing file
 * here; the launcher, which no filter binds, finds out (diagnose.c).
 */
static _Noreturn void search_and_exec(struct task *task)
{
	const struct handover *handover = task->plan->handover;
	char **argv = handover ? handover->argv : task->plan->argv;
	char **envp = handover ? handover->envp : task->plan->envp;
	const char *name = argv[0], *path = "/usr/local/bin:/usr/bin:/bin";
	char candidate[PATH_MAX];
	char denied[PATH_MAX] = "";
	int error = ENOENT;

	if (strchr(name, '/')) {
		(void)execve(name, argv, envp);
		fail(task, STEP_EXEC, 0, errno, name);
	}
	for (char **at = envp; *at; at++)
		if (strncmp(*at, "PATH=", 5) == 0)
			path = *at + 5;
	for (uint32_t index = 0; *name; index++) {
		size_t length = strcspn(path, ":");
		struct text text = text_in(candidate, sizeof(candidate));

		if (length < sizeof(candidate) - 1) {
			memcpy(candidate, length ? path : ".", length ? length : 1);
			text.at = candidate + (length ? length : 1);
			*text.at = '\0';
			text_add(&text, "/");
			text_add(&text, name);
			(void)execve(candidate, argv, envp);
			if (errno != ENOENT && errno != ENOTDIR && errno != EACCES)
				fail(task, STEP_EXEC, index, errno, candidate);
			if (errno == EACCES && error != EACCES) {
				error = EACCES;
				copy_text(denied, sizeof(denied), candidate);
			}
		}
		if (path[length] == '\0')
			break;
		path += length + 1;
	}
	fail(task, STEP_EXEC, 0, error, error == EACCES ? denied : name);
}

void task_main(struct init *init)
{
	struct task task = {
		.plan = init->plan,
		.gate = init->exec_fds[0],
		.stdio = { init->exec_fds[1], init->exec_fds[2], init->exec_fds[3] },
		.descriptors = { -1, -1 },
	};

	session(&task);
	terminal(&task);
	stdio(&task);
	bounding_set(&task);
	groups(&task);
	ids(&task);
	capabilities(&task);
	workdir(&task);
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		fail(&task, STEP_NO_NEW_PRIVS, 0, errno, "");
	landlock(&task);
	cpu_clock(&task);
	affinity(&task);
	audit(&task);
	rlimits(&task);
	reset_signals(&task);
	hand_over_descriptors(&task);
	task.message.cpu_ns = clock_ns(CLOCK_PROCESS_CPUTIME_ID);
	task.message.seccomp = task.plan->exec->filter.len != 0;
	task.message.kind = GATE_WAITING;
	seccomp(&task);
	task.message.audit = task.audit.state;
	wait_at_gate(&task);
	search_and_exec(&task);
}
