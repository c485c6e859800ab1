// SPDX-License-Identifier: Apache-2.0
/*
 * What a client sends behind its exec part: any bytes, cut on their way in any manner. The decoder must say the same of them however they come, never
 * call more input than was announced, and say nothing more once they are nonsense. The first byte of an input decides the cuts.
 */
#include <stdlib.h>
#include <string.h>

#include "frames.h"
#include "gen/wire.gen.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool ok)
{
	if (!ok)
		abort();
}

/* What was said so far: input counts by its bytes, for how it is cut is no part of it. */
struct said {
	uint64_t input, words, hash;
	bool ended, broken;
};

/* By field: between them there may be anything. */
static bool same(const struct said *a, const struct said *b)
{
	return a->input == b->input && a->words == b->words && a->hash == b->hash && a->ended == b->ended &&
	       a->broken == b->broken;
}

static void note(struct said *said, uint64_t value)
{
	said->hash = (said->hash ^ value) * UINT64_C(0x100000001b3);
}

static void hear(struct said *said, enum frame frame, uint32_t value, const uint8_t *bytes)
{
	must(!said->broken || frame == FRAME_BROKEN);
	if (frame == FRAME_INPUT) {
		must(value > 0 && !said->ended);
		said->input += value;
		for (uint32_t i = 0; i < value; i++)
			note(said, bytes[i]);
		return;
	}
	said->ended |= frame == FRAME_END_OF_INPUT;
	said->broken = frame == FRAME_BROKEN;
	said->words++;
	note(said, 256 + (uint64_t)frame + ((uint64_t)value << 16));
}

static struct said decode(const uint8_t *bytes, uint32_t size, uint32_t piece)
{
	struct frames frames = { 0 };
	struct said said = { 0 };

	for (uint32_t from = 0; from < size && !said.broken;) {
		/* Nothing behind a piece may be looked at: it is copied, so that the sanitizer sees. */
		uint32_t length = piece && piece < size - from ? piece : size - from, at = 0;
		uint8_t *copy = malloc(length);

		must(copy != NULL);
		memcpy(copy, bytes + from, length);
		while (true) {
			uint32_t value = 0, before = at;
			enum frame frame = frames_next(&frames, copy, length, &at, &value);

			must(at >= before && at <= length);
			if (frame == FRAME_NONE) {
				must(at == length);
				break;
			}
			must(frame != FRAME_INPUT || value <= at);
			hear(&said, frame,
			     frame == FRAME_INPUT || frame == FRAME_STDOUT_UNREAD || frame == FRAME_STDERR_UNREAD
				     ? value
				     : 0,
			     copy + at - (frame == FRAME_INPUT ? value : 0));
			if (frame == FRAME_BROKEN)
				break;
		}
		must(said.broken || frames_word_left(&frames) <= FRAME_LONGEST_WORD);
		free(copy);
		from += length;
		piece = piece ? piece % 13 + 1 : 0;
	}
	return said;
}

/* The same, written down a second time: whole frames that lie one behind the other. */
static struct said reread(const uint8_t *bytes, uint32_t size)
{
	struct said said = { 0 };

	for (uint32_t at = 0; size - at >= FRAME_HEADER_BYTES;) {
		uint32_t kind, length, error;

		memcpy(&kind, bytes + at, 4);
		memcpy(&length, bytes + at + 4, 4);
		at += FRAME_HEADER_BYTES;
		uint32_t here = length < size - at ? length : size - at;
		if (kind == MESSAGE_KIND_CANCEL && length == 0) {
			hear(&said, FRAME_CANCEL, 0, NULL);
		} else if (kind == MESSAGE_KIND_STDIN && length <= WIRE_MAX_FRAME_BYTES && !said.ended) {
			if (length == 0)
				hear(&said, FRAME_END_OF_INPUT, 0, NULL);
			else if (here)
				hear(&said, FRAME_INPUT, here, bytes + at);
			at += here;
		} else if (kind == MESSAGE_KIND_STDOUT || kind == MESSAGE_KIND_STDERR) {
			if (size - at < sizeof(error)) /* its word is not whole */
				return said;
			memcpy(&error, bytes + at, sizeof(error));
			at += (uint32_t)sizeof(error);
			if (length != sizeof(error) || error == 0 || error > 4095) {
				hear(&said, FRAME_BROKEN, 0, NULL);
				return said;
			}
			hear(&said, kind == MESSAGE_KIND_STDOUT ? FRAME_STDOUT_UNREAD : FRAME_STDERR_UNREAD, error,
			     NULL);
		} else {
			hear(&said, FRAME_BROKEN, 0, NULL);
			return said;
		}
	}
	return said;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size < 1 || size > 1 << 20)
		return 0;
	struct said whole = decode(data + 1, (uint32_t)size - 1, 0);
	struct said pieces = decode(data + 1, (uint32_t)size - 1, 1 + data[0]);
	struct said again = reread(data + 1, (uint32_t)size - 1);

	must(same(&whole, &pieces) && same(&whole, &again));
	return 0;
}
