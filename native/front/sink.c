// SPDX-License-Identifier: Apache-2.0
#include "sink.h"

#include <limits.h>
#include <poll.h>

#include "utf8.h"
#include "util.h"

void sink_open(struct sink *sink, int fd, int signals)
{
	sink->fd = fd;
	sink->signals = signals;
	sink->error = 0;
	sink->used = 0;
}

/* Until the reader takes more. A blocked write would hear no signal: they are blocked, and read from `signals`. */
static int wait_for_reader(const struct sink *sink)
{
	struct pollfd waits[] = { { .fd = sink->fd, .events = POLLOUT }, { .fd = sink->signals, .events = POLLIN } };

	while (poll(waits, ARRAY_SIZE(waits), -1) < 0)
		if (errno != EINTR)
			return -errno;
	return waits[0].revents ? 0 : -EINTR;
}

int sink_flush(struct sink *sink)
{
	const char *at = sink->buffer;

	while (sink->used && !sink->error) {
		/* A pipe that can be written takes so much without waiting. */
		size_t part = sink->used < PIPE_BUF ? sink->used : PIPE_BUF;
		int r = wait_for_reader(sink);
		ssize_t n = r < 0 ? r : write(sink->fd, at, part);

		if (r < 0) {
			sink->error = -r;
		} else if (n < 0 && errno != EAGAIN && errno != EINTR) {
			sink->error = errno;
		} else if (n > 0) {
			at += n;
			sink->used -= (size_t)n;
		}
	}
	sink->used = 0;
	return -sink->error;
}

void sink_bytes(struct sink *sink, const char *bytes, size_t length)
{
	while (length) {
		size_t part = sizeof(sink->buffer) - sink->used;

		if (part > length)
			part = length;
		memcpy(sink->buffer + sink->used, bytes, part);
		sink->used += part;
		bytes += part;
		length -= part;
		if (sink->used == sizeof(sink->buffer))
			(void)sink_flush(sink);
	}
}

void sink_text(struct sink *sink, const char *text)
{
	sink_bytes(sink, text, strlen(text));
}

static void new_line(struct json *json)
{
	if (!json->pretty)
		return;
	sink_text(json->sink, "\n");
	for (unsigned int i = 0; i < json->depth; i++)
		sink_text(json->sink, "  ");
}

/* Before a value, or a key. */
static void begin(struct json *json)
{
	if (json->after_key || json->depth == 0) {
		json->after_key = false;
		return;
	}
	if (json->filled[json->depth])
		sink_text(json->sink, ",");
	json->filled[json->depth] = true;
	new_line(json);
}

void json_open(struct json *json, char bracket)
{
	begin(json);
	sink_bytes(json->sink, &bracket, 1);
	if (json->depth < JSON_DEPTH - 1)
		json->depth++;
	json->filled[json->depth] = false;
}

void json_close(struct json *json, char bracket)
{
	bool filled = json->filled[json->depth];

	json->depth--;
	if (filled)
		new_line(json);
	sink_bytes(json->sink, &bracket, 1);
}

void json_key(struct json *json, const char *name)
{
	json_text(json, name);
	sink_text(json->sink, json->pretty ? ": " : ":");
	json->after_key = true;
}

static void plain(struct json *json, const char *text)
{
	begin(json);
	sink_text(json->sink, text);
}

void json_null(struct json *json)
{
	plain(json, "null");
}

void json_bool(struct json *json, bool value)
{
	plain(json, value ? "true" : "false");
}

void json_u64(struct json *json, uint64_t value)
{
	char buffer[24];
	struct text text = text_in(buffer, sizeof(buffer));

	text_add_u64(&text, value);
	plain(json, buffer);
}

void json_count(struct json *json, uint64_t value)
{
	if (value == NOT_MEASURED)
		json_null(json);
	else
		json_u64(json, value >> 53 ? (uint64_t)(double)(value >> 1) << 1 : value);
}

void json_milliseconds(struct json *json, uint64_t ns)
{
	char buffer[32];
	struct text text = text_in(buffer, sizeof(buffer));
	uint64_t us = ns / 1000 + (ns % 1000 >= 500);

	if (ns == NOT_MEASURED) {
		json_null(json);
		return;
	}
	text_add_u64(&text, us / 1000);
	if (us % 1000) {
		text_add(&text, us % 1000 < 10 ? ".00" : us % 1000 < 100 ? ".0" : ".");
		text_add_u64(&text, us % 1000);
		while (text.at[-1] == '0')
			*--text.at = '\0';
	}
	plain(json, buffer);
}

static void add_unit(struct sink *sink, uint32_t unit)
{
	static const char digits[] = "0123456789abcdef";
	const char escape[] = {
		'\\', 'u', digits[unit >> 12 & 15], digits[unit >> 8 & 15], digits[unit >> 4 & 15], digits[unit & 15]
	};

	sink_bytes(sink, escape, sizeof(escape));
}

static void add_character(struct sink *sink, uint32_t character, bool in_json)
{
	static const char names[] = "btn\0fr";
	char bytes[4];

	if (utf8_json_unsafe(character)) {
		add_unit(sink, character);
	} else if (!in_json && (character == '"' || character == '\\')) {
		sink_text(sink, character == '"' ? "\\\"" : "\\\\");
	} else if (!in_json && character < 0x20) {
		const char escape[] = { '\\', character >= 8 && character <= 13 ? names[character - 8] : '\0' };

		if (escape[1])
			sink_bytes(sink, escape, sizeof(escape));
		else
			add_unit(sink, character);
	} else {
		sink_bytes(sink, bytes, utf8_put(character, bytes));
	}
}

void json_bytes(struct json *json, const char *text, size_t length)
{
	const char *end = text + length;

	begin(json);
	sink_text(json->sink, "\"");
	while (text < end)
		add_character(json->sink, utf8_take(&text, end, NULL), false);
	sink_text(json->sink, "\"");
}

void json_text(struct json *json, const char *text)
{
	json_bytes(json, text, strlen(text));
}

void json_raw(struct json *json, const char *text)
{
	const char *end = text + strlen(text);

	begin(json);
	while (text < end)
		add_character(json->sink, utf8_take(&text, end, NULL), true);
}

void json_base64(struct json *json, const uint8_t *bytes, size_t length)
{
	static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

	begin(json);
	sink_text(json->sink, "\"");
	for (size_t i = 0; i < length; i += 3) {
		size_t rest = length - i;
		uint32_t group = (uint32_t)bytes[i] << 16 | (rest > 1 ? (uint32_t)bytes[i + 1] << 8 : 0) |
				 (rest > 2 ? bytes[i + 2] : 0);
		const char quad[] = { letters[group >> 18], letters[group >> 12 & 63],
				      rest > 1 ? letters[group >> 6 & 63] : '=', rest > 2 ? letters[group & 63] : '=' };

		sink_bytes(json->sink, quad, sizeof(quad));
	}
	sink_text(json->sink, "\"");
}

size_t sink_printable(struct sink *sink, const char *text)
{
	const char *end = text + strlen(text);
	size_t width = 0;

	while (text < end) {
		char character[8] = { 0 }, shown[32];
		struct text to = text_in(shown, sizeof(shown));

		(void)utf8_put(utf8_take(&text, end, NULL), character);
		utf8_add_printable(&to, character);
		sink_text(sink, shown);
		width += utf8_width(shown);
	}
	return width;
}
