/* SPDX-License-Identifier: Apache-2.0 -- an exec part from a template and what a run changes of it. */
#ifndef BELLJAR_ENCODE_H
#define BELLJAR_ENCODE_H

#include "plan.h"

enum { ENCODE_MAX_WRITES = 32, ENCODE_MAX_RLIMITS = 16 };

struct encode_texts {
	const char *const *texts; /* NULL: the template's */
	uint32_t count;
};

struct encode_file {
	const char *source,
		*target; /* of a file to copy in: on the host, in the work folder; of one to copy out the other way round */
	uint32_t mode;
	uint64_t max_bytes;
};

struct exec_changes {
	struct encode_texts argv, env;
	const char *cwd; /* NULL: the template's */
	const struct encode_file *files_in, *files_out;
	uint32_t files_in_count, files_out_count;
	const char *write_values[ENCODE_MAX_WRITES]; /* of the template's cgroup writes; NULL: as they are */
	struct {
		bool changed;
		uint64_t soft, hard;
	} rlimits[ENCODE_MAX_RLIMITS];
};

/*
 * Writes the one canonical encoding of an exec part that is the template but for the changes, and not parked. Numbers of the root record may be
 * changed in place afterwards. `template` must have been checked. Returns the size of the part, or -E2BIG where it is larger than a part may be.
 */
int exec_encode(const struct part *template, const struct exec_changes *changes, uint8_t *ret, size_t capacity);

#endif
