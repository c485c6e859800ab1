/* SPDX-License-Identifier: Apache-2.0 -- text on its way to a descriptor, and JSON in it. */
#ifndef BELLJAR_SINK_H
#define BELLJAR_SINK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { SINK_BUFFER = 8192, JSON_DEPTH = 12 };

struct sink {
	int fd, error; /* positive errno; what comes after it is dropped */
	int signals; /* a signalfd: whoever waits for a slow reader can still be told to stop, and that is EINTR. -1 = none */
	size_t used;
	char buffer[SINK_BUFFER];
};

void sink_open(struct sink *sink, int fd, int signals);
void sink_bytes(struct sink *sink, const char *bytes, size_t length);
void sink_text(struct sink *sink, const char *text);
/* Text of any bytes, as one line that steers no terminal. Returns how many columns wide what was written is. */
size_t sink_printable(struct sink *sink, const char *text);
/* 0 or a negative errno of any write so far. */
int sink_flush(struct sink *sink);

/* The text that JSON.stringify writes, with or without an indent of two, and with what is unsafe on a terminal escaped. */
struct json {
	struct sink *sink;
	bool pretty, after_key;
	unsigned int depth;
	bool filled[JSON_DEPTH];
};

void json_open(struct json *json, char bracket);
void json_close(struct json *json, char bracket);
void json_key(struct json *json, const char *name);
void json_null(struct json *json);
void json_bool(struct json *json, bool value);
void json_u64(struct json *json, uint64_t value);
/* null for NOT_MEASURED; a count of more than 2^53 as a double has it. */
void json_count(struct json *json, uint64_t value);
/* Milliseconds to the microsecond. */
void json_milliseconds(struct json *json, uint64_t ns);
/* What is no UTF-8 becomes U+FFFD. */
void json_bytes(struct json *json, const char *text, size_t length);
void json_text(struct json *json, const char *text);
/* A value that is JSON already. */
void json_raw(struct json *json, const char *text);
void json_base64(struct json *json, const uint8_t *bytes, size_t length);

#endif
