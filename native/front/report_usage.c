// SPDX-License-Identifier: Apache-2.0
/* The table of --verbose: what was used, and which mechanism held each limit (usageText of cli/output/human.ts). */
#include "names.h"
#include "report.h"
#include "units.h"
#include "utf8.h"

#define words_item(report, list, TYPE, i) plan_item(&(report)->words_part, (report)->words->list, TYPE, i)

struct table {
	struct sink *sink;
	size_t width;
};

static void put_row(struct table *table, const char *prefix, const char *name, const char *value)
{
	size_t width;

	sink_text(table->sink, "belljar: ");
	width = sink_printable(table->sink, prefix);
	width += sink_printable(table->sink, name);
	for (; width < table->width; width++)
		sink_text(table->sink, " ");
	sink_text(table->sink, "  ");
	(void)sink_printable(table->sink, value);
	sink_text(table->sink, "\n");
}

static void add_time(struct text *to, uint64_t ns)
{
	if (ns == NOT_MEASURED)
		text_add(to, "not measured");
	else
		units_add_time(to, ns);
}

static void add_count(struct text *to, uint64_t value, uint32_t unit)
{
	if (value == NOT_MEASURED)
		text_add(to, "not measured");
	else
		units_add(to, unit, value);
}

static void put_times(struct table *table, const struct wire_run_record *record)
{
	char buffer[160];
	struct text text = text_in(buffer, sizeof(buffer));

	add_time(&text, record->wall_ns);
	put_row(table, "", "wall time", buffer);
	text = text_in(buffer, sizeof(buffer));
	if (!record->cpu_exact && record->cpu_ns != NOT_MEASURED)
		text_add(&text, "at least ");
	add_time(&text, record->cpu_ns);
	text_add(&text, " (user ");
	add_time(&text, record->user_ns);
	text_add(&text, ", system ");
	add_time(&text, record->system_ns);
	text_add(&text, ")");
	put_row(table, "", "CPU time", buffer);
	text = text_in(buffer, sizeof(buffer));
	add_time(&text, record->setup_ns);
	put_row(table, "", "set-up time", buffer);
}

static void put_figures(struct table *table, const struct report *report, const struct wire_run_record *record)
{
	char buffer[160];
	struct text text = text_in(buffer, sizeof(buffer));

	add_count(&text, record->memory_peak, LIMIT_UNIT_SIZE);
	put_row(table, "", "peak memory", buffer);
	text = text_in(buffer, sizeof(buffer));
	add_count(&text, report->words->processes_peak ? record->processes_peak : NOT_MEASURED, LIMIT_UNIT_WHOLE);
	put_row(table, "", "peak processes", buffer);
	text = text_in(buffer, sizeof(buffer));
	add_count(&text, record->disk_bytes, LIMIT_UNIT_SIZE);
	text_add(&text, ", ");
	add_count(&text, record->disk_inodes, LIMIT_UNIT_WHOLE);
	text_add(&text, " inodes");
	put_row(table, "", "disk", buffer);
	text = text_in(buffer, sizeof(buffer));
	add_count(&text, record->stdout_bytes, LIMIT_UNIT_SIZE);
	text_add(&text, " stdout, ");
	add_count(&text, record->stderr_bytes, LIMIT_UNIT_SIZE);
	text_add(&text, record->stdout_truncated || record->stderr_truncated ? " stderr, truncated" : " stderr");
	put_row(table, "", "output", buffer);
}

static const char *source_of(const struct report *report, uint32_t index)
{
	return plan_text(&report->exec_part,
			 plan_item(&report->exec_part, report->exec->files_out, wire_file_out, index)->source);
}

static void put_files(struct table *table, const struct report *report, struct text *scratch)
{
	for (uint32_t i = 0; i < report->exec->files_out.count; i++) {
		struct text text = *scratch;

		if (!report_output_error(&text, report, i)) {
			text = *scratch;
			add_count(&text, report_output_bytes(report, i), LIMIT_UNIT_SIZE);
		}
		put_row(table, "out ", source_of(report, i), scratch->at);
	}
	for (uint32_t i = 0; i < report->words->writable_volumes.count; i++)
		put_row(table, "", "writable volume",
			report_word(report, words_item(report, writable_volumes, wire_text, i)->text));
}

static void put_enforced(struct table *table, const struct report *report, struct text *scratch)
{
	const struct wire_run_record *record = &report->record;
	struct text text = *scratch;

	for (uint32_t i = 0; i < LIMIT_COUNT; i++)
		if (record->mechanisms[i] != MECHANISM_NOT_ASKED) {
			text_add(&text, limit_name(i));
			text_add(&text, " ");
			text_add(&text, mechanism_name(record->mechanisms[i]));
			text_add(&text, ", ");
		}
	text_add(&text, record->seccomp_enforced ? "seccomp enforced" : "seccomp none");
	text_add(&text, record->landlock_abi ? ", landlock enforced" : ", landlock none");
	if (report->exec->audit_filter.len)
		text_add(&text, report_audited(report) ? ", audit enforced" : ", audit none");
	put_row(table, "", "enforced by", scratch->at);
}

void report_usage(struct sink *sink, const struct report *report, struct text *scratch)
{
	struct table table = { .sink = sink, .width = strlen("peak processes") };
	struct wire_run_record record;
	struct text text = *scratch;

	report_record(&record, report);
	for (uint32_t i = 0; i < report->exec->files_out.count; i++)
		if (strlen("out ") + utf8_width(source_of(report, i)) > table.width)
			table.width = strlen("out ") + utf8_width(source_of(report, i));
	if (report->words->writable_volumes.count && table.width < strlen("writable volume"))
		table.width = strlen("writable volume");
	text_add(&text, verdict_name(report_verdict(report)));
	text_add(&text, " (");
	report_message(&text, report);
	report_add_leftovers(&text, report);
	text_add(&text, ")");
	put_row(&table, "", "verdict", scratch->at);
	put_times(&table, &record);
	put_figures(&table, report, &record);
	put_files(&table, report, scratch);
	if (report->has_record && record.error_step != STEP_READ_PLAN && record.error_step != STEP_CHECK_PLAN)
		put_enforced(&table, report, scratch);
	else
		put_row(&table, "", "enforced by", "nothing");
}
