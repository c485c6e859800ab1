// SPDX-License-Identifier: Apache-2.0
/*
 * Files into and out of the work folder.
 *
 * The caller's side is opened before anything starts: input files, and the directories that outputs go to, so that a program
 * with a writable volume cannot turn a destination into a link meanwhile. The sandbox's side is reached through a descriptor
 * of the work folder taken before the program existed, with RESOLVE_BENEATH and no links of any kind. Outputs are read
 * when the whole tree is dead, so nothing can race.
 *
 * With a single id the program's files belong to the caller, and this process does the work. With subordinate ids they belong
 * to an id that only the sandbox's user namespace can act as: a forked helper enters it and takes the program's ids.
 */
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <sys/wait.h>

#include "run.h"
#include "sys.h"
#include "util.h"

#define BENEATH (RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS)

struct work_result {
	int error; /* positive errno */
	uint32_t failure;
	bool at_target; /* the error came from writing */
	uint64_t bytes;
};

/*
 * Copies block; between two blocks they look whether the caller still wants the run. The event is left for the loop. What a server's client sends may as well be
 * input, so of that only its end counts.
 */
static bool unwanted(const struct run *run)
{
	short events = !run->client.connected ? POLLIN : run->client.half_closed ? 0 : POLLRDHUP;
	struct pollfd fds[2] = { { .fd = run->control, .events = events }, { .fd = run->signals, .events = POLLIN } };

	return run->caller_gone || poll(fds, 2, 0) > 0;
}

static int copy_bytes(const struct run *run, int from, int to, uint64_t limit, struct work_result *ret)
{
	char buffer[65536];
	uint64_t total = 0;
	ssize_t n;

	while ((n = read(from, buffer, sizeof(buffer))) != 0) {
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		total += (uint64_t)n;
		if (total > limit)
			return -EFBIG;
		if (unwanted(run))
			return -ECANCELED;
		int r = write_all(to, buffer, (size_t)n);
		if (r < 0) {
			ret->at_target = true;
			return r;
		}
	}
	ret->bytes = total;
	return 0;
}

