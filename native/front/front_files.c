// SPDX-License-Identifier: Apache-2.0
/* Files of the caller's: what is copied in and out, and what the streams are. All of it is checked before anything starts. */
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "front.h"
#include "units.h"

enum { PAGE = 4096 /* tmpfs counts whole pages, and no page is smaller */ };

const char *front_reason(int error)
{
	static const struct {
		int error;
		const char *words;
	} reasons[] = {
		{ ENOENT, "no such file or directory" },
		{ ENOTDIR, "a part of the path is no directory" },
		{ EACCES, "permission denied" },
		{ EPERM, "operation not permitted" },
		{ EISDIR, "is a directory" },
		{ ELOOP, "too many symbolic links" },
		{ EROFS, "read-only file system" },
		{ ENOSPC, "no space left on the device" },
		{ EDQUOT, "the disk quota is used up" },
		{ EFBIG, "larger than a file may be (ulimit -f)" },
		{ EIO, "input/output error" },
		{ ENAMETOOLONG, "the name is too long" },
		{ ENXIO, "nobody reads at the other end" },
		{ ETXTBSY, "is a program that is running" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(reasons); i++)
		if (reasons[i].error == error)
			return reasons[i].words;
	return "cannot be used";
}

char *arena_copy(struct front *front, const char *text, size_t length)
{
	char *at = front->arena;

	if (length >= (size_t)(front->arena_end - at))
		return NULL;
	memcpy(at, text, length);
	at[length] = '\0';
	front->arena += length + 1;
	return at;
}

/* Adds the parts of a path to one that is normal already. */
static void add_parts(struct text *to, const char *start, const char *path)
{
	while (*path) {
		size_t length = strcspn(path, "/");

		if (length == 2 && path[0] == '.' && path[1] == '.') {
			while (to->at > start && *--to->at != '/')
				;
			*to->at = '\0';
		} else if (length > 0 && !(length == 1 && path[0] == '.')) {
			text_add(to, "/");
			for (size_t i = 0; i < length; i++) {
				const char one[] = { path[i], '\0' };

				text_add(to, one);
			}
		}
		path += length + (path[length] == '/');
	}
}

const char *path_resolve(struct front *front, const char *base, const char *path)
{
	size_t room = (size_t)(front->arena_end - front->arena);
	char *start = front->arena;

	if (room < 4096)
		return NULL;
	struct text text = text_in(start, room);
	if (path[0] != '/')
		add_parts(&text, start, base);
	add_parts(&text, start, path);
	if (text.at == start)
		text_add(&text, "/");
	if (text.full)
		return NULL;
	front->arena = text.at + 1;
	return start;
}

static const char *host_path(struct front *front, const char *path)
{
	char here[4096] = "/";

	if (path[0] != '/' && !getcwd(here, sizeof(here)))
		return NULL;
	return path_resolve(front, here, path);
}

/* A place in the work folder, relative to it. Both `a/b` and `/work/a/b` are understood. NULL where it leaves the folder or is the folder. */
static const char *work_path(struct front *front, const char *path)
{
	const char *work = plan_text(&front->report.sandbox_part, front->report.sandbox->work_path);
	const char *full = path_resolve(front, work, path);
	size_t length = strlen(work);

	if (!full || path[strlen(path) - 1] == '/' || strncmp(full, work, length) != 0 || full[length] != '/')
		return NULL;
	return full + length + 1;
}

static const char *base_name(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash ? slash + 1 : path;
}

static bool is_beneath(const char *path, const char *folder)
{
	size_t length = strlen(folder);

	return strncmp(path, folder, length) == 0 && path[length] == '/';
}

/* No two of one name, and none that is also a folder of another. */
static const char *clash(const struct encode_file *files, uint32_t count)
{
	for (uint32_t i = 0; i < count; i++)
		for (uint32_t k = 0; k < count; k++)
			if (i != k && ((i < k && strcmp(files[i].target, files[k].target) == 0) ||
				       is_beneath(files[k].target, files[i].target)))
				return files[i].target;
	return NULL;
}

/* `HOST[:PATH]`, divided at the last colon. */
static int add_in(struct front *front, const char *option, uint64_t *bytes)
{
	static const char doing[] = "copying in";
	const char *colon = strrchr(option, ':');
	struct encode_file *file = &front->files_in[front->changes.files_in_count++];
	const char *given = arena_copy(front, option, colon ? (size_t)(colon - option) : strlen(option));
	struct stat status;

	if (!given || !*given || (colon && !colon[1]))
		return front_fail(front, "usage", "reading options: '--in'", option, "is not HOST or HOST:PATH", NULL);
	file->source = host_path(front, given);
	file->target = work_path(front, colon ? colon + 1 : base_name(given));
	if (!file->source)
		return front_fail(front, "usage", doing, given, "is relative, and the current folder has been deleted",
				  NULL);
	if (!file->target)
		return front_fail(front, "usage", doing, colon ? colon + 1 : given, "must name a file beneath /work",
				  NULL);
	if (stat(given, &status) < 0)
		return front_fail(front, "file-unreadable", doing, given, front_reason(errno), NULL);
	if (S_ISDIR(status.st_mode))
		return front_fail(front, "file-unreadable", doing, given,
				  "is a directory: only regular files are copied in", NULL);
	if (!S_ISREG(status.st_mode))
		return front_fail(front, "file-unreadable", doing, given, "is no regular file", NULL);
	if (access(given, R_OK) < 0)
		return front_fail(front, "file-unreadable", doing, given, front_reason(errno), NULL);
	file->mode = status.st_mode & 0777;
	*bytes += ((uint64_t)status.st_size + PAGE - 1) / PAGE * PAGE;
	return 0;
}

/* A destination that can take a file: not a folder, in a folder that exists and is writable. */
int front_destination(struct front *front, const char *path, const char *doing)
{
	struct stat status;
	const char *slash = strrchr(path, '/');
	const char *folder = slash == path ? "/" : arena_copy(front, path, (size_t)(slash - path));

	if (stat(path, &status) == 0 && S_ISDIR(status.st_mode))
		return front_fail(front, "file-unwritable", doing, path, "is a directory", NULL);
	if (!folder || access(folder, W_OK | X_OK) < 0)
		return front_fail(front, "file-unwritable", doing, folder ? folder : path, front_reason(errno), NULL);
	return 0;
}

/* `PATH[:HOST]`, divided at the first colon. */
static int add_out(struct front *front, const char *option, uint64_t max_bytes)
{
	static const char doing[] = "copying out";
	const char *colon = strchr(option, ':');
	struct encode_file *file = &front->files_out[front->changes.files_out_count++];
	const char *inside = arena_copy(front, option, colon ? (size_t)(colon - option) : strlen(option));
	struct stat status;

	if (!inside || !*inside || (colon && !colon[1]))
		return front_fail(front, "usage", "reading options: '--out'", option, "is not PATH or PATH:HOST", NULL);
	file->source = work_path(front, inside);
	if (!file->source)
		return front_fail(front, "usage", doing, inside, "must name a file beneath /work", NULL);
	file->target = host_path(front, colon ? colon + 1 : base_name(file->source));
	if (file->target && colon && stat(file->target, &status) == 0 && S_ISDIR(status.st_mode))
		file->target = path_resolve(front, file->target, base_name(file->source));
	if (!file->target)
		return front_fail(front, "usage", doing, inside, "its place has no absolute path", NULL);
	file->max_bytes = max_bytes;
	return front_destination(front, file->target, doing);
}

int files_apply(struct front *front)
{
	const struct front_options *options = &front->options;
	uint64_t max_bytes = front->report.words->out_max_bytes, bytes = 0;
	const struct report_limit *disk = &front->report.limits[LIMIT_DISK];
	const char *twice;
	int r = 0;

	if (options->out_max && (units_parse(LIMIT_UNIT_SIZE, options->out_max, &max_bytes) < 0 || max_bytes == 0))
		return front_fail(front, "usage", "reading options: '--out-max'", options->out_max,
				  "is no size such as 64M, 1.5G or 65536 (bytes)", NULL);
	front->changes.files_in = front->files_in;
	front->changes.files_out = front->files_out;
	for (uint32_t i = 0; i < options->in_count && r == 0; i++)
		r = add_in(front, options->in[i], &bytes);
	for (uint32_t i = 0; i < options->out_count && r == 0; i++)
		r = add_out(front, options->out[i], max_bytes);
	if (r)
		return r;
	/* A limit that the input alone exceeds would end every run as a failure of ours: it is the caller's to raise. */
	if (disk->is_set && bytes > (disk->value + PAGE - 1) / PAGE * PAGE)
		return front_fail(front, "usage", "copying in", NULL, "the files are more than the disk limit",
				  "compile a plan with another limit: --set limits.disk=SIZE");
	twice = clash(front->files_in, front->changes.files_in_count);
	if (twice)
		return front_fail(front, "usage", "copying in", twice, "is named twice, or is the folder of another",
				  NULL);
	twice = clash(front->files_out, front->changes.files_out_count);
	if (twice)
		return front_fail(front, "usage", "copying out", twice, "is named twice, or is the folder of another",
				  NULL);
	return 0;
}
