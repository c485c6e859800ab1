// SPDX-License-Identifier: Apache-2.0
/* Sentences of a report. Their braces are a closed set, and each stands for one fact of the run. */
#include "names.h"
#include "report.h"
#include "units.h"
#include "utf8.h"

#define words_item(report, list, TYPE, i) plan_item(&(report)->words_part, (report)->words->list, TYPE, i)

const char *report_word(const struct report *report, struct wire_str text)
{
	return plan_text(&report->words_part, text);
}

const char *report_sentence(const struct report *report, enum sentence sentence)
{
	return report_word(report, words_item(report, sentences, wire_text, sentence)->text);
}

/* As it stands between quotes: on one line. */
static void add_shown(struct text *to, const char *text)
{
	for (; *text; text++) {
		const char one[] = { *text, '\0' };

		text_add(to, *text == '\n' ? "\\n" : *text == '\r' ? "\\r" : one);
	}
}

/* What the launcher calls a path is any bytes, and cut to fit. */
static void error_text(char *ret, size_t size, const struct report *report)
{
	struct text text = text_in(ret, size);

	utf8_add_lossy(&text, report->record.error_text,
		       strnlen(report->record.error_text, sizeof(report->record.error_text)));
}

static void add_error_text(struct text *to, const struct report *report)
{
	char text[3 * sizeof(report->record.error_text) + 1];

	error_text(text, sizeof(text), report);
	add_shown(to, text);
}

static void add_errno(struct text *to, const struct report *report, int error)
{
	uint32_t number = (uint32_t)(error < 0 ? -error : error);

	for (uint32_t i = 0; i < report->words->errors.count; i++) {
		const struct wire_report_word *word = words_item(report, errors, wire_report_word, i);

		if (word->number == number) {
			text_add(to, report_word(report, word->text));
			return;
		}
	}
	text_add(to, "error ");
	text_add_u64(to, number);
}

void report_add_signal(struct text *to, const struct report *report, int signal, bool with_meaning)
{
	if (signal > 0 && (uint32_t)signal < report->words->signals.count) {
		const struct wire_report_signal *word = words_item(report, signals, wire_report_signal, signal);

		text_add(to, report_word(report, with_meaning ? word->words : word->name));
		return;
	}
	text_add(to, "SIG");
	text_add_u64(to, (uint64_t)signal);
}

void report_add_call(struct text *to, const struct report *report, uint32_t syscall)
{
	for (uint32_t i = 0; i < report->words->syscalls.count; i++) {
		const struct wire_report_word *word = words_item(report, syscalls, wire_report_word, i);

		if (word->number == syscall) {
			text_add(to, report_word(report, word->text));
			return;
		}
	}
	text_add(to, "syscall ");
	text_add_u64(to, syscall);
}

void report_add_limit(struct text *to, const struct report *report, uint32_t limit)
{
	const struct wire_report_limit *words = words_item(report, limits, wire_report_limit, limit);

	if (!report->limits[limit].is_set)
		text_add(to, "its host"); /* no record says so */
	else if (words->unit == LIMIT_UNIT_FRACTION || words->unit == LIMIT_UNIT_LIST)
		text_add(to, report_word(report, words->text));
	else
		units_add(to, words->unit, report->limits[limit].value);
}

static const char *argv_word(const struct report *report)
{
	return plan_text(&report->exec_part, plan_item(&report->exec_part, report->exec->argv, wire_text, 0)->text);
}

static void add_ending(struct text *to, const struct report *report)
{
	enum sentence sentence = report->record.signal > 0 ? SENTENCE_KILLED_BY : SENTENCE_EXITED;

	report_fill(to, report, report_sentence(report, sentence), NULL);
}

/* Of a stream whose reader had gone something is missing too. */
static const char *flooded_stream(const struct report *report)
{
	const struct wire_run_record *record = &report->record;
	uint64_t limit = report->limits[LIMIT_OUTPUT].is_set ? report->limits[LIMIT_OUTPUT].value : 0;
	bool out = record->stdout_truncated && record->stdout_bytes >= limit,
	     err = record->stderr_truncated && record->stderr_bytes >= limit;

	return out && err ? "stdout and stderr" : err ? "stderr" : "stdout";
}

static bool reached(const struct report *report, enum limit limit, uint64_t used, uint64_t more)
{
	return report->limits[limit].is_set && used != NOT_MEASURED && used >= report->limits[limit].value + more;
}

