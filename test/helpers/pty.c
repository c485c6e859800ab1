// SPDX-License-Identifier: Apache-2.0
/*
 * Runs one command on a terminal of its own, as a terminal emulator does.
 *
 *   pty ROWS COLUMNS COMMAND [ARG...]
 *
 * stdin is what is typed, stdout what the terminal shows. Descriptor 4 takes control lines: "size ROWS COLUMNS", "termios".
 * Descriptor 5 gives events, one JSON object a line: {"pid"}, {"termios":{"iflag","oflag","lflag","foreground"}} when asked and once
 * more when the command has ended, {"status","signal"}.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

enum { CONTROL = 4, EVENTS = 5 };

static void tell_termios(int master)
{
	struct termios t;
	int foreground = -1;

	if (tcgetattr(master, &t) != 0)
		return;
	ioctl(master, TIOCGPGRP, &foreground);
	dprintf(EVENTS, "{\"termios\":{\"iflag\":%u,\"oflag\":%u,\"lflag\":%u,\"foreground\":%d}}\n", t.c_iflag,
		t.c_oflag, t.c_lflag, foreground);
}

static void control(int master, char *line)
{
	unsigned short rows, columns;

	if (sscanf(line, "size %hu %hu", &rows, &columns) == 2) {
		struct winsize size = { .ws_row = rows, .ws_col = columns };

		ioctl(master, TIOCSWINSZ, &size);
	} else if (!strncmp(line, "termios", 7)) {
		tell_termios(master);
	}
}

static int write_all(int fd, const char *bytes, ssize_t length)
{
	while (length > 0) {
		ssize_t n = write(fd, bytes, (size_t)length);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == EAGAIN) {
			struct pollfd wait = { .fd = fd, .events = POLLOUT };

			poll(&wait, 1, 1000);
			continue;
		}
		if (n <= 0)
			return -1;
		bytes += n;
		length -= n;
	}
	return 0;
}

int main(int argc, char **argv)
{
	struct winsize size = { 0 };
	char buffer[4096];
	int master, signals, status;
	sigset_t wanted, old;
	pid_t child;

	if (argc < 4)
		return 2;
	size.ws_row = (unsigned short)atoi(argv[1]);
	size.ws_col = (unsigned short)atoi(argv[2]);
	sigemptyset(&wanted);
	sigaddset(&wanted, SIGCHLD);
	sigprocmask(SIG_BLOCK, &wanted, &old);
	signal(SIGPIPE, SIG_IGN);
	signals = signalfd(-1, &wanted, SFD_CLOEXEC | SFD_NONBLOCK);
	master = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
	if (master < 0 || grantpt(master) || unlockpt(master))
		return 3;
	ioctl(master, TIOCSWINSZ, &size);
	fcntl(CONTROL, F_SETFD, FD_CLOEXEC);
	fcntl(EVENTS, F_SETFD, FD_CLOEXEC);
	child = fork();
	if (child == 0) {
		int slave;

		setsid();
		slave = open(ptsname(master), O_RDWR);
		ioctl(slave, TIOCSCTTY, 0);
		dup2(slave, 0);
		dup2(slave, 1);
		dup2(slave, 2);
		if (slave > 2)
			close(slave);
		signal(SIGPIPE, SIG_DFL);
		sigprocmask(SIG_SETMASK, &old, NULL);
		execvp(argv[3], argv + 3);
		_exit(127);
	}
	dprintf(EVENTS, "{\"pid\":%d}\n", child);
	struct pollfd polled[] = { { .fd = signals, .events = POLLIN },
				   { .fd = master, .events = POLLIN },
				   { .fd = 0, .events = POLLIN },
				   { .fd = CONTROL, .events = POLLIN } };
	for (int ended = 0;;) {
		ssize_t n;

		if (poll(polled, 4, ended ? 0 : -1) < 0 && errno != EINTR)
			break;
		if (polled[1].revents & (POLLIN | POLLHUP)) {
			n = read(master, buffer, sizeof buffer);
			if (n > 0)
				write_all(1, buffer, n);
			else if (ended)
				break;
			else /* everybody has closed the terminal: wait for the end, and do not spin meanwhile */
				polled[1].fd = n < 0 && errno == EIO ? -1 : master;
			continue;
		}
		if (ended)
			break;
		if (polled[2].revents) {
			n = read(0, buffer, sizeof buffer);
			if (n <= 0 || write_all(master, buffer, n) < 0)
				polled[2].fd = -1;
		}
		if (polled[3].revents) {
			n = read(CONTROL, buffer, sizeof buffer - 1);
			if (n <= 0) {
				polled[3].fd = -1;
			} else {
				buffer[n] = 0;
				for (char *line = strtok(buffer, "\n"); line; line = strtok(NULL, "\n"))
					control(master, line);
			}
		}
		if (polled[0].revents && waitpid(child, &status, WNOHANG) == child) {
			ended = 1;
			polled[1].fd = master;
		}
	}
	tell_termios(master);
	dprintf(EVENTS, "{\"status\":%d,\"signal\":%d}\n", WIFEXITED(status) ? WEXITSTATUS(status) : -1,
		WIFSIGNALED(status) ? WTERMSIG(status) : 0);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}
