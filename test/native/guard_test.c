// SPDX-License-Identifier: Apache-2.0
/*
 * init's own filter. A forked process installs it and then tries what a hijacked init would want; each try must end it by
 * SIGSYS. The positive control runs the same call without the filter.
 */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "init.h"

static int failures;

static long try_open(void)
{
	return open("/etc/hostname", O_RDONLY);
}
static long try_exec(void)
{
	return execl("/bin/true", "true", NULL);
}
static long try_kill(void)
{
	return kill(getppid(), 0);
}
static long try_socket(void)
{
	return socket(AF_UNIX, SOCK_STREAM, 0);
}
static long try_fork(void)
{
	return fork();
}
static long try_map(void)
{
	return mmap(NULL, 4096, PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) == MAP_FAILED;
}
static long try_unshare(void)
{
	return unshare(CLONE_FILES);
}
static long try_write(void)
{
	return write(2, "", 0);
}

/* Wait status of a child that tries it. */
static int outcome(long (*attempt)(void), int guarded)
{
	int status = -1;
	pid_t pid = fork();

	if (pid == 0) {
		prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
		if (guarded && guard_filter() < 0)
			_exit(9);
		syscall(SYS_exit_group, attempt() < 0 ? 1 : 0);
	}
	waitpid(pid, &status, 0);
	return status;
}

static void refused(const char *name, long (*attempt)(void))
{
	int with = outcome(attempt, 1), without = outcome(attempt, 0);

	if (WIFSIGNALED(with) && WTERMSIG(with) == SIGSYS && WIFEXITED(without) && WEXITSTATUS(without) == 0)
		return;
	printf("not ok: %s: guarded %x, control %x\n", name, with, without);
	failures++;
}

/* What init needs goes on working under the filter. Raw calls: a sanitizer's wrappers make calls of their own. */
static long try_its_own_work(void)
{
	char byte;

	long read_result = syscall(SYS_read, -1, &byte, 1);
	int read_errno = errno;
	long wait_result = syscall(SYS_wait4, -1, NULL, WNOHANG, NULL);

	return read_result == -1 && read_errno == EBADF && wait_result == -1 && errno == ECHILD ? 0 : -1;
}

int main(void)
{
	int status;

	refused("open", try_open);
	refused("execve", try_exec);
	refused("kill", try_kill);
	refused("socket", try_socket);
	refused("fork", try_fork);
	refused("mmap", try_map);
	refused("unshare", try_unshare);
	refused("write", try_write);
	status = outcome(try_its_own_work, 1);
	if (!WIFEXITED(status) || WEXITSTATUS(status) != 0) {
		printf("not ok: init's own work: %x\n", status);
		failures++;
	}
	printf("%d failures\n", failures);
	return failures != 0;
}
