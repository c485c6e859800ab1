/* SPDX-License-Identifier: Apache-2.0 -- building the sandbox's file system; see fs.c. */
#ifndef BELLJAR_FS_H
#define BELLJAR_FS_H

#include <stdbool.h>

#include "init.h"

/* A new, detached mount of a file system type; options are key, value pairs (value NULL: a flag) ended by NULL. */
int fs_new_mount(const char *type, const char *const *options, unsigned int attributes);

/* Notes the mount of an open file as ours. */
int fs_note_own(struct init *init, int fd);

/* Whether an open file lies on a mount of ours, the only places where mount points are made. */
bool fs_on_scratch(const struct init *init, int fd);

/* Opens the directory that holds the last component of `target`, making missing ones; *ret_name points into target. */
int fs_open_parent(struct init *init, const char *target, const char **ret_name);

/* Opens the directory `target`, making an empty one where there is none. */
int fs_open_directory(struct init *init, const char *target);

int fs_is_directory(int fd);

/* Makes scratch/name and a mount of it on itself: the root has to be a mount point, and parts stay bindable. */
int fs_bind_in_place(int scratch, const char *name, int *ret_mount);

/* Mounts the merged root of image layers at scratch/root, or leaves that to a companion, and opens it as init->root. */
int overlay_mount(struct init *init);

/* Attaches a detached mount at `target`. */
int fs_attach(struct init *init, int tree, const char *target);

#endif
