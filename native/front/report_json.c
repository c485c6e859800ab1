// SPDX-License-Identifier: Apache-2.0
/* The report as JSON: the keys, their order and their values as the command has them (policy/verdict/report.ts). */
#include "names.h"
#include "report.h"

#define words_item(report, list, TYPE, i) plan_item(&(report)->words_part, (report)->words->list, TYPE, i)

enum { SCHEMA_VERSION = 1 };

static void text_or_null(struct json *json, const char *text)
{
	if (*text)
		json_text(json, text);
	else
		json_null(json);
}

/*
 * Whether the wait status is the program's own. Where we, or the kernel at our limit, ended the run, it says who was faster: the program, which
 * may have been about to end, or the kill.
 */
static bool own_ending(uint32_t verdict)
{
	switch ((enum verdict)verdict) {
	case VERDICT_OK:
	case VERDICT_EXIT_NONZERO:
	case VERDICT_SIGNALED:
	case VERDICT_SYSCALL_DENIED:
	case VERDICT_DISK_LIMIT:
	case VERDICT_PROCESS_LIMIT:
	case VERDICT_SANDBOX_ERROR:
		return true;
	case VERDICT_MEMORY_LIMIT:
	case VERDICT_CPU_TIME_LIMIT:
	case VERDICT_WALL_TIME_LIMIT:
	case VERDICT_OUTPUT_LIMIT:
	case VERDICT_CANCELLED:
	case VERDICT_START_FAILED:
	case VERDICT_COUNT:
		break;
	}
	return false;
}

/* Of the program, as its wait status says; for a cancelled run the signal that asked for the end, where there was one. */
static int ending_signal(const struct wire_run_record *record, uint32_t verdict)
{
	if (verdict == VERDICT_CANCELLED)
		return record->cancel_signal;
	if (!own_ending(verdict))
		return 0;
	/* After a failure of ours whatever still runs is killed. */
	return verdict == VERDICT_SANDBOX_ERROR && record->signal == 9 ? 0 : record->signal;
}

static void put_signal(struct json *json, const struct report *report, int signal)
{
	char name[32];
	struct text text = text_in(name, sizeof(name));

	if (signal > 0)
		report_add_signal(&text, report, signal, false);
	text_or_null(json, name);
}

static void put_time(struct json *json, const struct wire_run_record *record)
{
	json_key(json, "time");
	json_open(json, '{');
	json_key(json, "wallMs");
	json_milliseconds(json, record->wall_ns);
	json_key(json, "cpuMs");
	json_milliseconds(json, record->cpu_ns);
	json_key(json, "userMs");
	json_milliseconds(json, record->user_ns);
	json_key(json, "systemMs");
	json_milliseconds(json, record->system_ns);
	json_key(json, "cpuExact");
	json_bool(json, record->cpu_exact);
	json_key(json, "setupMs");
	json_milliseconds(json, record->setup_ns);
	json_close(json, '}');
}

static void put_counts(struct json *json, const struct report *report, const struct wire_run_record *record)
{
	json_key(json, "memory");
	json_open(json, '{');
	json_key(json, "peakBytes");
	json_count(json, record->memory_peak);
	json_key(json, "oomKills");
	json_count(json, record->oom_kills);
	json_close(json, '}');
	json_key(json, "processes");
	json_open(json, '{');
	json_key(json, "peak");
	/* Only a pids cgroup sees every task; samples miss those that live between two of them. */
	json_count(json, report->words->processes_peak ? record->processes_peak : NOT_MEASURED);
	json_key(json, "limitHits");
	json_count(json, record->process_limit_hits);
	json_close(json, '}');
	json_key(json, "disk");
	json_open(json, '{');
	json_key(json, "usedBytes");
	json_count(json, record->disk_bytes);
	json_key(json, "usedInodes");
	json_count(json, record->disk_inodes);
	json_key(json, "full");
	if (record->disk_full > 1)
		json_null(json);
	else
		json_bool(json, record->disk_full);
	json_close(json, '}');
}

