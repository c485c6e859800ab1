// SPDX-License-Identifier: Apache-2.0
/* From a command line to a run: reads the compiled plan, and refuses one that is not for this user, this kernel and this build. */
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <sys/utsname.h>

#include "front.h"
#include "serve.h"
#include "units.h"

static const char reading[] = "reading the plan";
static const char compile_again[] = "compile it again: belljar profile compile PROFILE -o FILE";

enum { PARTS = 3, TABLE_BYTES = 64 };

static void *reserve(size_t size)
{
	void *at = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	return at == MAP_FAILED ? NULL : at;
}

static int refuse(struct front *front, const char *reason, const char *hint)
{
	return front_fail(front, "usage", reading, front->options.file, reason, hint);
}

/* Whose file it is decides what is done with this user's rights, so nobody else may have written it. */
static int read_file(struct front *front, size_t *ret_size)
{
	CLEANUP_FD int fd = open(front->options.file, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	size_t capacity = PARTS * (size_t)WIRE_MAX_PLAN_BYTES;
	struct stat status;
	int r;

	if (fd < 0 || fstat(fd, &status) < 0)
		return front_fail(front, "file-unreadable", reading, front->options.file, front_reason(errno),
				  errno == ENOENT ? "belljar profile compile PROFILE -o FILE makes one" : NULL);
	if (!S_ISREG(status.st_mode))
		return refuse(front, "is no regular file", NULL);
	if ((status.st_uid != geteuid() && status.st_uid != 0) || (status.st_mode & 022))
		return refuse(front, "others may have written it: it is not yours alone",
			      "a compiled plan belongs to who runs it, and nobody else may write it (chmod go-w)");
	if (status.st_size <= 0 || (uint64_t)status.st_size > capacity)
		return refuse(front, "is no compiled plan, or is damaged", compile_again);
	r = read_all(fd, front->plan, (size_t)status.st_size);
	if (r < 0)
		return front_fail(front, "file-unreadable", reading, front->options.file, front_reason(-r), NULL);
	*ret_size = (size_t)status.st_size;
	return 0;
}

/* Where each part lies; the checker says whether it is one. */
static bool find_parts(const struct front *front, size_t size, struct part parts[PARTS])
{
	size_t at = 0;

	for (unsigned int i = 0; i < PARTS; i++) {
		const struct wire_header *header = (const void *)(front->plan + at);

		if (size - at < sizeof(*header) || header->magic != WIRE_MAGIC || header->total_size > size - at ||
		    header->total_size < sizeof(*header) + sizeof(struct wire_str) || header->total_size % 8)
			return false;
		parts[i] = (struct part){ front->plan + at, header->total_size };
		at += header->total_size;
	}
	return at == size;
}

/* The first field of the report part, whatever else a build has in it: then another build's file is told from a damaged one. */
static bool has_table(const struct part *part)
{
	struct wire_str table;

	memcpy(&table, part->base + sizeof(struct wire_header), sizeof(table));
	return table.len == strlen(WIRE_TABLE) && table.off <= part->size && part->size - table.off > table.len &&
	       memcmp(part->base + table.off, WIRE_TABLE, table.len) == 0;
}

static int check_parts(struct front *front, const struct part parts[PARTS])
{
	static const uint32_t kinds[PARTS] = { PLAN_KIND_SANDBOX, PLAN_KIND_EXEC, PLAN_KIND_REPORT };
	struct report *report = &front->report;

	if (!has_table(&parts[2]))
		return refuse(front, "was compiled by another build of belljar, or is damaged", compile_again);
	for (unsigned int i = 0; i < PARTS; i++)
		if (plan_check(parts[i].base, parts[i].size, kinds[i]) < 0)
			return refuse(front, "is no compiled plan, or is damaged", compile_again);
	report->sandbox_part = parts[0];
	report->exec_part = parts[1];
	report->words_part = parts[2];
	report->sandbox = (const void *)(parts[0].base + sizeof(struct wire_header));
	report->exec = (const void *)(parts[1].base + sizeof(struct wire_header));
	report->words = (const void *)(parts[2].base + sizeof(struct wire_header));
	if (!report_fits(report))
		return refuse(front, "is no compiled plan, or is damaged", compile_again);
	report_take_limits(report);
	return 0;
}

/* What was found out of this host is in the plan: where it may differ, the plan may be wrong. */
static int check_host(struct front *front)
{
	const struct report *report = &front->report;
	struct utsname host;

	if (report->words->uid != geteuid() || report->words->gid != getegid() || getuid() != geteuid())
		return refuse(front, "was compiled for another user", compile_again);
	if (uname(&host) < 0 || strcmp(host.release, report_word(report, report->words->kernel)) != 0 ||
	    strcmp(host.machine, report_word(report, report->words->machine)) != 0)
		return refuse(front, "was compiled on another kernel", compile_again);
	return 0;
}

/* A name of its own in the place of the plan's, for its cgroup and for `belljar gc`. */
static int name_run(struct front *front)
{
	const struct plan plan = { .sandbox_part = front->report.sandbox_part, .sandbox = front->report.sandbox };
	char name[RUN_NAME_LENGTH + 1];

	if (!run_name_fits(&plan))
		return refuse(front, "is no compiled plan, or is damaged", compile_again);
	run_name(getpid(), now_ns() % UINT64_C(10000000000000000), name);
	memcpy(front->plan + front->report.sandbox->run_id.off, name, RUN_NAME_LENGTH);
	return 0;
}

static int read_plan(struct front *front)
{
	struct part parts[PARTS];
	size_t size = 0;
	int r = read_file(front, &size);

	if (r)
		return r;
	if (!find_parts(front, size, parts))
		return refuse(front, "is no compiled plan, or is damaged", compile_again);
	r = check_parts(front, parts);
	if (r == 0)
		r = check_host(front);
	return r ? r : name_run(front);
}

/* execve(2) takes so much for one text, and a quarter of the stack limit, within bounds, for all. */
static int check_texts(struct front *front)
{
	const struct wire_exec_plan *exec = front->report.exec;
	const struct report_limit *stack = &front->report.limits[LIMIT_STACK];
	const struct wire_list lists[] = { exec->argv, exec->env };
	uint64_t total = 0, largest = 2 * 1024 * 1024, longest = 32 * (uint64_t)sysconf(_SC_PAGESIZE);
	static const char hint[] = "pass large data through stdin or a file (--stdin, --in)";

	if (stack->is_set && stack->value / 4 < largest)
		largest = stack->value / 4 < 128 * 1024 ? 128 * 1024 : stack->value / 4;
	for (size_t list = 0; list < ARRAY_SIZE(lists); list++)
		for (uint32_t i = 0; i < lists[list].count; i++) {
			uint64_t bytes =
				plan_item(&front->report.exec_part, lists[list], wire_text, i)->text.len + UINT64_C(1);

			if (bytes > longest)
				return front_fail(front, "usage", "compiling the plan", NULL,
						  list ? "an environment variable is longer than Linux takes"
						       : "an argument is longer than Linux takes",
						  hint);
			total += bytes + sizeof(char *);
		}
	if (total > largest)
		return front_fail(front, "usage", "compiling the plan", NULL,
				  "arguments and environment are more than a program can be given (E2BIG)", hint);
	return 0;
}

static int encode(struct front *front)
{
	struct wire_exec_plan *exec;
	uint64_t sample = 0;
	int r = exec_encode(&front->report.exec_part, &front->changes, front->exec, WIRE_MAX_PLAN_BYTES);

	if (r < 0)
		return front_fail(front, "usage", "compiling the plan", NULL, "it is larger than a plan may be", NULL);
	exec = (void *)(front->exec + sizeof(struct wire_header));
	limits_finish(front, exec);
	if (front->options.sample &&
	    (units_parse(LIMIT_UNIT_DURATION, front->options.sample, &sample) < 0 || sample == 0))
		return front_fail(front, "usage", "reading options: '--sample'", front->options.sample,
				  "is no duration such as 50ms or 1s", NULL);
	if (front->options.sample)
		exec->sample_ms = sample;
	front->report.exec_part = (struct part){ front->exec, (uint32_t)r };
	front->report.exec = exec;
	return check_texts(front);
}

/* Before anything is started: a signal that comes when nobody can act on it must neither be lost nor change how this process ends. */
static int hear_signals(struct front *front)
{
	sigset_t set;

	(void)sigemptyset(&set);
	(void)sigaddset(&set, SIGINT);
	(void)sigaddset(&set, SIGTERM);
	(void)sigaddset(&set, SIGHUP);
	(void)signal(SIGPIPE, SIG_IGN);
	/* A report beyond `ulimit -f` is an error that is told, and leaves no half of it. */
	(void)signal(SIGXFSZ, SIG_IGN);
	(void)signal(SIGCHLD, SIG_DFL);
	if (sigprocmask(SIG_BLOCK, &set, NULL) < 0)
		return -errno;
	front->signals = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	return front->signals < 0 ? -errno : 0;
}

static struct front *make_front(void)
{
	struct front *front = reserve(sizeof(*front));

	if (!front)
		return NULL;
	front->plan = reserve(PARTS * (size_t)WIRE_MAX_PLAN_BYTES);
	front->exec = reserve(WIRE_MAX_PLAN_BYTES);
	front->arena = reserve(FRONT_ARENA);
	front->words = reserve((WIRE_MAX_LIST_ITEMS + 1) * sizeof(char *));
	front->env = reserve((WIRE_MAX_LIST_ITEMS + 1) * sizeof(char *));
	if (!front->plan || !front->exec || !front->arena || !front->words || !front->env)
		return NULL;
	front->arena_end = front->arena + FRONT_ARENA;
	for (int i = 0; i < 3; i++)
		front->streams[i] = i;
	front->captured[0] = front->captured[1] = front->place.fd = front->place.folder = front->signals = -1;
	return front;
}

static bool wants_colour(void)
{
	const char *no = getenv("NO_COLOR"), *term = getenv("TERM");

	return isatty(2) && !(no && *no) && !(term && strcmp(term, "dumb") == 0);
}

static int prepare(struct front *front, int argc, char **argv)
{
	int r = options_read(front, argc, argv);

	if (r || front->options.help)
		return r;
	r = read_plan(front);
	if (r == 0)
		r = options_apply(front);
	if (r == 0)
		r = files_apply(front);
	if (r == 0)
		r = shared_files(front);
	if (r == 0)
		r = encode(front);
	if (r)
		return r;
	front_warn(front);
	return files_open(front);
}

int front_main(int argc, char **argv)
{
	struct front *front = make_front();
	int r;

	if (!front || hear_signals(front) < 0)
		return FRONT_FAILURE;
	front->words_given = argv;
	front->colour = wants_colour();
	r = prepare(front, argc, argv);
	if (r)
		return r;
	if (front->options.help) {
		options_help(front);
		return 0;
	}
	r = front_run(front);
	return r ? r : front_tell(front);
}
