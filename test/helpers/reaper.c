// SPDX-License-Identifier: Apache-2.0
/*
 * Runs one command and tells, exactly, what it left behind. As a child subreaper it becomes the parent of every process that
 * the command orphans, whatever session, process group or pid namespace it is in; so a leftover is a child, not a guess by name.
 *
 *   reaper GRACE_MS COMMAND [ARG...]
 *
 * Events go to descriptor 3, one JSON object a line: {"pid"}, {"status","signal","wallMs"} when the command ends, and
 * {"leftovers":[{"pid","name"}],"quietMs"} when no process is left or GRACE_MS has passed. Leftovers are then killed.
 * SIGTERM (a deadline of the test) kills everything at once.
 */
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { EVENTS = 3 };

static double now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec * 1e3 + (double)t.tv_nsec / 1e6;
}

/* Calls visit(pid, name) for each child; returns how many there are. */
static int each_child(void (*visit)(int pid, const char *name))
{
	DIR *proc = opendir("/proc");
	struct dirent *entry;
	int count = 0;

	while (proc && (entry = readdir(proc))) {
		char path[64], line[512], *name, *end;
		ssize_t length;
		int fd, parent, pid = atoi(entry->d_name);
		char state;

		if (!isdigit((unsigned char)entry->d_name[0]))
			continue;
		snprintf(path, sizeof path, "/proc/%d/stat", pid);
		fd = open(path, O_RDONLY | O_CLOEXEC);
		if (fd < 0)
			continue;
		length = read(fd, line, sizeof line - 1);
		close(fd);
		if (length <= 0)
			continue;
		line[length] = 0;
		name = strchr(line, '(');
		end = strrchr(line, ')');
		if (!name || !end || sscanf(end + 1, " %c %d", &state, &parent) != 2 || parent != getpid() ||
		    state == 'Z')
			continue;
		*end = 0;
		for (char *c = ++name; *c; c++)
			if (!isalnum((unsigned char)*c) && !strchr("-_./:", *c))
				*c = '?';
		visit(pid, name);
		count++;
	}
	if (proc)
		closedir(proc);
	return count;
}

static const char *separator = "";

static void print_child(int pid, const char *name)
{
	dprintf(EVENTS, "%s{\"pid\":%d,\"name\":\"%s\"}", separator, pid, name);
	separator = ",";
}

static void kill_child(int pid, const char *name)
{
	(void)name;
	kill(pid, SIGKILL);
}

static void kill_all(void)
{
	struct timespec pause = { .tv_nsec = 2000000 };

	for (double end = now_ms() + 5000; now_ms() < end;) {
		each_child(kill_child);
		while (waitpid(-1, NULL, WNOHANG) > 0)
			;
		if (waitpid(-1, NULL, WNOHANG) < 0 && errno == ECHILD)
			return;
		nanosleep(&pause, NULL);
	}
}

int main(int argc, char **argv)
{
	const struct timespec tick = { .tv_nsec = 20000000 };
	double grace_ms, start, ended = 0;
	sigset_t wanted, old;
	int status = 0, none = 0;
	pid_t child;

	if (argc < 3)
		return 2;
	grace_ms = strtod(argv[1], NULL);
	fcntl(EVENTS, F_SETFD, FD_CLOEXEC);
	prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
	prctl(PR_SET_PDEATHSIG, SIGTERM, 0, 0, 0);
	sigemptyset(&wanted);
	sigaddset(&wanted, SIGCHLD);
	sigaddset(&wanted, SIGTERM);
	sigprocmask(SIG_BLOCK, &wanted, &old);
	start = now_ms();
	child = fork();
	if (child == 0) {
		sigprocmask(SIG_SETMASK, &old, NULL);
		execvp(argv[2], argv + 2);
		_exit(127);
	}
	/* Not one of the command's streams is held open here: their end of file is the command's doing alone. */
	close(0);
	close(1);
	close(2);
	close_range(EVENTS + 1, ~0u, 0);
	dprintf(EVENTS, "{\"pid\":%d}\n", child);
	while (!none) {
		int signal_number = sigtimedwait(&wanted, NULL, &tick), one;
		pid_t pid;

		if (signal_number == SIGTERM) {
			kill_all();
			dprintf(EVENTS, "{\"timedOut\":true}\n");
			return 3;
		}
		while ((pid = waitpid(-1, &one, WNOHANG)) > 0) {
			if (pid != child)
				continue;
			ended = now_ms();
			status = one;
			dprintf(EVENTS, "{\"status\":%d,\"signal\":%d,\"wallMs\":%.3f}\n",
				WIFEXITED(status) ? WEXITSTATUS(status) : -1,
				WIFSIGNALED(status) ? WTERMSIG(status) : 0, ended - start);
		}
		none = pid < 0 && errno == ECHILD;
		if (ended > 0 && now_ms() - ended > grace_ms)
			break;
	}
	dprintf(EVENTS, "{\"leftovers\":[");
	if (!none)
		each_child(print_child);
	dprintf(EVENTS, "],\"quietMs\":%.3f}\n", now_ms() - ended);
	kill_all();
	return 0;
}
