// SPDX-License-Identifier: Apache-2.0
#include "utf8.h"

/* The encoding's table 3-7 of the Unicode standard: what may follow a first byte. */
static bool lead(uint8_t byte, unsigned int *ret_more, uint8_t *ret_low, uint8_t *ret_high)
{
	*ret_low = byte == 0xe0 ? 0xa0 : byte == 0xf0 ? 0x90 : 0x80;
	*ret_high = byte == 0xed ? 0x9f : byte == 0xf4 ? 0x8f : 0xbf;
	*ret_more = byte >= 0xf0 ? 3 : byte >= 0xe0 ? 2 : 1;
	return byte >= 0xc2 && byte <= 0xf4;
}

uint32_t utf8_take(const char **at, const char *end, bool *ret_invalid)
{
	uint8_t first = (uint8_t) * (*at)++, low, high;
	uint32_t character;
	unsigned int more;

	if (first < 0x80)
		return first;
	if (!lead(first, &more, &low, &high))
		goto invalid;
	character = first & (0x3fu >> more);
	for (; more; more--) {
		if (*at == end || (uint8_t) * *at < low || (uint8_t) * *at > high)
			goto invalid;
		character = character << 6 | ((uint8_t) * (*at)++ & 0x3fu);
		low = 0x80;
		high = 0xbf;
	}
	return character;
invalid:
	if (ret_invalid)
		*ret_invalid = true;
	return UTF8_REPLACEMENT;
}

unsigned int utf8_put(uint32_t character, char *ret)
{
	unsigned int length = character < 0x80 ? 1 : character < 0x800 ? 2 : character < 0x10000 ? 3 : 4;
	static const uint8_t leads[] = { 0, 0, 0xc0, 0xe0, 0xf0 };

	for (unsigned int i = length - 1; i > 0; i--) {
		ret[i] = (char)(0x80 | (character & 0x3f));
		character >>= 6;
	}
	ret[0] = (char)(leads[length] | character);
	return length;
}

bool utf8_valid(const char *text, size_t length)
{
	const char *end = text + length;
	bool invalid = false;

	while (text < end && !invalid)
		(void)utf8_take(&text, end, &invalid);
	return !invalid;
}

static void add_character(struct text *to, uint32_t character)
{
	char bytes[5] = { 0 };

	/* Whole or not at all, so that what is cut off is still UTF-8. */
	if ((size_t)(to->end - to->at) < utf8_put(character, bytes)) {
		to->full = true;
		to->end = to->at;
		return;
	}
	text_add(to, bytes);
}

void utf8_add_lossy(struct text *to, const char *text, size_t length)
{
	const char *end = text + length;

	while (text < end)
		add_character(to, utf8_take(&text, end, NULL));
}

struct range {
	uint32_t first, last;
};

static bool within(uint32_t character, const struct range *ranges, size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (character >= ranges[i].first && character <= ranges[i].last)
			return true;
	return false;
}

bool utf8_json_unsafe(uint32_t character)
{
	/* DEL and C1, soft hyphen, marks of direction, zero width, separators, embeddings, byte order mark, annotations. */
	static const struct range unsafe[] = {
		{ 0x7f, 0x9f },	    { 0xad, 0xad },	{ 0x61c, 0x61c },   { 0x180e, 0x180e }, { 0x200b, 0x200f },
		{ 0x2028, 0x202e }, { 0x2060, 0x2069 }, { 0xfeff, 0xfeff }, { 0xfff9, 0xfffb },
	};

	return character >= 0x7f && within(character, unsafe, ARRAY_SIZE(unsafe));
}

static void add_hex(struct text *to, uint32_t value, unsigned int least)
{
	char digits[9];
	char *at = digits + sizeof(digits) - 1;

	*at = '\0';
	for (; value || at > digits + sizeof(digits) - 1 - least; value >>= 4)
		*--at = "0123456789abcdef"[value & 15];
	text_add(to, at);
}

static void add_escape(struct text *to, uint32_t character)
{
	if (character == '\n' || character == '\r' || character == '\t') {
		text_add(to, character == '\n' ? "\\n" : character == '\r' ? "\\r" : "\\t");
	} else if (character <= 0xff) {
		text_add(to, "\\x");
		add_hex(to, character, 2);
	} else {
		text_add(to, "\\u{");
		add_hex(to, character, 1);
		text_add(to, "}");
	}
}

void utf8_add_printable(struct text *to, const char *text)
{
	const char *end = text + strlen(text);

	while (text < end) {
		uint32_t character = utf8_take(&text, end, NULL);

		/* Tag characters, too, which JSON leaves alone. */
		if (character < 0x20 || utf8_json_unsafe(character) || (character >= 0xe0000 && character <= 0xe007f))
			add_escape(to, character);
		else
			add_character(to, character);
	}
}

/* As the command counts: units of UTF-16. */
size_t utf8_width(const char *text)
{
	const char *end = text + strlen(text);
	size_t width = 0;

	while (text < end)
		width += utf8_take(&text, end, NULL) >= 0x10000 ? 2 : 1;
	return width;
}
