// SPDX-License-Identifier: Apache-2.0
/* What every run begins with, whoever hosts it: empty state, and something to wait with. */
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/signalfd.h>
#include <sys/timerfd.h>

#include "run.h"
#include "sys.h"
#include "util.h"

/* By the kernel's list ("0-3,8"): C libraries differ, and some count what this task may use, of which a program may allow itself more. */
static int online_cpus(void)
{
	CLEANUP_FD int fd = open("/sys/devices/system/cpu/online", O_RDONLY | O_CLOEXEC);
	char list[1024];
	ssize_t n = fd < 0 ? -1 : read(fd, list, sizeof(list) - 1);
	long count = 0;

	if (n <= 0)
		count = sysconf(_SC_NPROCESSORS_ONLN);
	else
		list[n] = '\0';
	for (char *at = list, *end; n > 0 && *at >= '0' && *at <= '9'; at = *end == ',' ? end + 1 : end) {
		long first = strtol(at, &end, 10);
		long last = *end == '-' ? strtol(end + 1, &end, 10) : first;

		count += last - first + 1;
	}
	return count < 1 ? 1 : (int)count;
}

static int take_signals(struct run *run)
{
	static const int ours[] = { SIGINT, SIGTERM, SIGHUP, SIGQUIT };
	static const int ignored[] = { SIGPIPE, SIGTTIN, SIGTSTP };
	sigset_t set;

	(void)sigemptyset(&set);
	for (size_t i = 0; i < ARRAY_SIZE(ours); i++)
		(void)sigaddset(&set, ours[i]);
	for (size_t i = 0; i < ARRAY_SIZE(ignored); i++)
		(void)signal(ignored[i], SIG_IGN);
	(void)signal(SIGCHLD, SIG_DFL); /* an inherited SIG_IGN would reap our children behind our back */
	if (sigprocmask(SIG_SETMASK, &set, NULL) < 0)
		return -errno;
	run->signals = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	return run->signals < 0 ? -errno : 0;
}

struct run *run_make(int control)
{
	struct run *run =
		mmap(NULL, sizeof(*run), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (run == MAP_FAILED)
		return NULL;
	run->control = control;
	run->epoll = run->timer = run->signals = run->channel = run->gate = run->init_pidfd = -1;
	run->listener.fd = -1;
	run->killed_for = UINT32_MAX;
	run->root = run->work = run->scratch = run->userns = run->segments = run->clock = run->program_pidfd = -1;
	for (size_t i = 0; i < ARRAY_SIZE(run->program_ends); i++)
		run->program_ends[i] = -1;
	for (int i = 0; i < 3; i++)
		run->pumps[i].from.fd = run->pumps[i].to.fd = -1;
	for (int i = 0; i < PLAN_MAX_HIERARCHIES; i++)
		run->cgroups[i].parent = run->cgroups[i].run = run->cgroups[i].init = run->cgroups[i].exec = -1;
	for (int i = 0; i < PLAN_MAX_COMPANIONS; i++)
		run->companions[i].pidfd = run->companions[i].ready = -1;
	for (int i = 0; i < PLAN_MAX_FILES; i++)
		run->files_in[i] = run->out_folders[i] = -1;
	run->own_pid = getpid();
	run->online_cpus = online_cpus();
	return run;
}

int run_events(struct run *run)
{
	int r = take_signals(run);

	open_files_raise(run);
	if (r < 0)
		return run_fail(run, STAGE_PARENT, STEP_SUPERVISE, 2, r, "signals");
	run->epoll = epoll_create1(EPOLL_CLOEXEC);
	run->timer = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
	if (run->epoll < 0 || run->timer < 0)
		return run_fail(run, STAGE_PARENT, STEP_SUPERVISE, 3, errno, "epoll");
	return 0;
}
