// SPDX-License-Identifier: Apache-2.0
/* What init does while the program runs, under its own filter: it reaps, and reports the one end that matters. */
#include <poll.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/wait.h>

#include "init.h"
#include "message.h"
#include "sys.h"
#include "util.h"

/* What was reaped, and with it all that its members had reaped. */
struct reaped {
	uint64_t user_ns, system_ns, max_rss;
};

static uint64_t timeval_ns(struct timeval value)
{
	return (uint64_t)value.tv_sec * NS_PER_S + (uint64_t)value.tv_usec * 1000;
}

/* One that has ended; 0 where none has, -1 where there is no child at all. A program that asks to be traced (PTRACE_TRACEME) makes us the tracer, to whom every stop is told. */
static pid_t reap_one(struct reaped *reaped, int *ret_status)
{
	struct rusage usage;
	int status;
	pid_t pid;

	do
		pid = wait4(-1, &status, WNOHANG | __WALL, &usage);
	while (pid > 0 && WIFSTOPPED(status));
	if (pid <= 0)
		return pid;
	reaped->user_ns += timeval_ns(usage.ru_utime);
	reaped->system_ns += timeval_ns(usage.ru_stime);
	if ((uint64_t)usage.ru_maxrss * 1024 > reaped->max_rss)
		reaped->max_rss = (uint64_t)usage.ru_maxrss * 1024;
	*ret_status = status;
	return pid;
}

/* True when nobody is left but us. */
static bool report_exit(struct init *init, const struct reaped *reaped, int status)
{
	struct init_message message = { .kind = INIT_EXITED, .status = status };
	struct reaped more = *reaped;
	int ignored;

	/* One look more: without a child there is no process below us either, and nobody who could make one. */
	message.is_alone = reap_one(&more, &ignored) < 0;
	message.user_ns = reaped->user_ns;
	message.system_ns = reaped->system_ns;
	message.max_rss = reaped->max_rss;
	message.init_cpu_ns = clock_ns(CLOCK_PROCESS_CPUTIME_ID);
	return message_send(init->channel, &message, sizeof(message), NULL, 0) == 0 && message.is_alone;
}

/* As a task ends that could not become the program: why is looked for in our mounts, which go with us (diagnose.c). */
static bool may_not_have_started(int status)
{
	return WIFEXITED(status) && WEXITSTATUS(status) == 127;
}

/* Reaps until the launcher ends us. Orphans of the program become our children and are reaped like it. */
UNDER_GUARD _Noreturn void init_reap(struct init *init, int signals, pid_t program)
{
	struct pollfd fds[2] = { { .fd = init->channel, .events = POLLIN }, { .fd = signals, .events = POLLIN } };
	struct signalfd_siginfo drained[4];
	struct reaped reaped = { 0 };

	while (true) {
		pid_t pid;
		int status;

		while ((pid = reap_one(&reaped, &status)) > 0)
			/* The launcher would end us now; it need not wake us for that. Companions see the end of our namespaces, and may not before the launcher knows. */
			if (pid == program && report_exit(init, &reaped, status) &&
			    init->plan->sandbox->companions.count == 0 && !may_not_have_started(status))
				_exit(0);
		if (poll(fds, 2, -1) < 0 && errno != EINTR)
			_exit(1);
		if (fds[0].revents & (POLLHUP | POLLERR))
			_exit(1);
		ignore_result(read(signals, drained, sizeof(drained)));
	}
}
