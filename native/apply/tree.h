/* SPDX-License-Identifier: Apache-2.0 -- listing and removing directories without the C library's heap. */
#ifndef BELLJAR_APPLY_TREE_H
#define BELLJAR_APPLY_TREE_H

#include <stdbool.h>
#include <stddef.h>

/* For openat2: never through a link, never out of the tree, never onto another file system. Needs linux/openat2.h (sys.h). */
#define TREE_BENEATH (RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS | RESOLVE_NO_XDEV)

enum { TREE_BUFFER = 2048 };

struct tree_names {
	int fd;
	long have, at;
	unsigned char type; /* of the name given last: DT_* */
	_Alignas(8) char buffer[TREE_BUFFER];
};

/* 1: the next name, without "." and ".."; 0: there are no more; negative errno. */
int tree_next(struct tree_names *names, const char **ret_name);
/* Removes a file or a whole directory, following nothing. However deep it is, two descriptors are in use. */
int tree_remove(int parent, const char *name);

#endif
