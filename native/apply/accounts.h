/* SPDX-License-Identifier: Apache-2.0 -- the passwd and group files of an image; see accounts.c. */
#ifndef BELLJAR_APPLY_ACCOUNTS_H
#define BELLJAR_APPLY_ACCOUNTS_H

/* As many as the kernel stacks (OVL_MAX_STACK). */
enum { ACCOUNTS_MAX_LAYERS = 500 };

/*
 * Writes /etc/passwd and /etc/group as the merged layers (open directories, lowest first) show them to stdout: of each a line
 * with its length in bytes, "-" where there is none, and then the bytes. 0 or negative errno.
 */
int accounts_write(const int *layers, unsigned int count);

#endif
