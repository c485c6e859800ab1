// SPDX-License-Identifier: Apache-2.0
#include "view.h"

#include <sys/sysmacros.h>
#include <sys/xattr.h>

#include "meta.h"
#include "sys.h"
#include "tree.h"
#include "util.h"

static bool any(const uint64_t *live)
{
	for (int i = 0; i < LIVE_WORDS; i++)
		if (live[i])
			return true;
	return false;
}

static bool is_live(const uint64_t *live, uint32_t i)
{
	return live[i / 64] >> (i % 64) & 1;
}

int view_fail(struct view *view, enum apply_stage stage, int error)
{
	if (view->stage == APPLY_STAGE_NONE)
		view->stage = stage;
	return error;
}

static int fail_errno(struct view *view, enum apply_stage stage)
{
	return view_fail(view, stage, -errno);
}

/* path of level `depth`, a slash, name: into view->joined */
static int join(struct view *view, uint32_t depth, const char *name)
{
	size_t end = view->levels[depth].end, length = strlen(name);

	if (end + 1 + length >= sizeof(view->joined))
		return -ENAMETOOLONG;
	memcpy(view->joined, view->path, end);
	if (end)
		view->joined[end++] = '/';
	memcpy(view->joined + end, name, length + 1);
	return 0;
}

static int lower_open(struct view *view, uint32_t depth, const char *name, uint32_t i)
{
	int r = join(view, depth, name);

	return r < 0 ? r : sys_openat2(view->lowers[i], view->joined, O_PATH | O_NOFOLLOW, 0, TREE_BENEATH);
}

/* The lowers' part of a look-up. Below a directory of the upper only directories count. */
static int search_lowers(struct view *view, uint32_t depth, const char *name, bool below_directory, struct found *found)
{
	const uint64_t *live = view->levels[depth].live;

	for (uint32_t i = 0; i < view->lower_count; i++) {
		struct stat status;

		if (!is_live(live, i))
			continue;
		CLEANUP_FD int fd = lower_open(view, depth, name, i);
		if (fd == -ENOENT)
			continue;
		if (fd < 0)
			return view_fail(view, APPLY_STAGE_LOOK_UP, fd);
		if (fstat(fd, &status) < 0)
			return fail_errno(view, APPLY_STAGE_LOOK_UP);
		if (meta_is_whiteout(&status))
			return 0;
		if (!S_ISDIR(status.st_mode)) {
			if (!below_directory && found->kind == FOUND_NOTHING) {
				found->kind = S_ISLNK(status.st_mode) ? FOUND_LINK : FOUND_OTHER;
				found->lower = i;
			}
			return 0;
		}
		if (!below_directory && found->kind == FOUND_NOTHING) {
			found->kind = FOUND_DIRECTORY;
			found->lower = i;
		}
		found->live[i / 64] |= UINT64_C(1) << (i % 64);
		int opaque = meta_is_opaque(fd);
		if (opaque)
			return opaque < 0 ? view_fail(view, APPLY_STAGE_LOOK_UP, opaque) : 0;
	}
	return 0;
}

