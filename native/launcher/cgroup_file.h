/* SPDX-License-Identifier: Apache-2.0 -- files of a cgroup, and what stands in them. */
#ifndef BELLJAR_CGROUP_FILE_H
#define BELLJAR_CGROUP_FILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* 0 or a negative errno; the text ends with NUL. */
int cgroup_read_file(int dir, const char *name, char *buffer, size_t size);
int cgroup_write_file(int dir, const char *name, const char *value);
/* The number of a one-number file, or NOT_MEASURED. */
uint64_t cgroup_number(int dir, const char *name);
/* The number behind `key` in a flat-keyed file, or NOT_MEASURED. */
uint64_t cgroup_keyed_number(int dir, const char *name, const char *key);
/* In a list that is separated by spaces. */
bool cgroup_has_word(const char *list, const char *word);

#endif
