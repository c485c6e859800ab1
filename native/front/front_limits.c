// SPDX-License-Identifier: Apache-2.0
/*
 * Limits that a run sets anew. Which may be set, within which bounds, and what of the exec part follows each is the report part's; this file fills
 * numbers in.
 */
#include "front.h"
#include "names.h"
#include "units.h"

static const char reading[] = "reading options";

static int refuse(struct front *front, uint32_t limit, const char *reason, const char *hint)
{
	char doing[64];
	struct text text = text_in(doing, sizeof(doing));

	text_add(&text, "reading options: limits.");
	text_add(&text, limit_name(limit));
	return front_fail(front, "usage", doing, front->options.limits[limit], reason, hint);
}

static int set_limit(struct front *front, uint32_t limit)
{
	const struct report *report = &front->report;
	const struct wire_report_limit *rule =
		plan_item(&report->words_part, report->words->limits, wire_report_limit, limit);
	uint64_t value = 0;
	int r;

	if (rule->max == 0)
		return refuse(
			front, limit, "cannot be set for one run of this plan",
			"compile a plan with it: belljar profile compile PROFILE -o FILE --set limits.NAME=VALUE");
	r = units_parse(rule->unit, front->options.limits[limit], &value);
	if (r < 0)
		return refuse(front, limit,
			      r == -ERANGE			  ? "does not come out whole, or is too much"
			      : rule->unit == LIMIT_UNIT_SIZE	  ? "is no size such as 64M, 1.5G or 65536 (bytes)"
			      : rule->unit == LIMIT_UNIT_DURATION ? "is no duration such as 500ms, 2s or 1m"
								  : "is no whole number such as 64",
			      NULL);
	if (value < rule->min)
		return refuse(front, limit, "is less than this limit can be", NULL);
	if (value > rule->max)
		return refuse(front, limit, "is more than this plan was compiled for",
			      "the kind of limit, or the hard limit (ulimit -H) of the session that compiled it, "
			      "allows no more");
	/* As the kernel keeps it, and never 0, which is no limit. */
	if (value >= rule->multiple)
		value -= value % rule->multiple;
	else if (rule->multiple > 1)
		value = rule->multiple;
	front->report.limits[limit] = (struct report_limit){ .is_set = true, .value = value };
	return 0;
}

static uint64_t effect_value(const struct report *report, const struct wire_limit_effect *effect)
{
	uint64_t value = report->limits[effect->limit].value;

	return value / effect->divisor + (value % effect->divisor != 0) + effect->plus;
}

static bool was_set(const struct front *front, uint32_t limit)
{
	return front->options.limits[limit] || (limit == LIMIT_OUTPUT && front->options.json);
}

/* Captured streams are held in memory, so they always have a limit; the report names it like any other. */
static void limit_capture(struct front *front)
{
	struct report_limit *limit = &front->report.limits[LIMIT_OUTPUT];
	uint64_t most = front->report.words->capture_bytes;

	if (!limit->is_set || limit->value > most)
		*limit = (struct report_limit){ .is_set = true, .value = most };
}

int limits_apply(struct front *front)
{
	const struct report *report = &front->report;
	const struct wire_list effects = report->words->effects;

	if (report->exec->cgroup_writes.count > ENCODE_MAX_WRITES || report->exec->rlimits.count > ENCODE_MAX_RLIMITS)
		return front_fail(front, "internal", reading, NULL, "the plan has more limits than a run can set",
				  NULL);
	for (uint32_t i = 0; i < LIMIT_COUNT; i++) {
		int r = front->options.limits[i] ? set_limit(front, i) : 0;

		if (r)
			return r;
	}
	if (front->options.json)
		limit_capture(front);
	for (uint32_t i = 0; i < effects.count; i++) {
		const struct wire_limit_effect *effect = plan_item(&report->words_part, effects, wire_limit_effect, i);
		uint64_t value = effect_value(report, effect);
		char digits[24];
		struct text text = text_in(digits, sizeof(digits));

		if (!was_set(front, effect->limit))
			continue;
		text_add_u64(&text, value);
		if (effect->target == LIMIT_TARGET_RLIMIT) {
			front->changes.rlimits[effect->index].changed = true;
			front->changes.rlimits[effect->index].soft = value;
			front->changes.rlimits[effect->index].hard = value + effect->hard_plus;
		} else if (effect->target == LIMIT_TARGET_CGROUP_WRITE) {
			front->changes.write_values[effect->index] = arena_copy(front, digits, strlen(digits));
		}
	}
	return 0;
}

void limits_finish(const struct front *front, struct wire_exec_plan *exec)
{
	const struct report *report = &front->report;
	const struct wire_list effects = report->words->effects;

	for (uint32_t i = 0; i < LIMIT_COUNT; i++) {
		const struct wire_report_limit *rule =
			plan_item(&report->words_part, report->words->limits, wire_report_limit, i);

		if (was_set(front, i) && !rule->is_set)
			exec->mechanisms[i] = rule->mechanism;
	}
	for (uint32_t i = 0; i < effects.count; i++) {
		const struct wire_limit_effect *effect = plan_item(&report->words_part, effects, wire_limit_effect, i);
		uint64_t value = effect_value(report, effect);

		if (!was_set(front, effect->limit))
			continue;
		if (effect->target == LIMIT_TARGET_WALL_MS)
			exec->wall_ms = value;
		else if (effect->target == LIMIT_TARGET_CPU_MS)
			exec->cpu_ms = value;
		else if (effect->target == LIMIT_TARGET_MEMORY_BYTES)
			exec->memory_bytes = value;
		else if (effect->target == LIMIT_TARGET_PROCESSES)
			exec->processes = value;
		else if (effect->target == LIMIT_TARGET_OUTPUT_BYTES)
			exec->output_bytes = value;
	}
}