static const char *overfilled(const struct report *report)
{
	if (reached(report, LIMIT_DISK, report->record.disk_bytes, 1))
		return report_sentence(report, SENTENCE_OVER_DISK);
	if (reached(report, LIMIT_INODES, report->record.disk_inodes, 1))
		return report_sentence(report, SENTENCE_OVER_INODES);
	return report_sentence(report, SENTENCE_OVER_EITHER);
}

static void add_full(struct text *to, const struct report *report)
{
	bool space = reached(report, LIMIT_DISK, report->record.disk_bytes, 0),
	     files = reached(report, LIMIT_INODES, report->record.disk_inodes, 0);

	if (space)
		text_add(to, report_sentence(report, SENTENCE_SPACE_FULL));
	if (space && files)
		text_add(to, ", ");
	if (files)
		text_add(to, report_sentence(report, SENTENCE_FILES_FULL));
	if (!space && !files)
		text_add(to, report_sentence(report, SENTENCE_SCRATCH_LIMITS));
}

static void add_entry(struct text *to, const struct report *report)
{
	const struct part *part = &report->sandbox_part;
	uint32_t index = report->record.error_index;

	if (index >= report->sandbox->filesystem.count)
		return;
	const struct wire_fs_entry *entry = plan_item(part, report->sandbox->filesystem, wire_fs_entry, index);
	const struct report_subject subject = { .source = plan_text(part, entry->source),
						.target = plan_text(part, entry->target) };
	report_fill(to, report, report_word(report, words_item(report, entries, wire_text, entry->kind)->text),
		    &subject);
}

/* What a failed step of ours was about, where its index or text tells; else nothing. */
static void add_step_subject(struct text *to, const struct report *report)
{
	const struct wire_run_record *record = &report->record;
	uint32_t index = record->error_index;
	struct report_subject subject = { 0 };

	if (record->error_step == STEP_FILESYSTEM) {
		add_entry(to, report);
	} else if (record->error_step == STEP_LANDLOCK && index < report->sandbox->landlock.count) {
		subject.path = plan_text(
			&report->sandbox_part,
			plan_item(&report->sandbox_part, report->sandbox->landlock, wire_landlock_rule, index)->path);
		report_fill(to, report, report_sentence(report, SENTENCE_LANDLOCK_RULE), &subject);
	} else if (record->error_step == STEP_RLIMITS && index < report->exec->rlimits.count) {
		subject.size = plan_item(&report->exec_part, report->exec->rlimits, wire_rlimit, index)->resource;
		report_fill(to, report, report_sentence(report, SENTENCE_RESOURCE_LIMIT), &subject);
	} else if (record->error_step == STEP_SUPERVISE && record->error_text[0] == '/') {
		text_add(to, report_sentence(report, SENTENCE_CGROUP_GONE));
	} else if (record->error_step == STEP_DELIVER) {
		report_fill(to, report, report_sentence(report, SENTENCE_DELIVERY), NULL);
	} else if (record->error_step == STEP_FILES_IN && index < report->exec->files_in.count) {
		const struct wire_file_in *file =
			plan_item(&report->exec_part, report->exec->files_in, wire_file_in, index);

		subject.source = plan_text(&report->exec_part, file->host_path);
		subject.target = plan_text(&report->exec_part, file->target);
		report_fill(to, report, report_sentence(report, SENTENCE_COPYING_IN), &subject);
	}
}

/* The subject, else what the step does. */
static void add_subject(struct text *to, const struct report *report)
{
	char *start;

	text_add(to, ": ");
	start = to->at;
	add_step_subject(to, report);
	if (to->at > start)
		return;
	to->at = start - 2;
	text_add(to, " (");
	text_add(to, step_doc(report->record.error_step));
	text_add(to, ")");
}

/* The text, where the subject does not tell it. */
static void add_about(struct text *to, const struct report *report)
{
	char text[3 * sizeof(report->record.error_text) + 1];
	char *start = to->at;
	bool said;

	error_text(text, sizeof(text), report);
	add_step_subject(to, report);
	said = strstr(start, text);
	*start = '\0';
	to->at = start;
	if (said)
		return;
	text_add(to, ": '");
	add_shown(to, text);
	text_add(to, "'");
}

static bool add_by_limit(struct text *to, const struct report *report, const char *name)
{
	for (uint32_t i = 0; i < LIMIT_COUNT; i++)
		if (strcmp(name, limit_name(i)) == 0) {
			report_add_limit(to, report, i);
			return true;
		}
	return false;
}

