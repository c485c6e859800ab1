/* SPDX-License-Identifier: Apache-2.0 -- frames from a stream, in one buffer. */
#ifndef BELLJAR_APPLY_READER_H
#define BELLJAR_APPLY_READER_H

#include <stdbool.h>

#include "gen/entries.gen.h"

/* A buffer of twice the largest frame: a whole one always fits behind what is not read yet. */
#define READER_BUFFER_BYTES (2u * ENTRIES_MAX_FRAME_BYTES)

struct reader {
	int fd;
	uint8_t *buffer; /* READER_BUFFER_BYTES */
	uint32_t start, end;
	uint32_t left; /* bytes of the current data frame that are still to come */
};

struct frame {
	uint32_t kind, length;
	const uint8_t *payload; /* for data: the bytes so far, `length` of them; more with reader_more */
	uint64_t offset;	/* data only */
};

struct entry {
	struct wire_entry head;
	const char *path, *link;
	const uint8_t *xattrs; /* checked: every name and value lies inside */
};

/* One attribute of an entry; `at` moves on. false: there are no more. */
struct xattr {
	const char *name;
	const void *value;
	uint32_t value_length;
};

/* Whether the stream ends here, between two frames. Waits for what comes. */
bool reader_ended(struct reader *reader);
/* The next frame, checked for kind and length. 0, -EPIPE at an early end, -EBADMSG. */
int reader_next(struct reader *reader, struct frame *ret_frame);
/* More bytes of a data frame: their number, 0 when the frame is complete, negative errno. */
int reader_more(struct reader *reader, const uint8_t **ret_bytes);
/* Checks an entry's payload. -EBADMSG. */
int entry_decode(const uint8_t *payload, uint32_t length, struct entry *ret_entry);
bool xattr_next(const struct entry *entry, uint32_t *at, struct xattr *ret_xattr);

#endif
