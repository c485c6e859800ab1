// SPDX-License-Identifier: Apache-2.0
/* Which sentence a report has: by the verdict, the step that failed, and the kind of failure. */
#include "report.h"

#define words_item(report, list, TYPE, i) plan_item(&(report)->words_part, (report)->words->list, TYPE, i)

uint32_t report_verdict(const struct report *report)
{
	if (report->has_record)
		return report->record.verdict < VERDICT_COUNT ? report->record.verdict : VERDICT_SANDBOX_ERROR;
	return report->failure ? VERDICT_SANDBOX_ERROR : VERDICT_CANCELLED;
}

static bool text_is(const struct report *report, const char *text)
{
	return strcmp(report->record.error_text, text) == 0;
}

static enum sentence step_sentence(const struct report *report)
{
	if (report->record.error_step == STEP_SUPERVISE && text_is(report, "memory"))
		return SENTENCE_OUT_OF_MEMORY;
	return report->record.error_step == STEP_INIT_DIED ? SENTENCE_INIT_DIED : SENTENCE_STEP_FAILED;
}

static const struct wire_report_explained *start_words(const struct report *report)
{
	uint32_t kind = report->record.start_failure;

	return words_item(report, start_failures, wire_report_explained,
			  kind < START_FAILURE_COUNT ? kind : START_FAILURE_OTHER);
}

static enum sentence verdict_sentence(const struct report *report, uint32_t verdict)
{
	const struct wire_run_record *record = &report->record;

	switch ((enum verdict)verdict) {
	case VERDICT_SANDBOX_ERROR:
		return step_sentence(report);
	case VERDICT_CANCELLED:
		return (report->has_record ? record->cancel_signal : report->cancel_signal) > 0 ? SENTENCE_CANCELLED_BY
												: SENTENCE_CANCELLED;
	case VERDICT_MEMORY_LIMIT:
		return SENTENCE_MEMORY_LIMIT;
	case VERDICT_CPU_TIME_LIMIT:
		return SENTENCE_CPU_TIME_LIMIT;
	case VERDICT_WALL_TIME_LIMIT:
		return SENTENCE_WALL_TIME_LIMIT;
	case VERDICT_OUTPUT_LIMIT:
		return SENTENCE_OUTPUT_LIMIT;
	case VERDICT_DISK_LIMIT:
		return record->evidence & EVIDENCE_DISK_KILL ? SENTENCE_DISK_KILL : SENTENCE_DISK_LIMIT;
	case VERDICT_PROCESS_LIMIT:
		return SENTENCE_PROCESS_LIMIT;
	case VERDICT_SYSCALL_DENIED:
		return record->killed_for != UINT32_MAX && report->words->syscalls.count ? SENTENCE_CALL_DENIED
											 : SENTENCE_FILTER_DENIED;
	case VERDICT_START_FAILED:
	case VERDICT_SIGNALED:
	case VERDICT_EXIT_NONZERO:
	case VERDICT_OK:
	case VERDICT_COUNT:
		break;
	}
	return record->signal > 0 ? SENTENCE_KILLED_BY : SENTENCE_EXITED;
}

void report_message(struct text *to, const struct report *report)
{
	uint32_t verdict = report_verdict(report);

	if (!report->has_record && report->failure)
		text_add(to, report->failure);
	else if (verdict == VERDICT_START_FAILED)
		report_fill(to, report, report_word(report, start_words(report)->message), NULL);
	else
		report_fill(to, report, report_sentence(report, verdict_sentence(report, verdict)), NULL);
}

void report_add_leftovers(struct text *to, const struct report *report)
{
	uint32_t left = report->has_record ? report->record.leftovers : 0;

	if (left && left != LEFTOVERS_UNKNOWN)
		report_fill(to, report, report_sentence(report, left == 1 ? SENTENCE_LEFTOVER : SENTENCE_LEFTOVERS),
			    NULL);
}

/*
 * The launcher makes mount points only in its own skeleton and in the throw-away top of an image, never in a tree of the host's: EROFS says just
 * that.
 */
