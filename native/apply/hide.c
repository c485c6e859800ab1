// SPDX-License-Identifier: Apache-2.0
/*
 * What hides lower layers: whiteouts (character devices 0:0, which anybody may make since Linux 5.8) and opaque directories
 * (user.overlay.opaque=y, the form of overlayfs mounted with userxattr, which fuse-overlayfs reads too).
 *
 * overlayfs ignores the attribute on the root of a layer, and some file systems keep no user attributes: there every name
 * below gets a whiteout of its own, which says the same.
 */
#include <sys/sysmacros.h>
#include <sys/xattr.h>

#include "meta.h"
#include "sys.h"
#include "tree.h"
#include "util.h"
#include "view.h"

int view_hide(struct view *view, uint32_t depth, const char *name)
{
	struct found found = { .upper = -1 };
	int r = view_truncate(view, depth);

	if (r == 0)
		r = view_find(view, depth, name, &found);
	if (r < 0)
		return r;
	if (found.in_upper && found.kind == FOUND_DIRECTORY) {
		r = view_push(view, depth, name, &found);
		if (r == 0)
			r = view_cut(view, depth + 1, false);
		int closed = view_truncate(view, depth);
		return r < 0 ? r : closed;
	}
	if (found.in_upper || found.kind == FOUND_NOTHING)
		return 0;
	r = view_materialise(view, depth);
	if (r < 0)
		return r;
	if (mknodat(view_upper(view, depth), name, S_IFCHR, makedev(0, 0)) < 0)
		return view_fail(view, APPLY_STAGE_WHITEOUT, -errno);
	view->whiteouts++;
	return 0;
}

/* Whiteouts for all names of one lower in the directory of a level. */
static int hide_names(struct view *view, uint32_t depth, int directory)
{
	struct tree_names names = { .fd = directory };
	const char *name;
	int r;

	while ((r = tree_next(&names, &name)) > 0) {
		r = view_hide(view, depth, name);
		if (r < 0)
			return r;
	}
	return r < 0 ? view_fail(view, APPLY_STAGE_OPAQUE, r) : 0;
}

static int hide_all(struct view *view, uint32_t depth)
{
	for (uint32_t i = 0; i < view->lower_count; i++) {
		const struct level *level = &view->levels[depth];

		if (!(level->live[i / 64] >> (i % 64) & 1))
			continue;
		memcpy(view->joined, view->path, level->end);
		view->joined[level->end] = '\0';
		CLEANUP_FD int directory =
			sys_openat2(view->lowers[i], level->end ? view->joined : ".", O_RDONLY | O_DIRECTORY, 0,
				    RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_XDEV);
		if (directory < 0)
			return view_fail(view, APPLY_STAGE_OPAQUE, directory);
		int r = hide_names(view, depth, directory);
		if (r < 0)
			return r;
	}
	return 0;
}

/*
 * Nothing is below an opaque directory any more, so overlayfs takes it for a plain one and lists whiteouts inside as what they are:
 * those of this layer that were made before the mark came have to go. Times of directories on the way stay.
 */
static int purge_whiteouts(int directory)
{
	struct tree_names names = { .fd = directory };
	struct timespec times[2] = { { .tv_nsec = UTIME_OMIT } };
	struct stat status;
	const char *name;
	int r;

	if (fstat(directory, &status) < 0 || lseek(directory, 0, SEEK_SET) < 0)
		return -errno;
	times[1] = status.st_mtim;
	while ((r = tree_next(&names, &name)) > 0) {
		if (fstatat(directory, name, &status, AT_SYMLINK_NOFOLLOW) < 0)
			return -errno;
		if (meta_is_whiteout(&status) && unlinkat(directory, name, 0) < 0)
			return -errno;
		if (!S_ISDIR(status.st_mode))
			continue;
		CLEANUP_FD int below = openat(directory, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
		r = below < 0 ? -errno : purge_whiteouts(below);
		if (r < 0)
			return r;
	}
	return r < 0 ? r : futimens(directory, times) < 0 ? -errno : 0;
}

/* mark: the directory replaces something else; say so even where no lower directory would show through. */
int view_cut(struct view *view, uint32_t depth, bool mark)
{
	struct level *level = &view->levels[depth];
	bool hides = false;
	int r = view_truncate(view, depth);

	for (int i = 0; i < LIVE_WORDS; i++)
		hides |= level->live[i] != 0;
	if (r < 0 || (!hides && !mark))
		return r;
	r = view_materialise(view, depth);
	if (r < 0)
		return r;
	if (depth > 0 && fsetxattr(level->upper, META_OPAQUE, "y", 1, 0) == 0) {
		memset(level->live, 0, sizeof(level->live));
		r = purge_whiteouts(level->upper);
		return r < 0 ? view_fail(view, APPLY_STAGE_OPAQUE, r) : 0;
	}
	if (depth > 0 && errno != EOPNOTSUPP)
		return view_fail(view, APPLY_STAGE_OPAQUE, -errno);
	return hides ? hide_all(view, depth) : 0;
}
