// SPDX-License-Identifier: Apache-2.0
#include "report.h"

static bool effects_fit(const struct report *report)
{
	const struct wire_list effects = report->words->effects;

	for (uint32_t i = 0; i < effects.count; i++) {
		const struct wire_limit_effect *effect = plan_item(&report->words_part, effects, wire_limit_effect, i);

		if ((effect->target == LIMIT_TARGET_RLIMIT && effect->index >= report->exec->rlimits.count) ||
		    (effect->target == LIMIT_TARGET_CGROUP_WRITE && effect->index >= report->exec->cgroup_writes.count))
			return false;
	}
	return true;
}

bool report_fits(const struct report *report)
{
	const struct wire_report_plan *words = report->words;

	return words->limits.count == LIMIT_COUNT && words->sentences.count == SENTENCE_COUNT &&
	       words->start_failures.count == START_FAILURE_COUNT && words->entries.count == FS_KIND_COUNT &&
	       words->output_failures.count == OUTPUT_FAILURE_COUNT && report->exec->argv.count > 0 &&
	       report->exec->files_out.count <= PLAN_MAX_FILES && effects_fit(report);
}

void report_take_limits(struct report *report)
{
	for (uint32_t i = 0; i < LIMIT_COUNT; i++) {
		const struct wire_report_limit *limit =
			plan_item(&report->words_part, report->words->limits, wire_report_limit, i);

		report->limits[i] = (struct report_limit){ .is_set = limit->is_set, .value = limit->value };
	}
}

static int take(void *to, size_t size, const void *payload, uint32_t length)
{
	if (length != size)
		return -EBADMSG;
	memcpy(to, payload, size);
	return 0;
}

int report_take(struct report *report, uint32_t kind, const void *payload, uint32_t length)
{
	struct wire_run_record *record = &report->record;
	int r;

	switch (kind) {
	case MESSAGE_KIND_OUTPUT:
		if (report->output_count >= ARRAY_SIZE(report->outputs))
			return -EBADMSG;
		return take(&report->outputs[report->output_count++], sizeof(report->outputs[0]), payload, length);
	case MESSAGE_KIND_DENIAL:
		if (report->denial_count >= ARRAY_SIZE(report->denials))
			return -EBADMSG;
		return take(&report->denials[report->denial_count++], sizeof(report->denials[0]), payload, length);
	case MESSAGE_KIND_SAMPLE:
		if (report->sample_count >= ARRAY_SIZE(report->samples))
			return -EBADMSG;
		return take(&report->samples[report->sample_count++], sizeof(report->samples[0]), payload, length);
	case MESSAGE_KIND_RECORD:
		r = take(record, sizeof(*record), payload, length);
		if (r < 0 || record->magic != WIRE_MAGIC || record->version != WIRE_VERSION ||
		    record->size != sizeof(*record) || record->verdict >= VERDICT_COUNT)
			return -EBADMSG;
		record->error_text[sizeof(record->error_text) - 1] = '\0';
		report->has_record = true;
		return 0;
	default:
		return -EBADMSG;
	}
}

/* Of a set-up that failed before the program was let go nothing is the program's; of a launcher that left no record nothing is known. */
static void without_figures(struct wire_run_record *record)
{
	record->exit_code = -1;
	record->signal = 0;
	record->cpu_exact = 0;
	record->disk_full = 2;
	record->wall_ns = record->cpu_ns = record->user_ns = record->system_ns = NOT_MEASURED;
	record->memory_peak = record->oom_kills = record->processes_peak = record->process_limit_hits = NOT_MEASURED;
	record->disk_bytes = record->disk_inodes = record->stdout_bytes = record->stderr_bytes = NOT_MEASURED;
}

void report_record(struct wire_run_record *ret_record, const struct report *report)
{
	if (report->has_record)
		*ret_record = report->record;
	else
		*ret_record =
			(struct wire_run_record){ .setup_ns = NOT_MEASURED, .cancel_signal = report->cancel_signal };
	if (ret_record->setup_ns == NOT_MEASURED)
		without_figures(ret_record);
}
