// SPDX-License-Identifier: Apache-2.0
#include "frames.h"

#include <string.h>

#include "gen/wire.gen.h"

enum { MAX_ERRNO = 4095 };

static enum frame broken(struct frames *frames)
{
	frames->broken = true;
	return FRAME_BROKEN;
}

static uint32_t number_at(const struct frames *frames, uint32_t offset)
{
	uint32_t number;

	memcpy(&number, frames->word + offset, sizeof(number));
	return number;
}

static uint32_t word_length(const struct frames *frames)
{
	uint32_t kind = number_at(frames, 0);
	bool is_unread = kind == MESSAGE_KIND_STDOUT || kind == MESSAGE_KIND_STDERR;

	return frames->have >= FRAME_HEADER_BYTES && is_unread ? FRAME_LONGEST_WORD : FRAME_HEADER_BYTES;
}

uint32_t frames_word_left(const struct frames *frames)
{
	return frames->left ? 0 : word_length(frames) - frames->have;
}

/* A whole word is there. FRAME_NONE: input comes. */
static enum frame take_word(struct frames *frames, uint32_t *ret_value)
{
	uint32_t kind = number_at(frames, 0), length = number_at(frames, 4), error = number_at(frames, 8);

	frames->have = 0;
	if (kind == MESSAGE_KIND_CANCEL && length == 0)
		return FRAME_CANCEL;
	if (kind == MESSAGE_KIND_STDOUT || kind == MESSAGE_KIND_STDERR) {
		if (length != sizeof(error) || error == 0 || error > MAX_ERRNO)
			return broken(frames);
		*ret_value = error;
		return kind == MESSAGE_KIND_STDOUT ? FRAME_STDOUT_UNREAD : FRAME_STDERR_UNREAD;
	}
	if (kind != MESSAGE_KIND_STDIN || length > WIRE_MAX_FRAME_BYTES || frames->input_ended)
		return broken(frames);
	frames->left = length;
	frames->input_ended = length == 0;
	return length ? FRAME_NONE : FRAME_END_OF_INPUT;
}

enum frame frames_next(struct frames *frames, const uint8_t *bytes, uint32_t end, uint32_t *at, uint32_t *ret_value)
{
	if (frames->broken)
		return FRAME_BROKEN;
	while (*at < end) {
		uint32_t here = end - *at;

		if (frames->left) {
			uint32_t length = here < frames->left ? here : frames->left;

			frames->left -= length;
			*at += length;
			*ret_value = length;
			return FRAME_INPUT;
		}
		uint32_t wanted = frames_word_left(frames), length = here < wanted ? here : wanted;

		memcpy(frames->word + frames->have, bytes + *at, length);
		frames->have += length;
		*at += length;
		if (frames_word_left(frames))
			continue;
		enum frame frame = take_word(frames, ret_value);
		if (frame != FRAME_NONE)
			return frame;
	}
	return FRAME_NONE;
}

void frame_header(uint8_t *to, uint32_t kind, uint32_t length)
{
	memcpy(to, &kind, sizeof(kind));
	memcpy(to + sizeof(kind), &length, sizeof(length));
}
