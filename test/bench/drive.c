// SPDX-License-Identifier: Apache-2.0
/*
 * Times several commands in turn, round after round, so that whatever the machine does meanwhile hits all of them alike.
 *
 *   drive ROUNDS CASE... ; a CASE is `exec COMMAND [ARG...]` or `plan FILE COMMAND [ARG...]`, ended by `--next`
 *
 * `plan`: FILE holds the two encoded parts of a plan; the command gets them on descriptor 3, a socket that stays open until the run
 * record has come. Every command must exit 0 (a plan: its program too), or nothing is printed and drive exits 1.
 * Prints one JSON array of nanoseconds for each case, a line each; the first round warms up and is not counted.
 */
#include "wire.gen.h"
#include <errno.h>
#include <fcntl.h>
#include <spawn.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { MAX_CASES = 16, MAX_ROUNDS = 10000, CONTROL = 3 };

struct one_case {
	char **argv; /* NULL-terminated */
	char *plan;
	size_t plan_length;
};

static uint64_t times[MAX_CASES][MAX_ROUNDS];
extern char **environ;

static void die(const char *what)
{
	fprintf(stderr, "drive: %s: %s\n", what, strerror(errno));
	exit(1);
}

static uint64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static void read_exactly(int fd, void *into, size_t length)
{
	for (size_t done = 0; done < length;) {
		ssize_t n = read(fd, (char *)into + done, length - done);

		if (n == 0)
			errno = EPIPE;
		if (n <= 0)
			die("reading from the launcher");
		done += (size_t)n;
	}
}

/* Reads messages up to the run record; the program must have ended with `ok`. */
static void await_record(int fd)
{
	struct wire_run_record record;
	char skipped[4096];

	for (;;) {
		uint32_t header[2];

		read_exactly(fd, header, sizeof header);
		if (header[0] == MESSAGE_KIND_RECORD) {
			if (header[1] != sizeof record) {
				fprintf(stderr, "drive: a record of %u bytes\n", header[1]);
				exit(1);
			}
			read_exactly(fd, &record, sizeof record);
			if (record.exit_code == 0 && record.error_step == STEP_NONE)
				return;
			fprintf(stderr, "drive: verdict %u, exit code %d, step %u, errno %d: %.256s\n", record.verdict,
				record.exit_code, record.error_step, record.error_errno, record.error_text);
			exit(1);
		}
		for (uint32_t left = header[1]; left > 0;) {
			uint32_t part = left < sizeof skipped ? left : (uint32_t)sizeof skipped;

			read_exactly(fd, skipped, part);
			left -= part;
		}
	}
}

static uint64_t time_one(const struct one_case *one, posix_spawn_file_actions_t *plain)
{
	posix_spawn_file_actions_t with_control;
	int pair[2] = { -1, -1 }, status;
	uint64_t start;
	pid_t pid;

	if (one->plan) {
		if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) != 0)
			die("socketpair");
		posix_spawn_file_actions_init(&with_control);
		posix_spawn_file_actions_addopen(&with_control, 0, "/dev/null", O_RDWR, 0);
		posix_spawn_file_actions_adddup2(&with_control, 0, 1);
		posix_spawn_file_actions_adddup2(&with_control, pair[1], CONTROL);
	}
	start = now_ns();
	errno = posix_spawn(&pid, one->argv[0], one->plan ? &with_control : plain, NULL, one->argv, environ);
	if (errno != 0)
		die(one->argv[0]);
	if (one->plan) {
		close(pair[1]);
		for (size_t done = 0; done < one->plan_length;) {
			ssize_t n = write(pair[0], one->plan + done, one->plan_length - done);

			if (n < 0)
				die("writing the plan");
			done += (size_t)n;
		}
		await_record(pair[0]);
	}
	if (waitpid(pid, &status, 0) != pid)
		die("waitpid");
	uint64_t taken = now_ns() - start;
	if (one->plan) {
		close(pair[0]);
		posix_spawn_file_actions_destroy(&with_control);
	}
	if (!WIFEXITED(status) || WEXITSTATUS(status) != 0) {
		fprintf(stderr, "drive: %s: wait status %#x\n", one->argv[0], status);
		exit(1);
	}
	return taken;
}

static void load_plan(struct one_case *one, const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	struct stat st;

	if (fd < 0 || fstat(fd, &st) != 0)
		die(path);
	one->plan_length = (size_t)st.st_size;
	one->plan = malloc(one->plan_length);
	if (!one->plan)
		die("malloc");
	read_exactly(fd, one->plan, one->plan_length);
	close(fd);
}

int main(int argc, char **argv)
{
	struct one_case cases[MAX_CASES] = { 0 };
	posix_spawn_file_actions_t plain;
	int count = 0, rounds = argc > 1 ? atoi(argv[1]) : 0;

	for (int i = 2; i < argc && count < MAX_CASES; count++) {
		if (!strcmp(argv[i], "plan") && i + 1 < argc)
			load_plan(&cases[count], argv[++i]);
		cases[count].argv = &argv[++i];
		while (i < argc && strcmp(argv[i], "--next") != 0)
			i++;
		if (i < argc)
			argv[i++] = NULL;
	}
	if (rounds < 1 || rounds >= MAX_ROUNDS || count == 0) {
		fprintf(stderr, "usage: drive ROUNDS (exec | plan FILE) COMMAND [ARG...] [--next ...]\n");
		return 2;
	}
	posix_spawn_file_actions_init(&plain);
	posix_spawn_file_actions_addopen(&plain, 0, "/dev/null", O_RDWR, 0);
	posix_spawn_file_actions_adddup2(&plain, 0, 1);
	for (int round = 0; round <= rounds; round++)
		for (int c = 0; c < count; c++)
			times[c][round] = time_one(&cases[c], &plain);
	for (int c = 0; c < count; c++) {
		printf("[");
		for (int round = 1; round <= rounds; round++)
			printf("%s%llu", round > 1 ? "," : "", (unsigned long long)times[c][round]);
		printf("]\n");
	}
	return 0;
}
