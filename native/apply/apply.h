/* SPDX-License-Identifier: Apache-2.0 -- one layer being applied. */
#ifndef BELLJAR_APPLY_APPLY_H
#define BELLJAR_APPLY_APPLY_H

#include "reader.h"
#include "view.h"

struct apply {
	struct view view;
	struct reader reader;
	int report; /* -1: nobody listens */
	int root;   /* the directory that the layer is applied to */
	bool begun;
	struct wire_done done;
	uint32_t reports; /* warnings sent */
	/* The last entry; for a file its attributes wait until its data has come. */
	struct entry entry;
	int file;	  /* open while data may come, else -1 */
	uint64_t written; /* end of the data so far */
	char path[ENTRIES_MAX_PATH_BYTES];
	uint8_t kept_xattrs[ENTRIES_MAX_FRAME_BYTES];
};

/*
 * Applies frames until the end frame. 0, or negative errno with view.stage, entry.head.index and path telling where; the
 * layer is then unusable. buffer: READER_BUFFER_BYTES.
 */
int apply_stream(struct apply *apply, uint8_t *buffer);
/*
 * After a layer that succeeded: takes up the directory of the next one, named by its frame. 1, 0 at the end of the stream,
 * negative errno as apply_stream.
 */
int apply_next(struct apply *apply);
/* One entry, but not its data. */
int apply_entry(struct apply *apply);
int apply_hardlink(struct apply *apply, uint32_t depth, const char *name);
/* Owner, attributes, mode and times: fd, or, for what cannot be opened, -1 with the name in the directory `parent`. */
int apply_meta(struct apply *apply, int fd, int parent, const char *name);
void apply_warn(struct apply *apply, enum apply_stage stage, int error, const char *what);

#endif
