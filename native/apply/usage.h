/* SPDX-License-Identifier: Apache-2.0 -- how much a folder holds; see usage.c. */
#ifndef BELLJAR_APPLY_USAGE_H
#define BELLJAR_APPLY_USAGE_H

/* Counts the folder again and again, and tells on the descriptor; comes back only with a negative errno. */
int usage_watch(const char *path, int out);

#endif
