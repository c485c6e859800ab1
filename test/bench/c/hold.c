// SPDX-License-Identifier: Apache-2.0
/*
 * Keeps many sandboxes at once, for what they cost together and for what they do to others.
 *
 *   hold COUNT WAY      `plan` and `server`: their programs have each written a byte and go on running; `parked`: made ahead, nothing runs
 *
 * Prints the nanoseconds until all were there, a line, and keeps them until its input ends; then they are told to end, and the nanoseconds until
 * all have is the second line.
 */
#include "ways.h"

#include "wire.gen.h"
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

enum { MAX_COUNT = 5000, AT_ONCE = 8 };

static struct way ways[MAX_COUNT];

/* Two descriptors for each. */
static void raise_limit(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) != 0)
		die("getrlimit");
	limit.rlim_cur = limit.rlim_max;
	if (setrlimit(RLIMIT_NOFILE, &limit) != 0)
		die("setrlimit");
}

static void begin(struct way *way, int out)
{
	if (way_is(way, "server"))
		server_connect(way);
	else
		way_start(way, -1, out);
}

static void await(struct way *way, int in)
{
	char byte;

	if (way_is(way, "parked"))
		launcher_await(way->control, MESSAGE_KIND_PARKED);
	else if (way_is(way, "server"))
		launcher_await(way->control, MESSAGE_KIND_STDOUT);
	else
		read_exactly(in, &byte, 1); /* anybody's: what counts is how many */
}

int main(int argc, char **argv)
{
	int count = argc > 1 ? atoi(argv[1]) : 0, out[2];
	uint64_t from;
	char rest;

	if (count < 1 || count > MAX_COUNT) {
		fprintf(stderr, "usage: hold COUNT WAY\n");
		return 2;
	}
	way_parse(&ways[0], argc, argv, 2);
	for (int i = 1; i < count; i++)
		ways[i] = ways[0];
	raise_limit();
	if (pipe(out) != 0)
		die("pipe");
	from = now_ns();
	for (int i = 0; i < count + AT_ONCE; i++) {
		if (i < count)
			begin(&ways[i], out[1]);
		if (i >= AT_ONCE)
			await(&ways[i - AT_ONCE], out[0]);
	}
	printf("%llu\n", (unsigned long long)(now_ns() - from));
	fflush(stdout);
	while (read(0, &rest, 1) > 0)
		;
	from = now_ns();
	for (int i = 0; i < count; i++)
		close(ways[i].control); /* nobody is there any more: all of it ends */
	for (int i = 0; i < count; i++)
		if (ways[i].pid && waitpid(ways[i].pid, NULL, 0) != ways[i].pid)
			die("waitpid");
	printf("%llu\n", (unsigned long long)(now_ns() - from));
	return 0;
}