static void put_streams(struct json *json, const struct wire_run_record *record)
{
	json_key(json, "output");
	json_open(json, '{');
	json_key(json, "stdoutBytes");
	json_count(json, record->stdout_bytes);
	json_key(json, "stderrBytes");
	json_count(json, record->stderr_bytes);
	json_key(json, "stdoutTruncated");
	json_bool(json, record->stdout_truncated);
	json_key(json, "stderrTruncated");
	json_bool(json, record->stderr_truncated);
	json_key(json, "truncated");
	json_bool(json, record->stdout_truncated || record->stderr_truncated);
	json_close(json, '}');
}

uint64_t report_output_bytes(const struct report *report, uint32_t index)
{
	for (uint32_t i = 0; i < report->output_count; i++)
		if (report->outputs[i].index == index)
			return report->outputs[i].bytes;
	return NOT_MEASURED;
}

static void put_outputs(struct json *json, const struct report *report, struct text *scratch)
{
	json_key(json, "outputs");
	json_open(json, '[');
	for (uint32_t i = 0; i < report->exec->files_out.count; i++) {
		struct text words = *scratch;
		bool failed = report_output_error(&words, report, i);

		json_open(json, '{');
		json_key(json, "path");
		json_text(json,
			  plan_text(&report->exec_part,
				    plan_item(&report->exec_part, report->exec->files_out, wire_file_out, i)->source));
		json_key(json, "bytes");
		json_count(json, failed ? NOT_MEASURED : report_output_bytes(report, i));
		json_key(json, "error");
		if (failed)
			json_text(json, scratch->at);
		else
			json_null(json);
		json_close(json, '}');
	}
	json_close(json, ']');
}

static void put_limits(struct json *json, const struct report *report)
{
	json_key(json, "limits");
	json_open(json, '{');
	for (uint32_t i = 0; i < LIMIT_COUNT; i++) {
		const struct wire_report_limit *limit = words_item(report, limits, wire_report_limit, i);

		if (!report->limits[i].is_set)
			continue;
		json_key(json, limit_name(i));
		if (limit->unit == LIMIT_UNIT_FRACTION)
			json_raw(json, report_word(report, limit->text));
		else if (limit->unit == LIMIT_UNIT_LIST)
			json_text(json, report_word(report, limit->text));
		else
			json_u64(json, report->limits[i].value);
	}
	json_close(json, '}');
}

static void put_enforcement(struct json *json, const struct report *report, const struct wire_run_record *record)
{
	json_key(json, "enforcement");
	json_open(json, '{');
	/* Before the plan is read the launcher knows of no limit, and the zeros of its record name no mechanism. */
	bool knows =
		report->has_record && record->error_step != STEP_READ_PLAN && record->error_step != STEP_CHECK_PLAN;
	for (uint32_t i = 0; knows && i < LIMIT_COUNT; i++)
		if (record->mechanisms[i] != MECHANISM_NOT_ASKED) {
			json_key(json, limit_name(i));
			json_text(json, mechanism_name(record->mechanisms[i] < MECHANISM_COUNT ? record->mechanisms[i]
											       : MECHANISM_NONE));
		}
	if (knows) {
		json_key(json, "seccomp");
		json_text(json, record->seccomp_enforced ? "enforced" : "none");
		json_key(json, "landlock");
		json_text(json, record->landlock_abi ? "enforced" : "none");
	}
	if (knows && report->exec->audit_filter.len) {
		json_key(json, "audit");
		json_text(json, report_audited(report) ? "enforced" : "none");
	}
	json_close(json, '}');
}

