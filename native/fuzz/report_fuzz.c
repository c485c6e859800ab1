// SPDX-License-Identifier: Apache-2.0
/*
 * A compiled plan and what a launcher says: the first run of bytes is the three parts, the rest messages. Whatever the checker accepts must be safe to word, and
 * an exec part that is made of a template must be one that the checker accepts.
 */
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "encode.h"
#include "report.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static size_t take_parts(struct report *report, const uint8_t *data, size_t size)
{
	struct part *parts[] = { &report->sandbox_part, &report->exec_part, &report->words_part };
	size_t at = 0;

	for (uint32_t i = 0; i < 3; i++) {
		struct wire_header header;

		if (size - at < sizeof(header))
			return 0;
		memcpy(&header, data + at, sizeof(header));
		if (header.total_size > size - at ||
		    plan_check(data + at, header.total_size, PLAN_KIND_SANDBOX + i) < 0)
			return 0;
		*parts[i] = (struct part){ data + at, header.total_size };
		at += header.total_size;
	}
	report->sandbox = (const void *)(report->sandbox_part.base + sizeof(struct wire_header));
	report->exec = (const void *)(report->exec_part.base + sizeof(struct wire_header));
	report->words = (const void *)(report->words_part.base + sizeof(struct wire_header));
	return at;
}

static void word(const struct report *report, char *room)
{
	static struct sink sink;
	struct json json = { .sink = &sink, .pretty = true };
	struct text scratch = text_in(room, REPORT_SENTENCE), message = scratch, hint;
	char hint_room[4096];

	sink_open(&sink, open("/dev/null", O_WRONLY | O_CLOEXEC), -1);
	report_json(&json, report, &scratch);
	report_usage(&sink, report, &scratch);
	(void)sink_flush(&sink);
	(void)close(sink.fd);
	hint = text_in(hint_room, sizeof(hint_room));
	(void)report_denials_text(report, &message, &hint);
	(void)report_status(report);
	(void)report_hint(report);
}

static void encode(const struct report *report)
{
	const char *const words[] = { "a", "", "\xff" };
	struct exec_changes changes = { .argv = { words, 3 }, .env = { words, 2 }, .cwd = "/" };
	size_t capacity = report->exec_part.size + 4096;
	uint8_t *made = aligned_alloc(8, (capacity + 7) / 8 * 8);
	int r = exec_encode(&report->exec_part, &changes, made, capacity);

	if (r >= 0 && plan_check(made, (size_t)r, PLAN_KIND_EXEC) < 0)
		abort();
	free(made);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct report report;
	static char *room;
	uint8_t *copy = aligned_alloc(8, (size + 15) / 8 * 8);
	size_t at;

	if (!room)
		room = malloc(REPORT_SENTENCE);
	memset(&report, 0, sizeof(report));
	memcpy(copy, data, size);
	at = take_parts(&report, copy, size);
	if (at && report_fits(&report)) {
		uint32_t header[2];

		report_take_limits(&report);
		encode(&report);
		report.failure = "the launcher died";
		word(&report, room);
		for (; size - at >= sizeof(header); at += header[1]) {
			memcpy(header, copy + at, sizeof(header));
			at += sizeof(header);
			if (header[1] > size - at)
				break;
			(void)report_take(&report, header[0], copy + at, header[1]);
		}
		word(&report, room);
	}
	free(copy);
	return 0;
}
