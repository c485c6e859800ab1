/* SPDX-License-Identifier: Apache-2.0
 *
 * The ways to run a program that are compared, each by the same words of a command line:
 *
 *   exec COMMAND [ARG...]             fork and exec; whatever the command does
 *   bare ROOTFS COMMAND [ARG...]      a clone with the namespaces and mounts of a sandbox, and exec: what the kernel takes for them (bare.c)
 *   plan FILE LAUNCHER run            FILE holds the sandbox and the exec part; the launcher gets both, and is waited for
 *   parked FILE EXEC LAUNCHER run     the sandbox stands, made from FILE; what is timed starts with EXEC, an exec part
 *   server SOCKET EXEC                a run server's connection: EXEC, no input, all frames up to the record
 *   ask COMMAND [ARG...]              COMMAND is started once; each line that it reads is to be answered by one when a run is over
 *
 * `every N` before one of them: it takes part in each N-th round only. `with NAME=VALUE`: it has that in its environment, too.
 */
#ifndef BENCH_WAYS_H
#define BENCH_WAYS_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct bytes {
	char *at;
	size_t length;
};

struct way {
	const struct kind *kind;
	char **argv; /* NULL-terminated */
	char **environment;
	int every;
	const char *place; /* a rootfs, a socket */
	struct bytes plan, exec;
	pid_t pid;
	int control; /* of a launcher; what a process that is asked reads and writes */
};

extern char **environ;

_Noreturn void die(const char *what);
_Noreturn void die_saying(const char *format, ...) __attribute__((format(printf, 1, 2)));
uint64_t now_ns(void);
void read_exactly(int fd, void *into, size_t length);
void write_exactly(int fd, const void *from, size_t length);

/* Takes the words of one way from argv[at]; up to `--next` or the end. Returns where the next one's begin. */
int way_parse(struct way *way, int argc, char **argv, int at);
/* What is not timed, before each run. */
void way_ready(struct way *way);
/* One run, from its start until it is known how it ended; it has to end well. */
void way_run(struct way *way);
uint64_t way_time(struct way *way);
/* Collects what one run may have left; way_end does it after the last. */
void way_done(struct way *way);
void way_end(struct way *way);

/* What happens in pieces, for `exec`, `plan` and `parked`: the streams of the caller's are `in` and `out`, -1 for /dev/null. */
void way_start(struct way *way, int in, int out);
/* Its process has to end well. */
void way_await(struct way *way);
/* talk.c: reads messages up to the one of this kind; a record must tell of a run that went well. */
void launcher_await(int control, uint32_t kind);

/* A connection to a run server, and the exec part sent. */
void server_connect(struct way *way);
void frame_send(int fd, uint32_t kind, const void *payload, uint32_t length);
/* The next frame's header; its payload is yet to be read, or skipped. */
void frame_next(int fd, uint32_t *ret_kind, uint32_t *ret_length);
void frame_skip(int fd, uint32_t length);
bool way_is(const struct way *way, const char *kind);

/* bare.c: the pid of the new init, which is the program; it has its own standard streams from /dev/null. */
pid_t bare_start(const char *rootfs, char **argv);

#endif
