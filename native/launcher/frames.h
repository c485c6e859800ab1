/* SPDX-License-Identifier: Apache-2.0 -- what a client of a run server sends behind its exec part, cut into frames. */
#ifndef BELLJAR_FRAMES_H
#define BELLJAR_FRAMES_H

#include <stdbool.h>
#include <stdint.h>

enum { FRAME_HEADER_BYTES = 8, FRAME_LONGEST_WORD = 12 };

struct frames {
	uint8_t word[FRAME_LONGEST_WORD]; /* a header, and the errno of an unread stream */
	uint32_t have, left;		  /* bytes of the word that came; bytes of input that did not */
	bool input_ended, broken;
};

enum frame {
	FRAME_NONE, /* the bytes are used up */
	FRAME_INPUT,
	FRAME_END_OF_INPUT,
	FRAME_CANCEL,
	FRAME_STDOUT_UNREAD,
	FRAME_STDERR_UNREAD,
	FRAME_BROKEN, /* and nothing but that ever after */
};

/*
 * What comes next in bytes[*at..end), however they were cut on their way. Moves `at` behind it. *ret_value: of FRAME_INPUT how many bytes before
 * `at` are input, never 0; of unread streams the errno.
 */
enum frame frames_next(struct frames *frames, const uint8_t *bytes, uint32_t end, uint32_t *at, uint32_t *ret_value);

/* Bytes of the word that is on its way, 0 within input. */
uint32_t frames_word_left(const struct frames *frames);

/* Writes a header. */
void frame_header(uint8_t *to, uint32_t kind, uint32_t length);

#endif
