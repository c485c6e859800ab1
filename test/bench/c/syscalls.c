// SPDX-License-Identifier: Apache-2.0
/*
 * What one system call costs under given filters, undisturbed: the cheapest of many short rounds, since a shared machine only ever adds.
 *
 *   syscalls CALL [FILTER...]     CALL: getppid, read (one byte of /dev/zero) or ioctl (on no descriptor)
 *
 * Installs the filters (files of struct sock_filter) in order and prints nanoseconds a call.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

enum { ROUNDS = 200, CALLS = 2000 };

static void die(const char *what)
{
	fprintf(stderr, "syscalls: %s: %s\n", what, strerror(errno));
	exit(1);
}

static void install(const char *path)
{
	static struct sock_filter program[BPF_MAXINSNS];
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t got = fd < 0 ? -1 : read(fd, program, sizeof(program));
	struct sock_fprog fprog = { .filter = program };

	if (got <= 0)
		die(path);
	(void)close(fd);
	fprog.len = (unsigned short)((size_t)got / sizeof(program[0]));
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 || syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &fprog) < 0)
		die("installing the filter");
}

static double now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

static double cheapest(long number, long first, long second, long third)
{
	double best = 1e18;

	for (int round = 0; round < ROUNDS; round++) {
		double start = now_ns();

		for (int i = 0; i < CALLS; i++)
			(void)syscall(number, first, second, third);
		double each = (now_ns() - start) / CALLS;
		if (each < best)
			best = each;
	}
	return best;
}

int main(int argc, char **argv)
{
	char byte;
	int zero = open("/dev/zero", O_RDONLY | O_CLOEXEC);
	const char *call = argc > 1 ? argv[1] : "";

	if (zero < 0)
		die("/dev/zero");
	for (int i = 2; i < argc; i++)
		install(argv[i]);
	if (strcmp(call, "getppid") == 0)
		printf("%.2f\n", cheapest(SYS_getppid, 0, 0, 0));
	else if (strcmp(call, "read") == 0)
		printf("%.2f\n", cheapest(SYS_read, zero, (long)&byte, 1));
	else if (strcmp(call, "ioctl") == 0)
		printf("%.2f\n", cheapest(SYS_ioctl, -1, FIONREAD, 0));
	else
		return 2;
	return 0;
}