static const char *mount_hint(const struct report *report)
{
	const struct wire_run_record *record = &report->record;
	const struct part *part = &report->sandbox_part;
	int error = record->error_errno < 0 ? -record->error_errno : record->error_errno;

	if (record->error_index >= report->sandbox->filesystem.count)
		return "";
	const struct wire_fs_entry *entry =
		plan_item(part, report->sandbox->filesystem, wire_fs_entry, record->error_index);
	if (error == EROFS)
		return report_sentence(report, SENTENCE_NO_MOUNT_POINT);
	if (error == ENOENT && entry->kind == FS_KIND_BIND && text_is(report, plan_text(part, entry->source)))
		return report_sentence(report, SENTENCE_SOURCE_MISSING);
	if (report->sandbox->root_kind != ROOT_KIND_SKELETON &&
	    (error == ENOTDIR || error == EISDIR || error == EEXIST || error == ELOOP))
		return report_sentence(report, SENTENCE_IMAGE_IN_THE_WAY);
	return "";
}

const char *report_hint(const struct report *report)
{
	uint32_t verdict = report_verdict(report);

	if (!report->has_record)
		return report->hint ? report->hint : "";
	if (verdict == VERDICT_START_FAILED)
		return report_word(report, start_words(report)->hint);
	if (verdict != VERDICT_SANDBOX_ERROR)
		return "";
	if (step_sentence(report) == SENTENCE_OUT_OF_MEMORY)
		return report_sentence(report, SENTENCE_OUT_OF_MEMORY_HINT);
	return report->record.error_step == STEP_FILESYSTEM ? mount_hint(report) : "";
}

bool report_output_error(struct text *to, const struct report *report, uint32_t index)
{
	const struct wire_file_out *file = plan_item(&report->exec_part, report->exec->files_out, wire_file_out, index);
	struct report_subject subject = { .path = plan_text(&report->exec_part, file->host_path),
					  .size = file->max_bytes };

	for (uint32_t i = 0; i < report->output_count; i++) {
		const struct wire_output_record *output = &report->outputs[i];

		if (output->index != index)
			continue;
		if (output->failure == OUTPUT_FAILURE_NONE || output->failure >= OUTPUT_FAILURE_COUNT)
			return false;
		subject.error = output->error;
		report_fill(to, report,
			    report_word(report, words_item(report, output_failures, wire_text, output->failure)->text),
			    &subject);
		return true;
	}
	text_add(to, report_sentence(report, SENTENCE_NOT_COPIED));
	return true;
}

/* Found, but not to be executed; not found; ours; any limit. As shells have the first two. */
enum { NOT_EXECUTABLE = 126, NOT_FOUND = 127, OWN_FAILURE = 125, LIMIT_REACHED = 124 };

static bool is_incomplete(const struct report *report)
{
	for (uint32_t i = 0; i < report->exec->files_out.count; i++) {
		char buffer[2];
		struct text text = text_in(buffer, sizeof(buffer));

		if (report_output_error(&text, report, i))
			return true;
	}
	return false;
}

int report_status(const struct report *report)
{
	struct wire_run_record record;

	report_record(&record, report);
	switch ((enum verdict)report_verdict(report)) {
	case VERDICT_OK:
		/* A program that succeeded without leaving what was asked of it is a failure of the run. */
		if (is_incomplete(report))
			return OWN_FAILURE;
		__attribute__((fallthrough));
	case VERDICT_EXIT_NONZERO:
		return record.exit_code >= 0 ? record.exit_code : OWN_FAILURE;
	case VERDICT_SIGNALED:
	case VERDICT_SYSCALL_DENIED:
		return 128 + record.signal;
	case VERDICT_MEMORY_LIMIT:
	case VERDICT_CPU_TIME_LIMIT:
	case VERDICT_WALL_TIME_LIMIT:
	case VERDICT_OUTPUT_LIMIT:
	case VERDICT_DISK_LIMIT:
	case VERDICT_PROCESS_LIMIT:
		return LIMIT_REACHED;
	case VERDICT_START_FAILED:
		return record.start_failure == START_FAILURE_NOT_FOUND ? NOT_FOUND : NOT_EXECUTABLE;
	case VERDICT_CANCELLED:
		return 128 + (record.cancel_signal > 0 ? record.cancel_signal : 2);
	case VERDICT_SANDBOX_ERROR:
	case VERDICT_COUNT:
		break;
	}
	return OWN_FAILURE;
}
