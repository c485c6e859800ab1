/* SPDX-License-Identifier: Apache-2.0 -- owner, attributes, mode and times of what is made. */
#ifndef BELLJAR_APPLY_META_H
#define BELLJAR_APPLY_META_H

#include <stdbool.h>
#include <sys/stat.h>

#include "view.h"

#define META_OPAQUE "user.overlay.opaque"

bool meta_is_whiteout(const struct stat *status);
/* 1 = opaque, 0 = not; fd may be an O_PATH descriptor of a directory. */
int meta_is_opaque(int fd);
/* Attributes by which overlay file systems and container tools speak to themselves: never an image's to set. */
bool meta_is_reserved(const char *name);
/* Errors that say "this attribute cannot be had here", which are warned about and are not fatal. */
bool meta_is_refusal(int error);
/* Owner, attributes and mode of a file or directory; the mtime is for the caller to set. */
int meta_copy(struct view *view, int from, int to, struct timespec *ret_mtime);
/* Data without its holes, owner, attributes, mode and times. */
int meta_copy_file(struct view *view, int from, int to);

#endif
