// SPDX-License-Identifier: Apache-2.0
/* What people and programs are told, in the form of `belljar run` (cli/output/). */
#include <sys/mman.h>
#include <sys/stat.h>

#include "front.h"
#include "names.h"
#include "units.h"
#include "utf8.h"

static void paint(struct front *front, const char *code, const char *text)
{
	if (front->colour) {
		sink_text(&front->sink, "\033[");
		sink_text(&front->sink, code);
		sink_text(&front->sink, "m");
	}
	sink_text(&front->sink, text);
	if (front->colour)
		sink_text(&front->sink, "\033[0m");
}

/* `belljar: MESSAGE`, then at most one `hint:` line. */
static void say(struct front *front, const char *verdict, const char *message, const char *hint)
{
	paint(front, "31", "belljar:");
	sink_text(&front->sink, " ");
	if (verdict) {
		sink_text(&front->sink, verdict);
		sink_text(&front->sink, ": ");
	}
	(void)sink_printable(&front->sink, message);
	sink_text(&front->sink, "\n");
	if (!*hint)
		return;
	paint(front, "1", "hint:");
	sink_text(&front->sink, " ");
	(void)sink_printable(&front->sink, hint);
	sink_text(&front->sink, "\n");
}

int front_fail(struct front *front, const char *code, const char *doing, const char *thing, const char *reason,
	       const char *hint)
{
	struct text text = text_in(front->message_buffer, sizeof(front->message_buffer));

	text_add(&text, doing);
	if (thing) {
		text_add(&text, ": '");
		utf8_add_printable(&text, thing);
		text_add(&text, "'");
	}
	text_add(&text, ": ");
	text_add(&text, reason);
	if (front->options.json) {
		struct json json = { .sink = &front->sink };

		sink_open(&front->sink, 1, front->signals);
		json_open(&json, '{');
		json_key(&json, "error");
		json_open(&json, '{');
		json_key(&json, "code");
		json_text(&json, code);
		json_key(&json, "message");
		json_text(&json, front->message_buffer);
		json_key(&json, "hint");
		if (hint)
			json_text(&json, hint);
		else
			json_null(&json);
		json_close(&json, '}');
		json_close(&json, '}');
		sink_text(&front->sink, "\n");
		if (sink_flush(&front->sink) == 0)
			return FRONT_FAILURE;
	}
	sink_open(&front->sink, 2, front->signals);
	say(front, NULL, front->message_buffer, hint ? hint : "");
	(void)sink_flush(&front->sink);
	return FRONT_FAILURE;
}

void front_warn(struct front *front)
{
	const struct report *report = &front->report;
	const struct wire_list warnings = report->words->warnings;

	sink_open(&front->sink, 2, front->signals);
	for (uint32_t i = 0; i < warnings.count && !front->options.quiet; i++) {
		paint(front, "33", "belljar:");
		sink_text(&front->sink, " warning: ");
		(void)sink_printable(&front->sink,
				     report_word(report, plan_item(&report->words_part, warnings, wire_text, i)->text));
		sink_text(&front->sink, "\n");
	}
	(void)sink_flush(&front->sink);
}

/* All of a captured stream: as text where it is UTF-8, else as base64 under its own name. */
static void put_stream(struct json *json, const char *name, const char *name64, int fd)
{
	struct stat status;
	size_t size = fstat(fd, &status) == 0 ? (size_t)status.st_size : 0;
	const char *bytes = size ? mmap(NULL, size, PROT_READ, MAP_PRIVATE, fd, 0) : "";

	if (bytes == MAP_FAILED) {
		json->sink->error = json->sink->error ? json->sink->error : errno;
		return;
	}
	bool is_text = utf8_valid(bytes, size);
	json_key(json, is_text ? name : name64);
	if (is_text)
		json_bytes(json, bytes, size);
	else
		json_base64(json, (const uint8_t *)bytes, size);
	if (size)
		(void)munmap((void *)(uintptr_t)bytes, size);
}

static int put_document(struct front *front, struct text *scratch)
{
	struct json json = { .sink = &front->sink };
	int r;

	sink_open(&front->sink, 1, front->signals);
	json_open(&json, '{');
	json_key(&json, "report");
	report_json(&json, &front->report, scratch);
	put_stream(&json, "stdout", "stdoutBase64", front->captured[0]);
	put_stream(&json, "stderr", "stderrBase64", front->captured[1]);
	json_close(&json, '}');
	sink_text(&front->sink, "\n");
	r = sink_flush(&front->sink);
	return r;
}

static void say_outputs(struct front *front, struct text *scratch)
{
	const struct report *report = &front->report;

	for (uint32_t i = 0; i < report->exec->files_out.count; i++) {
		const struct wire_file_out *file =
			plan_item(&report->exec_part, report->exec->files_out, wire_file_out, i);
		struct text text = *scratch, error;

		text_add(&text, "copying out: '");
		utf8_add_printable(&text, plan_text(&report->exec_part, file->source));
		text_add(&text, "': ");
		error = text;
		if (report_output_error(&error, report, i))
			say(front, NULL, scratch->at, "");
	}
}

static void say_verdict(struct front *front, struct text *scratch)
{
	const struct report *report = &front->report;
	uint32_t verdict = report_verdict(report);
	struct text text = *scratch;

	report_message(&text, report);
	/* As in the report: a failure of ours is told without what it left. */
	if (verdict != VERDICT_START_FAILED && verdict != VERDICT_SANDBOX_ERROR)
		report_add_leftovers(&text, report);
	say(front, verdict_name(verdict), scratch->at, report_hint(report));
}

static void say_denials(struct front *front, struct text *scratch)
{
	struct text text = *scratch, hint = text_in(front->hint_buffer, sizeof(front->hint_buffer));

	if (report_denials_text(&front->report, &text, &hint))
		say(front, NULL, scratch->at, front->hint_buffer);
}

int front_tell(struct front *front)
{
	bool is_ok = report_verdict(&front->report) == VERDICT_OK;
	static const size_t size = REPORT_SENTENCE;
	char *room = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	int r;

	if (room == MAP_FAILED)
		return front_fail(front, "internal", "telling of the run", NULL, "out of memory", NULL);
	struct text scratch = text_in(room, size);
	r = place_write(front, &scratch);
	if (r)
		return r;
	if (front->options.json) {
		r = put_document(front, &scratch);
		if (r == -EPIPE) /* whoever closed the pipe knows already */
			return 128 + 13;
		if (r == -EINTR)
			return front_ended_by_signal(front);
		if (r < 0)
			return front_fail(front, "file-unwritable", "writing to standard output", NULL,
					  r == -ENOSPC ? "no space left on the device" : "it cannot be written", NULL);
	}
	sink_open(&front->sink, 2, front->signals);
	if (front->options.verbose)
		report_usage(&front->sink, &front->report, &scratch);
	if (!is_ok && !front->options.quiet)
		say_verdict(front, &scratch);
	/* A program that copes says so by its end. */
	if (!front->options.quiet && (!is_ok || front->options.verbose))
		say_denials(front, &scratch);
	if (!front->options.quiet || is_ok)
		say_outputs(front, &scratch);
	(void)sink_flush(&front->sink);
	return report_status(&front->report);
}
