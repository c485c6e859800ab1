/* SPDX-License-Identifier: Apache-2.0 -- layers in overlay form copied into one tree; see merge.c. */
#ifndef BELLJAR_APPLY_MERGE_H
#define BELLJAR_APPLY_MERGE_H

#include <stdint.h>

/*
 * Copies the layers 0 (lowest) to count - 1, found as entries of the directory `layers`, over each other into the directory `root`.
 * 0 or negative errno.
 */
int merge_layers(const char *root, const char *layers, uint32_t count);

#endif