int view_find(struct view *view, uint32_t depth, const char *name, struct found *ret_found)
{
	struct found found = { .kind = FOUND_NOTHING, .upper = -1 };
	const struct level *level = &view->levels[depth];
	struct stat status;
	int r = 0;

	if (level->upper >= 0 && fstatat(level->upper, name, &status, AT_SYMLINK_NOFOLLOW) == 0) {
		found.in_upper = true;
		found.whiteout = meta_is_whiteout(&status);
		if (S_ISDIR(status.st_mode)) {
			found.kind = FOUND_DIRECTORY;
			found.upper = openat(level->upper, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
			if (found.upper < 0)
				return fail_errno(view, APPLY_STAGE_LOOK_UP);
			r = any(level->live) ? meta_is_opaque(found.upper) : 1;
			if (r == 0)
				r = search_lowers(view, depth, name, true, &found);
		} else if (!found.whiteout)
			found.kind = S_ISLNK(status.st_mode) ? FOUND_LINK : FOUND_OTHER;
	} else if (level->upper >= 0 && errno != ENOENT)
		return fail_errno(view, APPLY_STAGE_LOOK_UP);
	else
		r = search_lowers(view, depth, name, false, &found);
	if (r < 0) {
		close_fd(&found.upper);
		return view_fail(view, APPLY_STAGE_LOOK_UP, r);
	}
	*ret_found = found;
	return 0;
}

int view_truncate(struct view *view, uint32_t depth)
{
	int r = 0;

	while (view->depth > depth) {
		struct level *level = &view->levels[view->depth--];
		const struct timespec times[2] = { { .tv_nsec = UTIME_OMIT }, level->mtime };

		if (level->upper < 0)
			continue;
		if (level->dirty && futimens(level->upper, times) < 0 && r == 0)
			r = fail_errno(view, APPLY_STAGE_TIMES);
		close_fd(&level->upper);
	}
	return r;
}

int view_push(struct view *view, uint32_t depth, const char *name, const struct found *found)
{
	size_t at = view->levels[depth].end, length = strlen(name);
	struct level *level = &view->levels[depth + 1];
	struct stat status;
	int r = view_truncate(view, depth);

	if (at)
		view->path[at++] = '/';
	if (r == 0 && (depth + 1 > ENTRIES_MAX_DEPTH || at + length + 2 > sizeof(view->path)))
		r = view_fail(view, APPLY_STAGE_PARENT, -ENAMETOOLONG);
	if (r == 0 && found->upper >= 0 && fstat(found->upper, &status) < 0)
		r = fail_errno(view, APPLY_STAGE_LOOK_UP);
	if (r < 0) {
		cleanup_fd(&found->upper);
		return r;
	}
	memcpy(view->path + at, name, length);
	*level = (struct level){ .upper = found->upper, .name_at = (uint32_t)at, .end = (uint32_t)(at + length) };
	if (found->upper >= 0)
		level->mtime = status.st_mtim;
	memcpy(level->live, found->live, sizeof(level->live));
	view->depth = depth + 1;
	return 0;
}

int view_upper(struct view *view, uint32_t depth)
{
	view->levels[depth].dirty = true;
	return view->levels[depth].upper;
}

static void level_name(const struct view *view, uint32_t depth, char *ret_name)
{
	const struct level *level = &view->levels[depth];

	memcpy(ret_name, view->path + level->name_at, level->end - level->name_at);
	ret_name[level->end - level->name_at] = '\0';
}

static uint32_t topmost(const uint64_t *live)
{
	uint32_t i = 0;

	while (!is_live(live, i))
		i++;
	return i;
}

int view_materialise(struct view *view, uint32_t depth)
{
	for (uint32_t d = 1; d <= depth; d++) {
		struct level *level = &view->levels[d];
		char name[ENTRIES_MAX_PATH_BYTES];

		if (level->upper >= 0)
			continue;
		level_name(view, d, name);
		int above = view_upper(view, d - 1);
		if (mkdirat(above, name, 0700) < 0)
			return fail_errno(view, APPLY_STAGE_PARENT);
		level->upper = openat(above, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
		if (level->upper < 0)
			return fail_errno(view, APPLY_STAGE_PARENT);
		CLEANUP_FD int path = lower_open(view, d - 1, name, topmost(level->live));
		CLEANUP_FD int from = path < 0 ? path : openat(path, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		int r = path < 0 ? path : from < 0 ? -errno : meta_copy(view, from, level->upper, &level->mtime);
		if (r < 0)
			return view_fail(view, APPLY_STAGE_PARENT, r);
		level->dirty = true;
		view->directories++;
	}
	return 0;
}

int view_make_directory(struct view *view, uint32_t depth, const char *name, const struct found *was)
{
	struct found fresh = { .kind = FOUND_DIRECTORY, .upper = -1 };
	bool replaces = was->in_upper || was->kind != FOUND_NOTHING;
	int r = view_materialise(view, depth);

	if (r < 0)
		return r;
	int above = view_upper(view, depth);
	if (was->in_upper && unlinkat(above, name, 0) < 0)
		return fail_errno(view, APPLY_STAGE_REMOVE);
	if (strncmp(name, ".wh.", 4) == 0)
		return view_fail(view, APPLY_STAGE_CREATE, -EINVAL);
	if (mkdirat(above, name, 0700) < 0)
		return fail_errno(view, APPLY_STAGE_CREATE);
	fresh.upper = openat(above, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fresh.upper < 0)
		return fail_errno(view, APPLY_STAGE_CREATE);
	/* 0755 root at the start of time, until an entry says otherwise: two unpackings give the same tree. */
	r = view->chown && fchown(fresh.upper, 0, 0) < 0 ? -errno : 0;
	if (r == 0 && fchmod(fresh.upper, 0755) < 0)
		r = -errno;
	if (r == 0)
		r = search_lowers(view, depth, name, true, &fresh);
	if (r < 0) {
		close_fd(&fresh.upper);
		return view_fail(view, APPLY_STAGE_CREATE, r);
	}
	r = view_push(view, depth, name, &fresh);
	if (r < 0)
		return r;
	view->levels[depth + 1].mtime = (struct timespec){ 0 };
	view->levels[depth + 1].dirty = true;
	view->directories++;
	return replaces ? view_cut(view, depth + 1, true) : 0;
}

/* Replaces what is still to be walked by a link's target and the rest. */
static int expand(struct view *view, int *which, const char *rest, size_t link_length)
{
	char *to = view->pending[1 - *which];
	size_t length = strlen(rest);

	if (link_length == 0)
		return -ENOENT;
	if (link_length + 1 + length >= sizeof(view->pending[0]))
		return -ENAMETOOLONG;
	memcpy(to, view->link, link_length);
	to[link_length] = '/';
	memcpy(to + link_length + 1, rest, length + 1);
	*which = 1 - *which;
	return 0;
}

static ssize_t read_link(struct view *view, uint32_t depth, const char *name, const struct found *found)
{
	ssize_t n;

	if (found->in_upper)
		n = readlinkat(view->levels[depth].upper, name, view->link, sizeof(view->link));
	else {
		CLEANUP_FD int fd = lower_open(view, depth, name, found->lower);
		if (fd < 0)
			return fd;
		n = readlinkat(fd, "", view->link, sizeof(view->link));
	}
	return n < 0 ? -errno : n >= (ssize_t)sizeof(view->link) ? -ENAMETOOLONG : n;
}

static bool is_level(const struct view *view, uint32_t depth, const char *name)
{
	const struct level *level = &view->levels[depth];
	size_t length = strlen(name);

	return depth <= view->depth && level->end - level->name_at == length &&
	       memcmp(view->path + level->name_at, name, length) == 0;
}

int view_forget(struct view *view, uint32_t depth, const char *name)
{
	return is_level(view, depth + 1, name) ? view_truncate(view, depth) : 0;
}

/* One step down from *depth. 1: a link was put into view->link, its length in *ret_link. */
static int step(struct view *view, const char *name, bool create, uint32_t *depth, size_t *ret_link)
{
	struct found found = { .upper = -1 };
	int r;

	if (is_level(view, *depth + 1, name)) {
		++*depth;
		return 0;
	}
	r = view_truncate(view, *depth);
	if (r == 0)
		r = view_find(view, *depth, name, &found);
	if (r < 0)
		return r;
	switch (found.kind) {
	case FOUND_DIRECTORY:
		r = view_push(view, *depth, name, &found);
		break;
	case FOUND_LINK: {
		ssize_t n = read_link(view, *depth, name, &found);

		if (n < 0)
			return view_fail(view, APPLY_STAGE_LOOK_UP, (int)n);
		*ret_link = (size_t)n;
		return 1;
	}
	case FOUND_OTHER:
		return -ENOTDIR;
	case FOUND_NOTHING:
		if (!create)
			return -ENOENT;
		r = view_make_directory(view, *depth, name, &found);
		break;
	}
	if (r == 0)
		++*depth;
	return r;
}

int view_walk(struct view *view, const char *path, bool create, uint32_t *ret_depth)
{
	uint32_t depth = 0;
	int which = 0, links = 0;
	char *at = view->pending[0];

	copy_text(at, sizeof(view->pending[0]), path);
	while (*at) {
		char *slash = strchr(at, '/');
		char *rest = slash ? slash + 1 : at + strlen(at);
		size_t link_length = 0;

		if (slash)
			*slash = '\0';
		if (strcmp(at, "..") == 0)
			depth -= depth > 0; /* above the root is the root */
		else if (*at && strcmp(at, ".") != 0) {
			int r = step(view, at, create, &depth, &link_length);

			if (r > 0)
				r = ++links > MAX_LINKS ? -ELOOP : expand(view, &which, rest, link_length);
			if (r < 0)
				return r;
			if (link_length) {
				if (view->link[0] == '/')
					depth = 0;
				rest = view->pending[which];
			}
		}
		at = rest;
	}
	*ret_depth = depth;
	return 0;
}

int view_open(struct view *view, int root)
{
	struct level *level = &view->levels[0];
	int r = 0;

	*level = (struct level){ .upper = root, .dirty = true };
	view->depth = 0;
	for (uint32_t i = 0; i < view->lower_count; i++)
		level->live[i / 64] |= UINT64_C(1) << (i % 64);
	if (view->lower_count) {
		CLEANUP_FD int from = openat(view->lowers[0], ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		r = from < 0 ? -errno : meta_copy(view, from, root, &level->mtime);
	} else if ((view->chown && fchown(root, 0, 0) < 0) || fchmod(root, 0755) < 0)
		r = -errno;
	return r < 0 ? view_fail(view, APPLY_STAGE_ROOT, r) : 0;
}

int view_close(struct view *view)
{
	int r = view_truncate(view, 0);
	const struct timespec times[2] = { { .tv_nsec = UTIME_OMIT }, view->levels[0].mtime };

	if (view->levels[0].upper >= 0 && futimens(view->levels[0].upper, times) < 0 && r == 0)
		r = fail_errno(view, APPLY_STAGE_TIMES);
	return r;
}
