// SPDX-License-Identifier: Apache-2.0
/* The plan checker must survive any bytes, and whatever it accepts must be safe to walk. */
#include <string.h>

#include "plan.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static size_t walk_entries(const struct part *part)
{
	const struct wire_sandbox_plan *plan = (const void *)(part->base + sizeof(struct wire_header));
	size_t sum = 0;

	for (uint32_t i = 0; i < plan->filesystem.count; i++) {
		const struct wire_fs_entry *entry = plan_item(part, plan->filesystem, wire_fs_entry, i);

		sum += strlen(plan_text(part, entry->target)) + strlen(plan_text(part, entry->source));
		for (uint32_t k = 0; k < entry->content.len; k++)
			sum += ((const uint8_t *)plan_bytes(part, entry->content))[k];
	}
	for (uint32_t i = 0; i < plan->companions.count; i++) {
		const struct wire_list argv = plan_item(part, plan->companions, wire_companion, i)->argv;

		for (uint32_t k = 0; k < argv.count; k++)
			sum += strlen(plan_text(part, plan_item(part, argv, wire_text, k)->text));
	}
	return sum;
}

static size_t walk_exec(const struct part *part)
{
	const struct wire_exec_plan *plan = (const void *)(part->base + sizeof(struct wire_header));
	size_t sum = 0;

	for (uint32_t i = 0; i < plan->argv.count; i++)
		sum += strlen(plan_text(part, plan_item(part, plan->argv, wire_text, i)->text));
	for (uint32_t i = 0; i < plan->cgroup_writes.count; i++)
		sum += strlen(plan_text(part, plan_item(part, plan->cgroup_writes, wire_cgroup_write, i)->value));
	for (uint32_t i = 0; i < plan->filter.len; i++)
		sum += ((const uint8_t *)plan_bytes(part, plan->filter))[i];
	return sum;
}

static size_t walk_report(const struct part *part)
{
	const struct wire_report_plan *plan = (const void *)(part->base + sizeof(struct wire_header));
	size_t sum = 0;

	for (uint32_t i = 0; i < plan->sentences.count; i++)
		sum += strlen(plan_text(part, plan_item(part, plan->sentences, wire_text, i)->text));
	for (uint32_t i = 0; i < plan->arguments.count; i++) {
		const struct wire_list values = plan_item(part, plan->arguments, wire_report_argument, i)->values;

		for (uint32_t k = 0; k < values.count; k++)
			sum += strlen(plan_text(part, plan_item(part, values, wire_report_value, k)->name));
	}
	return sum;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const struct part part = { data, (uint32_t)size };
	static volatile size_t sink;

	if (plan_check(data, size, PLAN_KIND_SANDBOX) == 0)
		sink = walk_entries(&part);
	if (plan_check(data, size, PLAN_KIND_EXEC) == 0)
		sink = walk_exec(&part);
	if (plan_check(data, size, PLAN_KIND_REPORT) == 0)
		sink = walk_report(&part);
	(void)sink;
	return 0;
}
