// SPDX-License-Identifier: Apache-2.0
/* What each type of entry does to the tree. */
#include <sys/xattr.h>

#include "apply.h"
#include "meta.h"
#include "sys.h"
#include "tree.h"
#include "util.h"

/* Takes away what the upper has under a name, whatever it is. Lower layers are hidden by what comes in its place. */
static int clear(struct view *view, uint32_t depth, const char *name)
{
	int r = view_truncate(view, depth);

	if (r == 0)
		r = tree_remove(view_upper(view, depth), name);
	return r < 0 ? view_fail(view, APPLY_STAGE_REMOVE, r) : 0;
}

static int make_file(struct apply *apply, uint32_t depth, const char *name)
{
	for (int attempt = 0;; attempt++) {
		int parent = view_upper(&apply->view, depth);
		int r;

		apply->file = openat(parent, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
		if (apply->file >= 0) {
			apply->written = 0;
			apply->done.files++;
			return 0;
		}
		if (errno != EEXIST || attempt > 0)
			return view_fail(&apply->view, APPLY_STAGE_CREATE, -errno);
		r = clear(&apply->view, depth, name);
		if (r < 0)
			return r;
	}
}

static int make_node(struct apply *apply, uint32_t depth, const char *name)
{
	bool symlink = apply->entry.head.type == ENTRY_TYPE_SYMLINK;

	for (int attempt = 0;; attempt++) {
		int parent = view_upper(&apply->view, depth);
		int r = symlink ? symlinkat(apply->entry.link, parent, name) : mknodat(parent, name, S_IFIFO | 0600, 0);

		if (r == 0) {
			apply->done.files++;
			return apply_meta(apply, -1, parent, name);
		}
		if (errno != EEXIST || attempt > 0)
			return view_fail(&apply->view, APPLY_STAGE_CREATE, -errno);
		r = clear(&apply->view, depth, name);
		if (r < 0)
			return r;
	}
}

static int remove_xattrs(struct view *view, int fd)
{
	ssize_t length = flistxattr(fd, view->xattr_names, sizeof(view->xattr_names));

	for (const char *name = view->xattr_names; length > 0 && name < view->xattr_names + length;
	     name += strlen(name) + 1)
		if (!meta_is_reserved(name) && fremovexattr(fd, name) < 0 && !meta_is_refusal(errno))
			return view_fail(view, APPLY_STAGE_XATTR, -errno);
	return 0;
}

/* The directory of a level gets what the entry says; its time is kept until the level is left. */
static int set_directory(struct apply *apply, uint32_t depth)
{
	struct view *view = &apply->view;
	int r = view_materialise(view, depth);

	if (r == 0)
		r = remove_xattrs(view, view->levels[depth].upper);
	if (r == 0)
		r = apply_meta(apply, view->levels[depth].upper, -1, "");
	view->levels[depth].mtime =
		(struct timespec){ .tv_sec = apply->entry.head.mtime_s, .tv_nsec = apply->entry.head.mtime_ns };
	view->levels[depth].dirty = true;
	return r;
}

static int make_directory(struct apply *apply, uint32_t depth, const char *name)
{
	struct view *view = &apply->view;
	struct found found = { .upper = -1 };
	int r = view_truncate(view, depth);

	if (r == 0)
		r = view_find(view, depth, name, &found);
	if (r < 0)
		return r;
	if (found.kind == FOUND_DIRECTORY)
		r = view_push(view, depth, name, &found);
	else
		r = view_make_directory(view, depth, name, &found);
	return r < 0 ? r : set_directory(apply, depth + 1);
}

/* An absent parent means that there is nothing to hide, and none is made for a mark's sake. */
static bool is_absent(int error)
{
	return error == -ENOENT || error == -ENOTDIR || error == -ELOOP;
}

static int make_opaque(struct apply *apply)
{
	uint32_t depth = 0;
	int r = view_walk(&apply->view, apply->entry.path, false, &depth);

	if (r < 0)
		return is_absent(r) ? 0 : view_fail(&apply->view, APPLY_STAGE_PARENT, r);
	return view_cut(&apply->view, depth, false);
}

int apply_entry(struct apply *apply)
{
	struct view *view = &apply->view;
	char parent[ENTRIES_MAX_PATH_BYTES];
	const char *name = strrchr(apply->path, '/');
	uint32_t type = apply->entry.head.type, depth = 0;
	int r;

	if (type == ENTRY_TYPE_OPAQUE)
		return make_opaque(apply);
	if (apply->path[0] == '\0')
		return set_directory(apply, 0);
	copy_text(parent, name ? (size_t)(name - apply->path) + 1 : 1, apply->path);
	name = name ? name + 1 : apply->path;
	r = view_walk(view, parent, type != ENTRY_TYPE_WHITEOUT, &depth);
	if (type == ENTRY_TYPE_WHITEOUT)
		return r == 0	      ? view_hide(view, depth, name)
		       : is_absent(r) ? 0
				      : view_fail(view, APPLY_STAGE_PARENT, r);
	if (r == 0)
		r = view_materialise(view, depth);
	if (r < 0)
		return view_fail(view, APPLY_STAGE_PARENT, r);
	/* A name of this form would be read as a whiteout by some. */
	if (strncmp(name, ".wh.", 4) == 0)
		return view_fail(view, APPLY_STAGE_CREATE, -EINVAL);
	if (type == ENTRY_TYPE_DIRECTORY)
		return make_directory(apply, depth, name);
	r = view_forget(view, depth, name);
	if (r < 0)
		return r;
	if (type == ENTRY_TYPE_FILE)
		return make_file(apply, depth, name);
	return type == ENTRY_TYPE_HARDLINK ? apply_hardlink(apply, depth, name) : make_node(apply, depth, name);
}
