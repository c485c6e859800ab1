// SPDX-License-Identifier: Apache-2.0
/*
 * Companions: helper programs of the sandbox, such as a FUSE server. Started here, outside the pid namespace (the program
 * can neither see nor signal them), in the sandbox's user, mount and network namespaces as the plan says, with only the
 * ambient capabilities it names, by Landlock kept to the paths it serves, and filtered: what it reads is a stranger's. init waits meanwhile. Their death while the program runs is a sandbox-error, and they
 * never outlive the run: SIGKILL with the launcher's death, SIGKILL at the end.
 */
#include <linux/capability.h>
#include <sys/epoll.h>
#include <sys/wait.h>

#include "companion.h"
#include "init.h"
#include "run.h"
#include "sys.h"
#include "util.h"

static const struct wire_companion *companion_at(const struct run *run, uint32_t i)
{
	return plan_item(&run->plan.sandbox_part, run->plan.sandbox->companions, wire_companion, i);
}

/* What init handed over for them. */
struct joined {
	const int *namespaces;
	int fuse;
};

static int enter(const struct wire_companion *companion, const int namespaces[3])
{
	static const uint32_t kinds[3] = { NAMESPACE_USER, NAMESPACE_MOUNT, NAMESPACE_NETWORK };

	/* The user namespace first: it gives the right to enter the others. */
	for (int i = 0; i < 3; i++)
		if (companion->namespaces & kinds[i] && setns(namespaces[i], (int)kinds[i]) < 0)
			return -errno;
	/*
	 * A copy of the mounts as they are now: init's pivot_root would otherwise move this process's root along with it, into a tree
	 * whose /proc does not know it. What companions serve is reached by descriptor, so they need no mount in common.
	 */
	return companion->namespaces & NAMESPACE_MOUNT && unshare(CLONE_NEWNS) < 0 ? -errno : 0;
}

static int keep_capabilities(uint64_t set)
{
	struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct data[2];

	for (int i = 0; i < 2; i++) {
		uint32_t half = (uint32_t)(set >> (32 * i));

		data[i] = (struct __user_cap_data_struct){ .effective = half, .permitted = half, .inheritable = half };
	}
	if (syscall(SYS_capset, &header, data) < 0)
		return -errno;
	for (unsigned int cap = 0; cap < 64; cap++)
		if (set >> cap & 1 && prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, cap, 0, 0) < 0)
			return -errno;
	return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 ? -errno : 0;
}

static _Noreturn void become(const struct run *run, uint32_t index, const struct joined *joined, int ready)
{
	const struct part *part = &run->plan.sandbox_part;
	const struct wire_companion *companion = companion_at(run, index);
	char *const envp[] = { (char *)(uintptr_t) "PATH=/usr/bin:/bin", NULL };
	char *argv[65];
	sigset_t none;
	bool keep_fuse = companion->fuse && joined->fuse >= 0;
	int null, r, fuse = joined->fuse;

	if (companion->argv.count == 0 || companion->argv.count > 64)
		_exit(1);
	for (uint32_t i = 0; i < companion->argv.count; i++)
		argv[i] = (char *)(uintptr_t)plan_text(part, plan_item(part, companion->argv, wire_text, i)->text);
	argv[companion->argv.count] = NULL;
	null = open("/dev/null", O_RDWR | O_CLOEXEC);
	r = enter(companion, joined->namespaces);
	if (r == 0)
		r = keep_capabilities(companion->ambient_capabilities);
	/* After the last change of credentials; a launcher that died before is seen as end of file on the ready pipe's peer. */
	if (r == 0 && prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) < 0)
		r = -errno;
	if (r == 0 && getppid() != run->own_pid)
		r = -EPIPE;
	/* Out of the way of the numbers that are given away below. */
	if (r == 0 && keep_fuse && (fuse = fcntl(joined->fuse, F_DUPFD_CLOEXEC, FUSE_FD + 1)) < 0)
		r = -errno;
	if (r == 0 && (ready = fcntl(ready, F_DUPFD_CLOEXEC, FUSE_FD + 1)) < 0)
		r = -errno;
	for (int fd = 0; r == 0 && fd < 3; fd++)
		r = dup2(null, fd) < 0 ? -errno : 0;
	if (r == 0 && dup2(ready, READY_FD) < 0)
		r = -errno;
	if (r == 0 && keep_fuse && dup2(fuse, FUSE_FD) < 0)
		r = -errno;
	if (r == 0)
		r = sys_close_range(keep_fuse ? FUSE_FD + 1 : READY_FD + 1, ~0u, 0);
	(void)sigemptyset(&none);
	(void)sigprocmask(SIG_SETMASK, &none, NULL);
	/* With no_new_privs set; what is open stays open. */
	if (r == 0)
		r = landlock_companion(&run->plan, companion->landlock);
	if (r == 0 && companion->filter.len)
		r = sys_seccomp_install(plan_bytes(part, companion->filter), companion->filter.len);
	if (r == 0) {
		(void)execve(argv[0], argv, envp);
		r = -errno;
	}
	_exit(-r);
}

