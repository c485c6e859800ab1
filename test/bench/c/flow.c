// SPDX-License-Identifier: Apache-2.0
/*
 * Bytes through a stream of the program's.
 *
 *   flow out BYTES WAY     the program writes BYTES; prints the nanoseconds from the first that came to the end
 *   flow in BYTES WAY      BYTES are written for the program, which prints the nanoseconds from the first to the end (toil.c); prints them, too
 *
 * `exec`, `plan` and `server`. The caller's end is a pipe or the server's socket.
 */
#include "ways.h"

#include "wire.gen.h"
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { BLOCK = 1 << 16, WINDOW = 1 << 16 };

static char block[BLOCK];

static void make_pipe(int ends[2])
{
	if (pipe2(ends, O_CLOEXEC) != 0)
		die("pipe");
}

static void print_ns(uint64_t ns)
{
	printf("%llu\n", (unsigned long long)ns);
}

static void pipe_out(struct way *way, long bytes)
{
	uint64_t from = 0;
	long count = 0;
	int ends[2];

	make_pipe(ends);
	way_start(way, -1, ends[1]);
	close(ends[1]);
	for (ssize_t n; (n = read(ends[0], block, BLOCK)) > 0; count += n)
		if (!from)
			from = now_ns();
	print_ns(now_ns() - from);
	if (count != bytes)
		die_saying("%ld bytes came of %ld", count, bytes);
}

static void pipe_in(struct way *way, long bytes)
{
	int in[2], out[2];
	ssize_t n;

	make_pipe(in);
	make_pipe(out);
	way_start(way, in[0], out[1]);
	close(in[0]);
	close(out[1]);
	for (long left = bytes; left > 0; left -= BLOCK)
		write_exactly(in[1], block, left < BLOCK ? (size_t)left : BLOCK);
	close(in[1]);
	while ((n = read(out[0], block, BLOCK)) > 0)
		fwrite(block, 1, (size_t)n, stdout);
}

static void finish(struct way *way)
{
	if (way->plan.at)
		launcher_await(way->control, MESSAGE_KIND_RECORD);
	way_await(way);
	way_done(way);
}

/* One frame from the server; of its output the bytes that came are given back. */
static uint32_t take_frame(int fd, uint32_t *ret_kind, long *room)
{
	uint32_t length, passed_on;

	frame_next(fd, ret_kind, &length);
	if (length > BLOCK)
		die_saying("a frame of %u bytes", length);
	if (*ret_kind == MESSAGE_KIND_STDIN) {
		read_exactly(fd, &passed_on, sizeof(passed_on));
		*room += passed_on;
		return 0;
	}
	read_exactly(fd, block, length);
	return *ret_kind == MESSAGE_KIND_STDOUT ? length : 0;
}

static void server_out(struct way *way, long bytes)
{
	uint64_t from = 0;
	uint32_t kind;
	long count = 0, room = 0;

	server_connect(way);
	frame_send(way->control, MESSAGE_KIND_STDIN, NULL, 0);
	do {
		uint32_t n = take_frame(way->control, &kind, &room);

		if (n && !from)
			from = now_ns();
		count += n;
	} while (kind != MESSAGE_KIND_RECORD);
	print_ns(now_ns() - from);
	if (count != bytes)
		die_saying("%ld bytes came of %ld", count, bytes);
}

/* Never more on the way than was told of, as a client has to. */
static void server_in(struct way *way, long bytes)
{
	static const char zeros[WINDOW];
	long left = bytes, room = WINDOW;
	uint32_t kind = MESSAGE_KIND_NONE, n;

	server_connect(way);
	while (kind != MESSAGE_KIND_RECORD) {
		if (left > 0 && room > 0) {
			long part = left < room ? left : room;

			part = part < BLOCK ? part : BLOCK;
			frame_send(way->control, MESSAGE_KIND_STDIN, zeros, (uint32_t)part);
			left -= part;
			room -= part;
			if (left == 0)
				frame_send(way->control, MESSAGE_KIND_STDIN, NULL, 0);
			continue;
		}
		n = take_frame(way->control, &kind, &room);
		fwrite(block, 1, n, stdout);
	}
}

int main(int argc, char **argv)
{
	bool out = argc > 1 && !strcmp(argv[1], "out");
	long bytes = argc > 2 ? atol(argv[2]) : 0;
	struct way way;

	if (bytes < 1 || (!out && strcmp(argv[1], "in") != 0)) {
		fprintf(stderr, "usage: flow out|in BYTES WAY\n");
		return 2;
	}
	way_parse(&way, argc, argv, 3);
	if (way_is(&way, "server")) {
		(out ? server_out : server_in)(&way, bytes);
		close(way.control);
	} else {
		(out ? pipe_out : pipe_in)(&way, bytes);
		finish(&way);
	}
	return 0;
}
