// SPDX-License-Identifier: Apache-2.0
#include "ways.h"

#include "wire.gen.h"
#include <errno.h>
#include <fcntl.h>
#include <spawn.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { CONTROL = 3 };

void die(const char *what)
{
	die_saying("%s: %s", what, strerror(errno));
}

void die_saying(const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	fputs("bench: ", stderr);
	vfprintf(stderr, format, arguments);
	fputs("\n", stderr);
	exit(1);
}

uint64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

void read_exactly(int fd, void *into, size_t length)
{
	for (size_t done = 0; done < length;) {
		ssize_t n = read(fd, (char *)into + done, length - done);

		if (n == 0)
			errno = EPIPE;
		if (n <= 0)
			die("reading");
		done += (size_t)n;
	}
}

void write_exactly(int fd, const void *from, size_t length)
{
	for (size_t done = 0; done < length;) {
		ssize_t n = write(fd, (const char *)from + done, length - done);

		if (n < 0)
			die("writing");
		done += (size_t)n;
	}
}

static struct bytes load(const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	struct bytes bytes;
	struct stat st;

	if (fd < 0 || fstat(fd, &st) != 0)
		die(path);
	bytes.length = (size_t)st.st_size;
	bytes.at = malloc(bytes.length);
	if (!bytes.at)
		die("malloc");
	read_exactly(fd, bytes.at, bytes.length);
	close(fd);
	return bytes;
}

void way_await(struct way *way)
{
	int status;

	if (waitpid(way->pid, &status, 0) != way->pid)
		die("waitpid");
	if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
		die_saying("%s: wait status %#x", way->argv[0], (unsigned int)status);
	way->pid = 0;
}

/* Standard input and output as given, -1 for /dev/null; `control` becomes descriptor 3. */
static void start(struct way *way, int in, int out, int control)
{
	posix_spawn_file_actions_t actions;

	posix_spawn_file_actions_init(&actions);
	if (in >= 0)
		posix_spawn_file_actions_adddup2(&actions, in, 0);
	else
		posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
	if (out >= 0)
		posix_spawn_file_actions_adddup2(&actions, out, 1);
	else
		posix_spawn_file_actions_addopen(&actions, 1, "/dev/null", O_WRONLY, 0);
	if (control >= 0)
		posix_spawn_file_actions_adddup2(&actions, control, CONTROL);
	errno = posix_spawn(&way->pid, way->argv[0], &actions, NULL, way->argv, way->environment);
	if (errno != 0)
		die(way->argv[0]);
	posix_spawn_file_actions_destroy(&actions);
}

static void run_exec(struct way *way)
{
	start(way, -1, -1, -1);
	way_await(way);
}

static void run_bare(struct way *way)
{
	way->pid = bare_start(way->place, way->argv);
	way_await(way);
}

void way_start(struct way *way, int in, int out)
{
	int pair[2];

	if (!way->plan.at) {
		start(way, in, out, -1);
		return;
	}
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) != 0)
		die("socketpair");
	start(way, in, out, pair[1]);
	close(pair[1]);
	way->control = pair[0];
	write_exactly(way->control, way->plan.at, way->plan.length);
}

static void run_plan(struct way *way)
{
	way_start(way, -1, -1);
	launcher_await(way->control, MESSAGE_KIND_RECORD);
	way_await(way);
}

static void ready_parked(struct way *way)
{
	way_start(way, -1, -1);
	launcher_await(way->control, MESSAGE_KIND_PARKED);
}

static void run_parked(struct way *way)
{
	write_exactly(way->control, way->exec.at, way->exec.length);
	launcher_await(way->control, MESSAGE_KIND_RECORD);
}

static void run_server(struct way *way)
{
	server_connect(way);
	frame_send(way->control, MESSAGE_KIND_STDIN, NULL, 0);
	launcher_await(way->control, MESSAGE_KIND_RECORD);
}

static void done_server(struct way *way)
{
	close(way->control);
}

