/* SPDX-License-Identifier: Apache-2.0
 *
 * `belljar-launch FILE [OPTIONS] -- COMMAND`: one run of a compiled plan, told of as `belljar run` tells it. This process reads FILE, makes the exec part, and
 * forks; the child is the launcher as ever, with a socket for its control, and this process its caller.
 */
#ifndef BELLJAR_FRONT_H
#define BELLJAR_FRONT_H

#include "encode.h"
#include "report.h"

enum {
	FRONT_FAILURE = 125, /* ours, not the program's */
	FRONT_MAX_ENV_OPTIONS = 1024,
	FRONT_ARENA = 8 * 1024 * 1024
};

/* What the command line says; texts are its own. */
struct front_options {
	const char *file;
	bool json, quiet, verbose, help;
	const char *stdin_path, *stdout_path, *stderr_path, *report_path;
	const char *workdir, *out_max, *sample;
	const char *limits[LIMIT_COUNT];
	const char *env[FRONT_MAX_ENV_OPTIONS], *in[PLAN_MAX_FILES], *out[PLAN_MAX_FILES];
	uint32_t env_count, in_count, out_count;
	const char *const *command; /* NULL-terminated; NULL: none */
	uint32_t command_count;
};

/* Where the report goes, opened before the run: whatever the program does to paths meanwhile, it is still that place. */
struct front_place {
	int fd, folder; /* a pipe or device; else the folder of a regular file. -1 = not this */
	bool borrowed;	/* fd is the caller's */
	const char *name;
};

struct front {
	char **words_given; /* argv, which the launcher forgets */
	struct front_options options;
	struct exec_changes changes;
	uint8_t *plan; /* FILE's bytes, then the exec part of this run */
	uint8_t *exec;
	size_t exec_capacity;
	uint32_t exec_size;
	char *arena, *arena_end;
	const char **words, **env; /* room for texts of argv and env */
	uint32_t env_count;
	struct encode_file files_in[PLAN_MAX_FILES], files_out[PLAN_MAX_FILES];
	int streams[3];	 /* what the launcher gets as 0, 1 and 2 */
	int captured[2]; /* memory files of stdout and stderr, or -1 */
	struct front_place place;
	int signals;
	int first_signal; /* that asked for the end; 0 = none did */
	bool asked;
	bool colour;
	char message_buffer[32 * 1024], hint_buffer[4096];
	struct sink sink;
	struct report report;
};

int front_main(int argc, char **argv);
/* 128 and the number of a signal that has come meanwhile: the status of who ends by it. */
int front_ended_by_signal(struct front *front);

/* front_options.c: each tells what is wrong, and returns 0 or FRONT_FAILURE. */
int options_read(struct front *front, int argc, char **argv);
/* The limits, environment and directory of this run. */
int options_apply(struct front *front);
void options_help(struct front *front);

/* front_limits.c */
int limits_apply(struct front *front);
/* Numbers of the root record, once it is encoded. */
void limits_finish(const struct front *front, struct wire_exec_plan *exec);

/* front_files.c */
int files_apply(struct front *front);
/* Tells why a place cannot take a file, where it cannot: it is a folder, or lies in one that is not there or not writable. */
int front_destination(struct front *front, const char *path, const char *doing);
/* The reason of a failed call, as people say it. */
const char *front_reason(int error);
/* front_shared.c: refuses a run that would write over what it reads, or twice to one place. */
int shared_files(struct front *front);

/* front_streams.c: opens what the run reads and writes of the caller's. */
int files_open(struct front *front);
int place_write(struct front *front, struct text *scratch);
/* Absolute, without `.`, `..` and double slashes; links are not followed. NULL where there is no current folder, or no room. */
const char *path_resolve(struct front *front, const char *base, const char *path);
char *arena_copy(struct front *front, const char *text, size_t length);

/* front_run.c: from a ready plan until all that a launcher said is in front->report. */
int front_run(struct front *front);

/* front_tell.c */
/* One line, and a hint, or the document of --json. Always FRONT_FAILURE. */
int front_fail(struct front *front, const char *code, const char *doing, const char *thing, const char *reason,
	       const char *hint);
void front_warn(struct front *front);
/* After the run: files, document, lines. The exit status. */
int front_tell(struct front *front);

/* once.c: the launcher's one run, from the plan on `control` to the record. */
int run_whole(int control);

#endif
