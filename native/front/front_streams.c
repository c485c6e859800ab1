// SPDX-License-Identifier: Apache-2.0
/* The launcher's streams, and the place of the report: opened before the run, as a shell would open them. */
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "front.h"

static void end_by(int signal)
{
	_exit(128 + signal);
}

/* Where opening may wait for somebody else, a signal ends it: nothing has been started, and nothing is lost. */
static int open_patiently(const char *path, int flags)
{
	static const int ending[] = { SIGINT, SIGTERM, SIGHUP };
	sigset_t set, blocked;
	int fd;

	(void)sigemptyset(&set);
	for (size_t i = 0; i < ARRAY_SIZE(ending); i++) {
		(void)sigaddset(&set, ending[i]);
		(void)signal(ending[i], end_by);
	}
	(void)sigprocmask(SIG_UNBLOCK, &set, &blocked);
	fd = open(path, flags | O_NOCTTY | O_CLOEXEC, 0666);
	int error = errno;
	(void)sigprocmask(SIG_SETMASK, &blocked, NULL);
	for (size_t i = 0; i < ARRAY_SIZE(ending); i++)
		(void)signal(ending[i], SIG_DFL);
	errno = error;
	return fd;
}

static int open_input(struct front *front)
{
	const char *path = front->options.stdin_path;
	struct stat status;

	if (!path)
		return 0;
	/* As in a shell, a fifo waits for its writer. */
	front->streams[0] = open_patiently(path, O_RDONLY);
	if (front->streams[0] < 0)
		return front_fail(front, "file-unreadable", "opening stdin", path, front_reason(errno), NULL);
	if (fstat(front->streams[0], &status) == 0 && S_ISDIR(status.st_mode))
		return front_fail(front, "file-unreadable", "opening stdin", path, "is a directory", NULL);
	return 0;
}

static bool same_file(int a, int b)
{
	struct stat left, right;

	return fstat(a, &left) == 0 && fstat(b, &right) == 0 && S_ISREG(left.st_mode) && left.st_dev == right.st_dev &&
	       left.st_ino == right.st_ino;
}

static int open_output(struct front *front, int stream, const char *path, const char *doing)
{
	if (!path)
		return 0;
	/* Truncated only after the comparison with the input. */
	front->streams[stream] = open_patiently(path, O_WRONLY | O_CREAT);
	if (front->streams[stream] < 0)
		return front_fail(front, "file-unwritable", doing, path, front_reason(errno), NULL);
	if (front->options.stdin_path && same_file(front->streams[0], front->streams[stream]))
		return front_fail(front, "usage", "reading options", path, "is the file that --stdin reads",
				  "name another file: one would be written over the other");
	return 0;
}

/* What was in a regular file goes only now, when nothing can be refused any more. */
static void truncate_output(int fd)
{
	struct stat status;

	if (fd > 2 && fstat(fd, &status) == 0 && S_ISREG(status.st_mode))
		ignore_result(ftruncate(fd, 0));
}

static int open_captures(struct front *front)
{
	for (int i = 0; i < 2; i++) {
		front->captured[i] = memfd_create(i ? "stderr" : "stdout", MFD_CLOEXEC);
		if (front->captured[i] < 0)
			return front_fail(front, "internal", "capturing the streams", NULL, front_reason(errno), NULL);
		front->streams[1 + i] = front->captured[i];
	}
	return 0;
}

/* /dev/stdout and its like: the caller's descriptor itself, for opened anew a file would be written from its beginning. */
static int named_descriptor(const char *path)
{
	uint64_t number;

	if (strcmp(path, "/dev/stdout") == 0)
		return 1;
	if (strcmp(path, "/dev/stderr") == 0)
		return 2;
	if (strncmp(path, "/dev/fd/", 8) == 0)
		path += 8;
	else if (strncmp(path, "/proc/self/fd/", 14) == 0)
		path += 14;
	else
		return -1;
	return strlen(path) <= 6 && strspn(path, "0123456789") == strlen(path) && parse_u64(path, &number) == 0
		       ? (int)number
		       : -1;
}

