// SPDX-License-Identifier: Apache-2.0
/*
 * The caller's terminal during a run with a pty: raw while we relay, restored however the run ends. The saved settings are
 * also sent to the command, which restores them when this process is killed.
 */
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/signalfd.h>

#include "run.h"
#include "sys.h"
#include "util.h"

int terminal_raw(struct run *run)
{
	struct termios raw;
	int r;

	if (run->plan.exec->stdin != STDIO_KIND_TERMINAL || !isatty(0))
		return 0;
	if (tcgetattr(0, &run->saved_termios) < 0)
		return run_fail(run, STAGE_PARENT, STEP_OPEN_STDIO, 0, errno, "terminal");
	r = control_send(run, MESSAGE_KIND_TERMINAL, &run->saved_termios, sizeof(run->saved_termios));
	if (r < 0)
		return run_fail(run, STAGE_PARENT, STEP_OPEN_STDIO, 0, r, "control");
	raw = run->saved_termios;
	cfmakeraw(&raw);
	run->terminal_saved = true;
	if (tcsetattr(0, TCSADRAIN, &raw) < 0)
		return run_fail(run, STAGE_PARENT, STEP_OPEN_STDIO, 0, errno, "terminal");
	return 0;
}

/* SIGTTOU is ignored by main, so this works from a background process group too. */
void terminal_restore(struct run *run)
{
	if (run->terminal_saved)
		(void)tcsetattr(0, TCSADRAIN, &run->saved_termios);
	run->terminal_saved = false;
}

void terminal_watch_resize(struct run *run)
{
	sigset_t set;

	/* Not before there is a terminal to resize: until then any signal in this descriptor means the end. */
	if (sigprocmask(SIG_SETMASK, NULL, &set) < 0)
		return;
	(void)sigaddset(&set, SIGWINCH);
	if (sigprocmask(SIG_SETMASK, &set, NULL) == 0)
		(void)signalfd(run->signals, &set, 0);
	terminal_resize(run);
}

void terminal_resize(const struct run *run)
{
	struct winsize size;

	if (run->pumps[0].to_open && run->pumps[0].end_of_input_char && ioctl(0, TIOCGWINSZ, &size) == 0)
		(void)ioctl(run->pumps[0].to.fd, TIOCSWINSZ, &size);
}
