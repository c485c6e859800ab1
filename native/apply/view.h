/* SPDX-License-Identifier: Apache-2.0
 *
 * The merged view: the layer being made (upper) over the finished layers below it (lowers), looked up as overlayfs does
 * (Documentation/filesystems/overlayfs.rst), without mounting anything.
 *
 * The walk to the current directory is kept as a stack of levels, since archives list a directory's entries together. A
 * level's directory is opened in the upper; in the lowers each look-up goes by path from the layer's root through openat2, which follows
 * no link and stays beneath. Links of the image are followed here, one component at a time, so nothing leads out.
 *
 * A directory's mtime is put back when its level is left: its final time is known when its entry comes (or is that of
 * the layers below), and everything made inside afterwards changes it.
 */
#ifndef BELLJAR_APPLY_VIEW_H
#define BELLJAR_APPLY_VIEW_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/stat.h>

#include "gen/entries.gen.h"

enum { LIVE_WORDS = ENTRIES_MAX_LOWERS / 64, MAX_LINKS = 40 };

struct level {
	int upper;	       /* -1: only lower layers have the directory */
	uint32_t name_at, end; /* its name in view.path, and where its own path ends */
	bool dirty;	       /* mtime is to be put back */
	struct timespec mtime;
	uint64_t live[LIVE_WORDS]; /* lowers that are merged here; bit 0 = the topmost */
};

struct view {
	uint32_t lower_count;
	int lowers[ENTRIES_MAX_LOWERS];
	bool chown;
	enum apply_stage stage; /* where the first failure was */
	uint64_t whiteouts, directories;
	uint32_t depth;
	struct level levels[ENTRIES_MAX_DEPTH + 1];
	char path[ENTRIES_MAX_PATH_BYTES];	   /* of the deepest level, without links */
	char joined[ENTRIES_MAX_PATH_BYTES + 256]; /* path below a lower's root */
	char pending[2][2 * ENTRIES_MAX_PATH_BYTES];
	char link[ENTRIES_MAX_PATH_BYTES];
	char xattr_names[65536], xattr_value[65536];
};

enum found_kind { FOUND_NOTHING, FOUND_DIRECTORY, FOUND_LINK, FOUND_OTHER };

struct found {
	enum found_kind kind;
	bool in_upper, whiteout; /* whiteout: the upper hides the name */
	int upper;		 /* the directory, open; -1 */
	uint32_t lower;		 /* the topmost layer that has it, when the upper does not */
	uint64_t live[LIVE_WORDS];
};

/* Fails with the stage of the first failure kept. */
int view_fail(struct view *view, enum apply_stage stage, int error);
/* The root of the new layer is taken over (closed by view_close); its metadata become those of the lowers' root. */
int view_open(struct view *view, int root);
int view_close(struct view *view);
/* Leaves all levels deeper than this one. */
int view_truncate(struct view *view, uint32_t depth);
/* Leaves the level of a name in the directory of a level, if it is one: something else takes its place. */
int view_forget(struct view *view, uint32_t depth, const char *name);
/* The level of the directory `path`; links are followed. create: what is missing is made. -ENOENT, -ENOTDIR, -ELOOP. */
int view_walk(struct view *view, const char *path, bool create, uint32_t *ret_depth);
/* What the merged view has under a name in the directory of a level. The caller closes found.upper. */
int view_find(struct view *view, uint32_t depth, const char *name, struct found *ret_found);
/* Enters a directory that was found; takes found.upper over. */
int view_push(struct view *view, uint32_t depth, const char *name, const struct found *found);
/* The directory of a level is in the upper from here on, with the metadata that it has below. */
int view_materialise(struct view *view, uint32_t depth);
/* A fresh directory, merged with nothing below, in place of whatever is no directory; becomes the level depth + 1. */
int view_make_directory(struct view *view, uint32_t depth, const char *name, const struct found *found);
/* Hides what the lowers have under a name; what the upper has stays. */
int view_hide(struct view *view, uint32_t depth, const char *name);
/* Hides everything that the lowers have in the directory of a level. */
int view_cut(struct view *view, uint32_t depth, bool mark);
/* Makes a copy of a lower's file, link or fifo in the upper, under its own name. */
int view_copy_up(struct view *view, uint32_t depth, const char *name, const struct found *found);
/* The upper's directory of a level; its mtime will be put back. */
int view_upper(struct view *view, uint32_t depth);

#endif