static int open_place(struct front *front)
{
	static const char doing[] = "writing the report";
	struct front_place *place = &front->place;
	const char *path = front->options.report_path, *absolute, *slash;
	char here[4096] = "/";
	struct stat status;

	if (!path)
		return 0;
	place->fd = named_descriptor(path);
	if (place->fd >= 0) {
		if (fstat(place->fd, &status) < 0)
			return front_fail(front, "file-unwritable", doing, path, "no such descriptor is open", NULL);
		place->borrowed = true;
		return 0;
	}
	/* A pipe or a device is written as it is. As in a shell, a fifo waits for its reader. */
	if (stat(path, &status) == 0 && !S_ISREG(status.st_mode) && !S_ISDIR(status.st_mode)) {
		place->fd = open_patiently(path, O_WRONLY);
		return place->fd >= 0 ? 0
				      : front_fail(front, "file-unwritable", doing, path, front_reason(errno), NULL);
	}
	if (path[0] != '/' && !getcwd(here, sizeof(here)))
		return front_fail(front, "usage", doing, path, "is relative, and the current folder has been deleted",
				  NULL);
	absolute = path_resolve(front, here, path);
	if (!absolute || front_destination(front, absolute, doing))
		return FRONT_FAILURE;
	slash = strrchr(absolute, '/');
	place->name = slash + 1;
	const char *folder = slash == absolute ? "/" : arena_copy(front, absolute, (size_t)(slash - absolute));
	place->folder = folder ? open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
	if (place->folder < 0)
		return front_fail(front, "file-unwritable", doing, path, front_reason(errno), NULL);
	return 0;
}

int files_open(struct front *front)
{
	int r = open_place(front);

	if (r == 0)
		r = open_input(front);
	if (r == 0 && front->options.json)
		r = open_captures(front);
	if (r == 0)
		r = open_output(front, 1, front->options.stdout_path, "opening stdout");
	if (r == 0)
		r = open_output(front, 2, front->options.stderr_path, "opening stderr");
	if (r)
		return r;
	/* One file for both is opened once, so that neither overwrites the other. */
	if (front->options.stdout_path && front->options.stderr_path &&
	    same_file(front->streams[1], front->streams[2])) {
		(void)close(front->streams[2]);
		front->streams[2] = front->streams[1];
	}
	if (front->options.stdout_path)
		truncate_output(front->streams[1]);
	if (front->options.stderr_path)
		truncate_output(front->streams[2]);
	return 0;
}

static int put_report(struct front *front, int fd, struct text *scratch)
{
	struct json json = { .sink = &front->sink, .pretty = true };

	sink_open(&front->sink, fd, front->signals);
	report_json(&json, &front->report, scratch);
	sink_text(&front->sink, "\n");
	return sink_flush(&front->sink);
}

/* Whole or not at all: a temporary name, made durable, renamed, both names beneath the folder that was opened before the run. */
static int replace_report(struct front *front, struct text *scratch)
{
	const struct front_place *place = &front->place;
	char part[64];
	struct text name = text_in(part, sizeof(part));
	int fd, r;

	text_add(&name, ".belljar-part.");
	text_add_u64(&name, (uint64_t)getpid());
	text_add(&name, ".");
	text_add_u64(&name, now_ns());
	fd = openat(place->folder, part, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0666);
	if (fd < 0)
		return -errno;
	r = put_report(front, fd, scratch);
	if (r == 0 && (fsync(fd) < 0 || renameat(place->folder, part, place->folder, place->name) < 0))
		r = -errno;
	(void)close(fd);
	if (r < 0)
		(void)unlinkat(place->folder, part, 0);
	return r;
}

int place_write(struct front *front, struct text *scratch)
{
	const struct front_place *place = &front->place;
	int r = 0;

	if (place->fd >= 0)
		r = put_report(front, place->fd, scratch);
	else if (place->folder >= 0)
		r = replace_report(front, scratch);
	if (r == 0)
		return 0;
	if (r == -EINTR)
		return front_ended_by_signal(front);
	return front_fail(front, "file-unwritable", "writing the report", front->options.report_path, front_reason(-r),
			  NULL);
}
