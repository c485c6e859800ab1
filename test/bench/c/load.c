// SPDX-License-Identifier: Apache-2.0
/*
 * Runs a second: so many clients, each a process, that start the next run as soon as their last one has ended.
 *
 *   load CLIENTS RUNS WAY       prints the nanoseconds that all runs together took
 */
#include "ways.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

enum { MAX_CLIENTS = 256 };

static _Noreturn void client(struct way *way, int start, long *left)
{
	char byte;

	if (read(start, &byte, 1) != 0)
		die("waiting for the start");
	while (__atomic_fetch_sub(left, 1, __ATOMIC_RELAXED) > 0)
		(void)way_time(way);
	way_end(way);
	exit(0);
}

int main(int argc, char **argv)
{
	int clients = argc > 1 ? atoi(argv[1]) : 0, start[2];
	long runs = argc > 2 ? atol(argv[2]) : 0;
	pid_t pids[MAX_CLIENTS];
	struct way way;
	uint64_t from;

	if (clients < 1 || clients > MAX_CLIENTS || runs < 1) {
		fprintf(stderr, "usage: load CLIENTS RUNS WAY\n");
		return 2;
	}
	way_parse(&way, argc, argv, 3);
	long *left = mmap(NULL, sizeof(*left), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (left == MAP_FAILED || pipe(start) != 0)
		die("setting up");
	*left = runs;
	for (int i = 0; i < clients; i++) {
		pids[i] = fork();
		if (pids[i] < 0)
			die("fork");
		if (pids[i] == 0) {
			close(start[1]);
			client(&way, start[0], left);
		}
	}
	from = now_ns();
	close(start[1]); /* go */
	for (int i = 0; i < clients; i++) {
		int status;

		if (waitpid(pids[i], &status, 0) != pids[i] || status != 0)
			die_saying("a client failed");
	}
	printf("%llu\n", (unsigned long long)(now_ns() - from));
	return 0;
}