int files_open_in(struct run *run)
{
	const struct wire_exec_plan *exec = run->plan.exec;
	const struct part *part = &run->plan.exec_part;

	for (uint32_t i = 0; i < exec->files_in.count; i++) {
		const char *path = plan_text(part, plan_item(part, exec->files_in, wire_file_in, i)->host_path);
		struct stat status;

		run->files_in[i] = open(path, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
		if (run->files_in[i] < 0 || fstat(run->files_in[i], &status) < 0)
			return run_fail(run, STAGE_PARENT, STEP_OPEN_FILES, i, errno, path);
		if (!S_ISREG(status.st_mode))
			return run_fail(run, STAGE_PARENT, STEP_OPEN_FILES, i,
					S_ISDIR(status.st_mode) ? EISDIR : EINVAL, path);
	}
	for (uint32_t i = 0; i < exec->files_out.count; i++) {
		const char *path = plan_text(part, plan_item(part, exec->files_out, wire_file_out, i)->host_path);
		size_t length = (size_t)(strrchr(path, '/') - path);
		char folder[PATH_MAX];

		if (length >= sizeof(folder))
			return run_fail(run, STAGE_PARENT, STEP_OPEN_FILES, i, ENAMETOOLONG, path);
		memcpy(folder, path, length);
		copy_text(folder + length, sizeof(folder) - length, length ? "" : "/");
		run->out_folders[i] = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		if (run->out_folders[i] < 0)
			return run_fail(run, STAGE_PARENT, STEP_OPEN_FILES, i, errno, folder);
	}
	return 0;
}

/* Makes the directories above `target` beneath the work folder. */
static int make_parents(int work, const char *target)
{
	char path[PATH_MAX];

	copy_text(path, sizeof(path), target);
	for (char *slash = strchr(path, '/'); slash; slash = strchr(slash + 1, '/')) {
		*slash = '\0';
		char *name = strrchr(path, '/');
		if (name)
			*name = '\0';
		CLEANUP_FD int above = sys_openat2(work, name ? path : ".", O_PATH | O_DIRECTORY, 0, BENEATH);
		int r = above < 0							      ? above
			: mkdirat(above, name ? name + 1 : path, 0755) < 0 && errno != EEXIST ? -errno
											      : 0;
		if (name)
			*name = '/';
		*slash = '/';
		if (r < 0)
			return r;
	}
	return 0;
}

static void bring_in(const struct run *run, uint32_t i, int ignored, struct work_result *ret)
{
	const struct wire_file_in *file = plan_item(&run->plan.exec_part, run->plan.exec->files_in, wire_file_in, i);
	const char *target = plan_text(&run->plan.exec_part, file->target);
	int r = make_parents(run->work, target);

	(void)ignored;
	if (r == 0) {
		CLEANUP_FD int to =
			sys_openat2(run->work, target, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, 0600, BENEATH);
		r = to < 0 ? to : copy_bytes(run, run->files_in[i], to, UINT64_MAX, ret);
		if (r == 0 && fchmod(to, file->mode) < 0)
			r = -errno;
	}
	ret->error = -r;
}

static uint32_t output_failure(int error)
{
	switch (error) {
	case ENOENT:
	case ENOTDIR:
		return OUTPUT_FAILURE_MISSING;
	case ELOOP:
		return OUTPUT_FAILURE_LINK;
	case EXDEV:
		return OUTPUT_FAILURE_NOT_BENEATH;
	case ENXIO:
		return OUTPUT_FAILURE_NOT_REGULAR;
	case EFBIG:
		return OUTPUT_FAILURE_TOO_BIG;
	default:
		return OUTPUT_FAILURE_UNREADABLE;
	}
}

/* O_NONBLOCK: a fifo must not make us wait for a writer that no longer exists. */
static void bring_out(const struct run *run, uint32_t i, int to, struct work_result *ret)
{
	const struct wire_file_out *file = plan_item(&run->plan.exec_part, run->plan.exec->files_out, wire_file_out, i);
	const char *source = plan_text(&run->plan.exec_part, file->source);
	struct stat status;
	CLEANUP_FD int from = sys_openat2(run->work, source, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_NOFOLLOW, 0,
					  BENEATH | RESOLVE_NO_XDEV);
	int r = from < 0 ? from : fstat(from, &status) < 0 ? -errno : 0;

	if (r == 0 && !S_ISREG(status.st_mode)) {
		ret->failure = OUTPUT_FAILURE_NOT_REGULAR;
		return;
	}
	if (r == 0)
		r = (uint64_t)status.st_size > file->max_bytes ? -EFBIG
							       : copy_bytes(run, from, to, file->max_bytes, ret);
	if (r < 0) {
		ret->failure = ret->at_target ? OUTPUT_FAILURE_DESTINATION : output_failure(-r);
		ret->error = -r;
	} else if (status.st_mode & 0111) {
		mode_t mask = umask(0);

		(void)umask(mask);
		(void)fchmod(to, 0777 & ~mask);
	}
}

typedef void work_function(const struct run *run, uint32_t index, int fd, struct work_result *ret);

static _Noreturn void help(const struct run *run, work_function *function, uint32_t index, int fd, int answer)
{
	const struct wire_sandbox_plan *sandbox = run->plan.sandbox;
	struct work_result result = { 0 };

	if (setns(run->userns, CLONE_NEWUSER) < 0 || syscall(SYS_setgroups, 0, NULL) < 0 ||
	    syscall(SYS_setresgid, sandbox->program_gid, sandbox->program_gid, sandbox->program_gid) < 0 ||
	    syscall(SYS_setresuid, sandbox->program_uid, sandbox->program_uid, sandbox->program_uid) < 0)
		result.error = errno;
	else
		function(run, index, fd, &result);
	_exit(write_all(answer, &result, sizeof(result)) < 0);
}

/* Does the work as the owner of the program's files. */
static void as_program(const struct run *run, work_function *function, uint32_t index, int fd, struct work_result *ret)
{
	int ends[2], status;

	if (run->userns < 0) {
		function(run, index, fd, ret);
		return;
	}
	if (pipe2(ends, O_CLOEXEC) < 0) {
		ret->error = errno;
		return;
	}
	int pid = sys_fork(NULL);
	if (pid == 0)
		help(run, function, index, fd, ends[1]);
	(void)close(ends[1]);
	if (pid < 0 || read_all(ends[0], ret, sizeof(*ret)) < 0)
		*ret = (struct work_result){ .error = pid < 0 ? -pid : EIO, .failure = OUTPUT_FAILURE_UNREADABLE };
	(void)close(ends[0]);
	while (pid > 0 && waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
}

int files_copy_in(struct run *run)
{
	for (uint32_t i = 0; i < run->plan.exec->files_in.count; i++) {
		const struct wire_file_in *file =
			plan_item(&run->plan.exec_part, run->plan.exec->files_in, wire_file_in, i);
		struct work_result result = { 0 };

		as_program(run, bring_in, i, -1, &result);
		close_fd(&run->files_in[i]);
		if (result.error == ECANCELED)
			return -ECANCELED;
		if (result.error)
			return run_fail(run, STAGE_PARENT, STEP_FILES_IN, i, result.error,
					plan_text(&run->plan.exec_part, file->target));
	}
	return 0;
}

/* linkat cannot replace a file, so even a nameless one gets a temporary name for the moment before its rename. */
static int give_name(int fd, int folder, const char *name)
{
	char path[32];
	struct text text = text_in(path, sizeof(path));

	text_add(&text, "/proc/self/fd/");
	text_add_u64(&text, (uint64_t)fd);
	return linkat(AT_FDCWD, path, folder, name, AT_SYMLINK_FOLLOW);
}

/* Written under a temporary name, made durable, renamed: a reader never sees half a file, and a failure replaces nothing. */
static void copy_out(const struct run *run, uint32_t i, struct work_result *result)
{
	const struct wire_file_out *file = plan_item(&run->plan.exec_part, run->plan.exec->files_out, wire_file_out, i);
	const char *path = plan_text(&run->plan.exec_part, file->host_path);
	int folder = run->out_folders[i];
	char name[96];
	struct text text = text_in(name, sizeof(name));

	text_add(&text, ".");
	text_add(&text, plan_text(&run->plan.sandbox_part, run->plan.sandbox->run_id));
	text_add(&text, "-");
	text_add_u64(&text, i);
	/* Nameless until it is complete, so that a kill in between leaves nothing; not every file system can. */
	bool nameless = true;
	CLEANUP_FD int to = openat(folder, ".", O_WRONLY | O_TMPFILE | O_CLOEXEC, 0666);
	if (to < 0) {
		nameless = false;
		to = openat(folder, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0666);
	}
	if (to < 0) {
		*result = (struct work_result){ .error = errno, .failure = OUTPUT_FAILURE_DESTINATION };
		return;
	}
	as_program(run, bring_out, i, to, result);
	if (!result->failure && (fsync(to) < 0 || (nameless && give_name(to, folder, name) < 0) ||
				 renameat(folder, name, folder, strrchr(path, '/') + 1) < 0)) {
		result->error = errno;
		result->failure = OUTPUT_FAILURE_DESTINATION;
	}
	if (result->failure && !nameless)
		(void)unlinkat(folder, name, 0);
}

void files_copy_out(struct run *run)
{
	for (uint32_t i = 0; i < run->plan.exec->files_out.count; i++) {
		struct work_result result = { 0 };

		if (run->work < 0)
			result.failure = OUTPUT_FAILURE_MISSING;
		else
			copy_out(run, i, &result);
		const struct wire_output_record record = {
			.index = i,
			.failure = result.failure,
			.error = result.error,
			.bytes = result.failure ? NOT_MEASURED : result.bytes,
		};
		(void)control_send(run, MESSAGE_KIND_OUTPUT, &record, sizeof(record));
	}
}