/* Figures, and names of what was to be started. */
static bool add_fact(struct text *to, const struct report *report, const char *name)
{
	const struct wire_run_record *record = &report->record;

	if (strcmp(name, "code") == 0) {
		if (record->exit_code < 0)
			text_add(to, "-");
		text_add_u64(to, (uint64_t)(record->exit_code < 0 ? -(int64_t)record->exit_code : record->exit_code));
	} else if (strcmp(name, "signal") == 0) {
		report_add_signal(to, report, record->signal, true);
	} else if (strcmp(name, "cancelSignal") == 0) {
		report_add_signal(to, report, report->has_record ? record->cancel_signal : report->cancel_signal,
				  false);
	} else if (strcmp(name, "ending") == 0) {
		add_ending(to, report);
	} else if (strcmp(name, "stream") == 0) {
		text_add(to, flooded_stream(report));
	} else if (strcmp(name, "over") == 0) {
		text_add(to, overfilled(report));
	} else if (strcmp(name, "full") == 0) {
		add_full(to, report);
	} else if (strcmp(name, "call") == 0) {
		report_add_call(to, report, record->killed_for);
	} else if (strcmp(name, "leftovers") == 0) {
		text_add_u64(to, record->leftovers);
	} else if (strcmp(name, "command") == 0) {
		add_shown(to, argv_word(report));
	} else if (strcmp(name, "cwd") == 0) {
		add_shown(to, plan_text(&report->exec_part, report->exec->cwd));
	} else if (strcmp(name, "work") == 0) {
		add_shown(to, plan_text(&report->sandbox_part, report->sandbox->work_path));
	} else {
		return add_by_limit(to, report, name);
	}
	return true;
}

/* What failed, and why. */
static bool add_failure(struct text *to, const struct report *report, const char *name)
{
	const struct wire_run_record *record = &report->record;

	if (strcmp(name, "text") == 0) {
		add_error_text(to, report);
	} else if (strcmp(name, "which") == 0) {
		if (!record->error_text[0])
			return true;
		text_add(to, "'");
		add_error_text(to, report);
		text_add(to, "': ");
	} else if (strcmp(name, "errno") == 0) {
		add_errno(to, report, record->error_errno);
	} else if (strcmp(name, "step") == 0) {
		text_add(to, step_name(record->error_step));
	} else if (strcmp(name, "stage") == 0) {
		text_add(to, stage_name(record->error_stage));
	} else if (strcmp(name, "subject") == 0) {
		add_subject(to, report);
	} else if (strcmp(name, "about") == 0) {
		add_about(to, report);
	} else {
		return false;
	}
	return true;
}

static bool add_of_subject(struct text *to, const struct report *report, const char *name,
			   const struct report_subject *subject)
{
	if (strcmp(name, "path") == 0 && subject->path)
		add_shown(to, subject->path);
	else if (strcmp(name, "source") == 0 && subject->source)
		add_shown(to, subject->source);
	else if (strcmp(name, "target") == 0 && subject->target)
		add_shown(to, subject->target);
	else if (strcmp(name, "resource") == 0)
		text_add_u64(to, subject->size);
	else if (strcmp(name, "size") == 0)
		units_add(to, LIMIT_UNIT_SIZE, subject->size);
	else if (strcmp(name, "reason") == 0 && subject->error) {
		text_add(to, ": ");
		add_errno(to, report, subject->error);
	} else
		return strcmp(name, "reason") == 0;
	return true;
}

void report_fill(struct text *to, const struct report *report, const char *sentence,
		 const struct report_subject *subject)
{
	const struct report_subject own = { .error = report->record.error_errno };

	while (*sentence) {
		char name[24];
		const char *end = *sentence == '{' ? strchr(sentence, '}') : NULL;
		size_t length = end ? (size_t)(end - sentence - 1) : 0;

		if (end && length < sizeof(name)) {
			memcpy(name, sentence + 1, length);
			name[length] = '\0';
			if (!add_of_subject(to, report, name, subject ? subject : &own) &&
			    !add_fact(to, report, name) && !add_failure(to, report, name))
				end = NULL;
		} else {
			end = NULL;
		}
		if (end) {
			sentence = end + 1;
			continue;
		}
		const char one[] = { *sentence++, '\0' };
		text_add(to, one);
	}
}
