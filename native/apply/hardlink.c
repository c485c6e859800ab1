// SPDX-License-Identifier: Apache-2.0
/*
 * Hard links. The target's name is relative to the root, its links are followed inside the merged view, its last component is not: a
 * link to a link is a link to that very link. A target that only a lower layer has is copied up first, as overlayfs does.
 */
#include "apply.h"

#include <stdio.h>

#include "meta.h"
#include "sys.h"
#include "tree.h"
#include "util.h"

#define BETWEEN ".wh..belljar"

static int copy_node(struct view *view, int from, int parent, const char *name, const struct stat *status)
{
	const struct timespec times[2] = { { .tv_nsec = UTIME_OMIT }, status->st_mtim };
	ssize_t n;

	if (S_ISLNK(status->st_mode)) {
		n = readlinkat(from, "", view->link, sizeof(view->link) - 1);
		if (n < 0)
			return -errno;
		view->link[n] = '\0';
		if (symlinkat(view->link, parent, name) < 0)
			return -errno;
	} else if (!S_ISFIFO(status->st_mode))
		return -EOPNOTSUPP;
	else if (mknodat(parent, name, S_IFIFO | 0600, 0) < 0)
		return -errno;
	if (view->chown && fchownat(parent, name, status->st_uid, status->st_gid, AT_SYMLINK_NOFOLLOW) < 0)
		return -errno;
	if (S_ISFIFO(status->st_mode) && fchmodat(parent, name, status->st_mode & 07777, 0) < 0)
		return -errno;
	return utimensat(parent, name, times, AT_SYMLINK_NOFOLLOW) < 0 ? -errno : 0;
}

static int copy_file(struct view *view, int lower, const char *path, int parent, const char *name)
{
	CLEANUP_FD int from = sys_openat2(lower, path, O_RDONLY | O_NOFOLLOW, 0,
					  RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_XDEV);
	if (from < 0)
		return from;
	CLEANUP_FD int to = openat(parent, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	return to < 0 ? -errno : meta_copy_file(view, from, to);
}

int view_copy_up(struct view *view, uint32_t depth, const char *name, const struct found *found)
{
	int lower = view->lowers[found->lower];
	size_t end = view->levels[depth].end;
	struct stat status;
	int r = view_materialise(view, depth);

	if (r < 0)
		return r;
	memcpy(view->joined, view->path, end);
	if (end)
		view->joined[end++] = '/';
	copy_text(view->joined + end, sizeof(view->joined) - end, name);
	CLEANUP_FD int from = sys_openat2(lower, view->joined, O_PATH | O_NOFOLLOW, 0,
					  RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_XDEV);
	if (from < 0 || fstat(from, &status) < 0)
		return view_fail(view, APPLY_STAGE_COPY_UP, from < 0 ? from : -errno);
	r = S_ISREG(status.st_mode) ? copy_file(view, lower, view->joined, view_upper(view, depth), name)
				    : copy_node(view, from, view_upper(view, depth), name, &status);
	return r < 0 ? view_fail(view, APPLY_STAGE_COPY_UP, r) : 0;
}

/* The target's directory in the upper (a descriptor of the caller's) and its name there. */
static int find_target(struct apply *apply, int *ret_parent, const char **ret_name)
{
	struct view *view = &apply->view;
	char path[ENTRIES_MAX_PATH_BYTES];
	const char *slash = strrchr(apply->entry.link, '/');
	const char *name = slash ? slash + 1 : apply->entry.link;
	struct found found = { .upper = -1 };
	uint32_t depth = 0;
	int r;

	copy_text(path, slash ? (size_t)(slash - apply->entry.link) + 1 : 1, apply->entry.link);
	r = view_walk(view, path, false, &depth);
	if (r == 0)
		r = view_truncate(view, depth);
	if (r == 0)
		r = view_find(view, depth, name, &found);
	if (r < 0)
		return r;
	close_fd(&found.upper);
	if (found.kind == FOUND_NOTHING || found.kind == FOUND_DIRECTORY)
		return found.kind == FOUND_NOTHING ? -ENOENT : -EPERM;
	if (!found.in_upper) {
		r = view_copy_up(view, depth, name, &found);
		if (r < 0)
			return r;
	}
	*ret_parent = fcntl(view->levels[depth].upper, F_DUPFD_CLOEXEC, 0);
	*ret_name = name;
	return *ret_parent < 0 ? -errno : 0;
}

static bool is_same(int dir, const char *name, int other_dir, const char *other_name)
{
	struct stat a, b;

	return fstatat(dir, name, &a, AT_SYMLINK_NOFOLLOW) == 0 &&
	       fstatat(other_dir, other_name, &b, AT_SYMLINK_NOFOLLOW) == 0 && a.st_dev == b.st_dev &&
	       a.st_ino == b.st_ino;
}

/* Links, in place of whatever has the name. 1: the target has that name already. */
static int link_over(struct view *view, int parent, const char *target, int own, const char *name)
{
	int r;

	if (linkat(parent, target, own, name, 0) == 0)
		return 0;
	if (errno != EEXIST)
		return view_fail(view, APPLY_STAGE_LINK, -errno);
	if (is_same(parent, target, own, name))
		return 1;
	/* What goes may be the very directory that holds the target. No image can have a file of the name in between. */
	if (linkat(parent, target, own, BETWEEN, 0) < 0)
		return view_fail(view, APPLY_STAGE_LINK, -errno);
	r = tree_remove(own, name);
	if (r < 0)
		return view_fail(view, APPLY_STAGE_REMOVE, r);
	return renameat(own, BETWEEN, own, name) < 0 ? view_fail(view, APPLY_STAGE_LINK, -errno) : 0;
}

int apply_hardlink(struct apply *apply, uint32_t depth, const char *name)
{
	struct view *view = &apply->view;
	struct timespec times[2] = { { .tv_nsec = UTIME_OMIT } };
	const char *target = "";
	struct stat status;
	CLEANUP_FD int own = fcntl(view_upper(view, depth), F_DUPFD_CLOEXEC, 0);
	CLEANUP_FD int parent = -1;
	int r = own < 0 ? -errno : find_target(apply, &parent, &target);

	/* No level may outlive what it stands for; and with the levels left, the directory has its time back. */
	if (r == 0)
		r = view_truncate(view, 0);
	if (r == 0 && fstat(own, &status) < 0)
		r = -errno;
	if (r < 0)
		return view_fail(view, APPLY_STAGE_LINK, r);
	r = link_over(view, parent, target, own, name);
	if (r < 0)
		return r;
	apply->done.files += r == 0;
	times[1] = status.st_mtim;
	return futimens(own, times) < 0 ? view_fail(view, APPLY_STAGE_TIMES, -errno) : 0;
}
