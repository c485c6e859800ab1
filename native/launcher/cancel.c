// SPDX-License-Identifier: Apache-2.0
/* Who wants the end of a run, and how soon. */
#include <sys/epoll.h>
#include <sys/signalfd.h>

#include "run.h"
#include "sys.h"
#include "util.h"

#define DRAIN_AFTER_CANCEL_NS (1 * NS_PER_S)

/* The first wish to end is passed on to a program that is to have time for it. */
static bool stop_program(struct run *run)
{
	const struct wire_exec_plan *exec = run->plan.exec;

	if (run->stop_deadline_ns)
		return true;
	if (!exec->stop_signal || run->state != RUN_RUNNING)
		return false;
	if (run->program_pidfd < 0 || sys_pidfd_send_signal(run->program_pidfd, (int)exec->stop_signal) < 0)
		return false;
	/* However it ends now, it was cancelled. */
	run->evidence |= EVIDENCE_CANCELLED;
	run->stop_deadline_ns = now_ns() + exec->stop_ms * NS_PER_MS;
	return true;
}

/* Who asks a second time wants the end now. One Ctrl-C comes twice: as our signal, and as a word of the command, which got it too. */
void run_cancel(struct run *run, enum cancel_source source, int signal)
{
	bool first = source != CANCEL_AT_ONCE && !(run->cancelled_by & source);

	if (!run->cancel_signal)
		run->cancel_signal = signal;
	run->cancelled_by |= source;
	if (first && stop_program(run))
		return;
	run_end(run, EVIDENCE_CANCELLED);
	/* Somebody who cancels does not wait for a reader that never reads. */
	run->drain_deadline_ns = now_ns() + DRAIN_AFTER_CANCEL_NS;
}

void run_signal_event(struct run *run)
{
	struct signalfd_siginfo info;

	while (read(run->signals, &info, sizeof(info)) == (ssize_t)sizeof(info)) {
		if (info.ssi_signo == SIGWINCH)
			terminal_resize(run);
		else
			run_cancel(run, CANCEL_SIGNAL, (int)info.ssi_signo);
	}
}

/* Everything dies, and nobody waits for the output. */
void run_caller_gone(struct run *run)
{
	run->caller_gone = true;
	(void)epoll_ctl(run->epoll, EPOLL_CTL_DEL, run->control, NULL);
	run_cancel(run, CANCEL_AT_ONCE, 0);
	if (run->state == RUN_DRAINING)
		run->state = RUN_DONE;
}

/* One byte asks to cancel; end of file is the command's death. */
void run_control_event(struct run *run)
{
	char word;
	ssize_t n = recv(run->control, &word, 1, MSG_DONTWAIT | (run->parked ? MSG_PEEK : 0));

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n > 0 && run->parked)
		unpark(run);
	else if (n > 0)
		run_cancel(run, CANCEL_WORD, 0);
	else
		run_caller_gone(run);
}