static void put_samples(struct json *json, const struct report *report, const struct wire_run_record *record)
{
	bool exact = true;

	json_key(json, "samples");
	if (!report->has_record || record->sample_step_ns == 0 || record->wall_ns == NOT_MEASURED) {
		json_null(json);
		return;
	}
	for (uint32_t i = 0; i < report->sample_count; i++)
		exact &= report->samples[i].cpu_exact != 0;
	json_open(json, '{');
	json_key(json, "intervalMs");
	json_milliseconds(json, record->sample_step_ns);
	json_key(json, "cpuExact");
	json_bool(json, exact);
	json_key(json, "measuredBy");
	json_open(json, '{');
	json_key(json, "cpuMs");
	json_text(json, mechanism_name(record->cpu_by));
	json_key(json, "memoryBytes");
	json_text(json, mechanism_name(report->words->memory_by));
	json_key(json, "processes");
	json_text(json, mechanism_name(report->words->processes_by));
	json_close(json, '}');
	json_key(json, "points");
	json_open(json, '[');
	for (uint32_t i = 0; i < report->sample_count; i++) {
		const struct wire_sample_record *sample = &report->samples[i];

		json_open(json, '{');
		json_key(json, "atMs");
		json_milliseconds(json, sample->at_ns);
		json_key(json, "cpuMs");
		json_milliseconds(json, sample->cpu_ns);
		json_key(json, "memoryBytes");
		json_count(json, sample->memory_bytes);
		json_key(json, "processes");
		json_count(json, sample->processes);
		json_close(json, '}');
	}
	json_close(json, ']');
	json_close(json, '}');
}

static void put_sandbox(struct json *json, const struct report *report, uint32_t landlock_abi)
{
	json_key(json, "sandbox");
	json_open(json, '{');
	for (uint32_t i = 0; i < report->words->sandbox.count; i++) {
		const struct wire_report_field *field = words_item(report, sandbox, wire_report_field, i);

		json_key(json, report_word(report, field->name));
		json_raw(json, report_word(report, field->json));
	}
	json_key(json, "writableVolumes");
	json_open(json, '[');
	for (uint32_t i = 0; i < report->words->writable_volumes.count; i++)
		json_text(json, report_word(report, words_item(report, writable_volumes, wire_text, i)->text));
	json_close(json, ']');
	json_key(json, "landlockAbi");
	json_count(json, landlock_abi ? landlock_abi : NOT_MEASURED);
	json_close(json, '}');
}

static void put_error(struct json *json, const struct report *report, struct text *scratch)
{
	uint32_t verdict = report_verdict(report);
	struct text words = *scratch;

	json_key(json, "error");
	if (verdict != VERDICT_START_FAILED && verdict != VERDICT_SANDBOX_ERROR) {
		json_null(json);
		return;
	}
	report_message(&words, report);
	json_open(json, '{');
	json_key(json, "code");
	if (!report->has_record)
		json_text(json, "launcher-failed");
	else if (verdict == VERDICT_SANDBOX_ERROR)
		json_text(json, "sandbox-failed");
	else
		json_text(json, report->record.start_failure == START_FAILURE_NOT_FOUND ? "command-not-found"
											: "start-failed");
	json_key(json, "message");
	json_text(json, scratch->at);
	json_key(json, "hint");
	text_or_null(json, report_hint(report));
	json_close(json, '}');
}

static void put_verdict(struct json *json, const struct report *report)
{
	json_key(json, "verdict");
	json_text(json, verdict_name(report_verdict(report)));
}

static void put_message(struct json *json, const struct report *report, struct text *scratch)
{
	struct text words = *scratch;

	report_message(&words, report);
	report_add_leftovers(&words, report);
	json_key(json, "message");
	json_text(json, scratch->at);
}

void report_json(struct json *json, const struct report *report, struct text *scratch)
{
	uint32_t verdict = report_verdict(report);
	struct wire_run_record record;

	report_record(&record, report);
	json_open(json, '{');
	json_key(json, "schemaVersion");
	json_u64(json, SCHEMA_VERSION);
	if (report->has_record)
		put_verdict(json, report);
	json_key(json, "exitCode");
	json_count(json, own_ending(verdict) && record.exit_code >= 0 ? (uint64_t)record.exit_code : NOT_MEASURED);
	json_key(json, "signal");
	put_signal(json, report, ending_signal(&record, verdict));
	if (report->has_record)
		put_message(json, report, scratch);
	put_time(json, &record);
	put_counts(json, report, &record);
	put_streams(json, &record);
	put_outputs(json, report, scratch);
	put_limits(json, report);
	put_enforcement(json, report, &record);
	put_samples(json, report, &record);
	report_denials_json(json, report);
	put_sandbox(json, report, record.landlock_abi);
	put_error(json, report, scratch);
	if (!report->has_record) {
		put_verdict(json, report);
		put_message(json, report, scratch);
	}
	json_close(json, '}');
}