static void done_launcher(struct way *way)
{
	if (way->pid)
		way_await(way);
	close(way->control);
}

static void ready_asked(struct way *way)
{
	int pair[2];

	if (way->pid)
		return;
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) != 0)
		die("socketpair");
	start(way, pair[1], pair[1], -1);
	close(pair[1]);
	way->control = pair[0];
}

static void run_asked(struct way *way)
{
	char answer[2];

	write_exactly(way->control, "\n", 1);
	read_exactly(way->control, answer, 1);
	if (answer[0] != '\n')
		die_saying("%s: an answer that is none", way->argv[0]);
}

/* It sees the end of its input. */
static void end_asked(struct way *way)
{
	if (!way->pid)
		return;
	close(way->control);
	way_await(way);
}

static void nothing(struct way *way)
{
	(void)way;
}

enum { PLAN = 1, EXEC = 2, PLACE = 4 };

static const struct kind {
	const char *name;
	unsigned int takes;
	void (*ready)(struct way *way), (*run)(struct way *way), (*done)(struct way *way), (*end)(struct way *way);
} kinds[] = {
	{ "exec", 0, nothing, run_exec, nothing, nothing },
	{ "bare", PLACE, nothing, run_bare, nothing, nothing },
	{ "plan", PLAN, nothing, run_plan, done_launcher, nothing },
	{ "parked", PLAN | EXEC, ready_parked, run_parked, done_launcher, nothing },
	{ "server", PLACE | EXEC, nothing, run_server, done_server, nothing },
	{ "ask", 0, ready_asked, run_asked, nothing, end_asked },
};

static char *next_word(int argc, char **argv, int *at)
{
	if (*at >= argc || !strcmp(argv[*at], "--next"))
		die_saying("too few words");
	return argv[(*at)++];
}

/* In front, where getenv(3) looks first. */
static void add_to_environment(struct way *way, char *value)
{
	size_t count = 0;
	char **with;

	while (way->environment[count])
		count++;
	with = calloc(count + 2, sizeof(*with));
	if (!with)
		die("calloc");
	with[0] = value;
	memcpy(with + 1, way->environment, count * sizeof(*with));
	way->environment = with;
}

int way_parse(struct way *way, int argc, char **argv, int at)
{
	const char *name = next_word(argc, argv, &at);

	*way = (struct way){ .every = 1, .environment = environ };
	for (;; name = next_word(argc, argv, &at)) {
		if (!strcmp(name, "every"))
			way->every = atoi(next_word(argc, argv, &at));
		else if (!strcmp(name, "with"))
			add_to_environment(way, next_word(argc, argv, &at));
		else
			break;
	}
	for (size_t i = 0; i < sizeof kinds / sizeof *kinds && !way->kind; i++)
		if (!strcmp(name, kinds[i].name))
			way->kind = &kinds[i];
	if (!way->kind || way->every < 1)
		die_saying("no way '%s'", name);
	if (way->kind->takes & PLAN)
		way->plan = load(next_word(argc, argv, &at));
	if (way->kind->takes & PLACE)
		way->place = next_word(argc, argv, &at);
	if (way->kind->takes & EXEC)
		way->exec = load(next_word(argc, argv, &at));
	way->argv = &argv[at];
	while (at < argc && strcmp(argv[at], "--next") != 0)
		at++;
	if (at < argc)
		argv[at++] = NULL;
	return at;
}

bool way_is(const struct way *way, const char *kind)
{
	return !strcmp(way->kind->name, kind);
}

void way_ready(struct way *way)
{
	way->kind->ready(way);
}

void way_run(struct way *way)
{
	way->kind->run(way);
}

uint64_t way_time(struct way *way)
{
	uint64_t from, taken;

	way_ready(way);
	from = now_ns();
	way_run(way);
	taken = now_ns() - from;
	way_done(way);
	return taken;
}

void way_done(struct way *way)
{
	way->kind->done(way);
}

void way_end(struct way *way)
{
	way->kind->end(way);
}