static int watch(struct run *run, int fd, unsigned int id)
{
	struct epoll_event event = { .events = EPOLLIN, .data.u32 = id };

	return epoll_ctl(run->epoll, EPOLL_CTL_ADD, fd, &event) < 0 ? -errno : 0;
}

static int start(struct run *run, uint32_t i, const struct joined *joined)
{
	struct companion_task *task = &run->companions[i];
	int ends[2];

	task->deadline_ns = now_ns() + companion_at(run, i)->deadline_ms * NS_PER_MS;

	if (pipe2(ends, O_CLOEXEC) < 0)
		return -errno;
	task->pid = sys_fork(&task->pidfd);
	if (task->pid == 0)
		become(run, i, joined, ends[1]);
	(void)close(ends[1]);
	task->ready = ends[0];
	if (task->pid < 0)
		return task->pid;
	int r = watch(run, task->pidfd, WATCH_COMPANION + 2 * i + 1);
	if (r == 0 && companion_at(run, i)->ready == COMPANION_READY_USAGE &&
	    fcntl(task->ready, F_SETFL, O_NONBLOCK) < 0)
		r = -errno;
	if (r == 0 && companion_at(run, i)->ready != COMPANION_READY_NONE)
		return watch(run, task->ready, WATCH_COMPANION + 2 * i);
	if (r == 0)
		companions_event(run, i, false);
	return r;
}

/* While companions are awaited, the set-up has as long as the first of them; one that copies an image may take minutes. */
static void extend_setup(struct run *run)
{
	uint32_t count = run->plan.sandbox->companions.count;
	uint64_t first = UINT64_MAX;

	for (uint32_t i = 0; i < count; i++)
		if (!run->companions[i].is_ready && run->companions[i].deadline_ns < first)
			first = run->companions[i].deadline_ns;
	run->setup_deadline_ns = first < UINT64_MAX ? first : now_ns() + SETUP_NS;
}

int companions_start(struct run *run, const int namespaces[3], int fuse)
{
	const struct joined joined = { namespaces, fuse };
	const struct wire_sandbox_plan *sandbox = run->plan.sandbox;

	for (uint32_t i = 0; i < sandbox->companions.count; i++) {
		int r = start(run, i, &joined);

		if (r < 0)
			return run_fail(run, STAGE_COMPANION, STEP_COMPANION_START, i, r, "");
	}
	extend_setup(run);
	return 0;
}

static const char *name_of(const struct run *run, uint32_t i)
{
	const struct wire_list argv = companion_at(run, i)->argv;

	return argv.count ? plan_text(&run->plan.sandbox_part,
				      plan_item(&run->plan.sandbox_part, argv, wire_text, 0)->text)
			  : "";
}

void companions_event(struct run *run, unsigned int index, bool died)
{
	struct companion_task *task = &run->companions[index];

	if (died) {
		int status = 0, error = 0;

		if (waitpid(task->pid, &status, WNOHANG) == task->pid) {
			task->dead = true;
			close_fd(&task->pidfd);
			/* A helper of ours, the one kind that says ready by a byte, ends with the errno of what went wrong. */
			if (companion_at(run, index)->ready == COMPANION_READY_BYTE && WIFEXITED(status))
				error = WEXITSTATUS(status);
			if (run->state < RUN_ENDING)
				(void)run_fail(run, STAGE_COMPANION, STEP_COMPANION_START, index, error,
					       name_of(run, index));
		}
		return;
	}
	if (companion_at(run, index)->ready == COMPANION_READY_USAGE)
		usage_event(run, task);
	else
		close_fd(&task->ready);
	if (task->is_ready)
		return;
	task->is_ready = true;
	extend_setup(run);
	if (++run->companions_ready == run->plan.sandbox->companions.count)
		launch_companions_ready(run);
}

void companions_kill(struct run *run)
{
	for (uint32_t i = 0; i < run->plan.sandbox->companions.count; i++) {
		struct companion_task *task = &run->companions[i];

		if (task->pid <= 0 || task->dead)
			continue;
		(void)sys_pidfd_send_signal(task->pidfd, SIGKILL);
		while (waitpid(task->pid, NULL, 0) < 0 && errno == EINTR)
			;
		task->dead = true;
		close_fd(&task->pidfd);
		close_fd(&task->ready);
	}
}
