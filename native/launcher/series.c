// SPDX-License-Identifier: Apache-2.0
/*
 * Figures over time: CPU time, memory and tasks of the program's tree, every so often, each from the cgroup that counts it, else
 * from one exact walk over the tree. They wait here for the end of the run, so that a command that is slow to read them never makes
 * the supervisor wait.
 *
 * Memory is bounded: when the array is full, every second sample goes and the step doubles. What is left is still what was
 * measured at its moment, and lies as evenly.
 */
#include "run.h"
#include "util.h"

enum { COST = 10 }; /* taking samples costs at most this part of the time */

void series_start(struct run *run)
{
	run->series_step_ns = run->plan.exec->sample_ms * NS_PER_MS;
	run->next_series_ns = run->series_step_ns ? run->gate_ns + run->series_step_ns : 0;
}

static void thin(struct run *run)
{
	for (uint32_t i = 0; i < MAX_SAMPLES / 2; i++)
		run->samples[i] = run->samples[2 * i + 1];
	run->sample_count = MAX_SAMPLES / 2;
	run->series_step_ns *= 2;
}

/* Whatever no cgroup and no clock tells, from a walk; what neither tells stays not measured. */
static void from_walk(struct run *run, struct wire_sample_record *record)
{
	struct sample sample;

	if (sample_tree(run, 0, &sample) < 0)
		return;
	sample_note(run, &sample);
	run->has_samples = true;
	if (record->memory_bytes == NOT_MEASURED && sample.certain)
		record->memory_bytes = sample.memory_bytes;
	if (record->processes == NOT_MEASURED)
		record->processes = sample.tasks;
	if (record->cpu_ns == NOT_MEASURED)
		record->cpu_ns = run->sampled_cpu_ns;
}

void series_take(struct run *run)
{
	uint64_t start = now_ns(), after;
	struct wire_sample_record record = { .at_ns = start - run->gate_ns,
					     .cpu_ns = run_cpu_ns(run),
					     .memory_bytes = cgroups_memory_bytes(run),
					     .processes = cgroups_processes(run) };

	launch_hear_gate(run);
	/* Until execve there is nothing of the program's to measure. */
	if (run->gate < 0) {
		record.cpu_exact = record.cpu_ns != NOT_MEASURED;
		if (!record.cpu_exact || record.memory_bytes == NOT_MEASURED || record.processes == NOT_MEASURED)
			from_walk(run, &record);
		run->samples[run->sample_count++] = record;
		if (run->sample_count == MAX_SAMPLES)
			thin(run);
	}
	after = start + COST * (now_ns() - start) - run->gate_ns;
	run->next_series_ns = run->gate_ns + (after / run->series_step_ns + 1) * run->series_step_ns;
}

void series_send(const struct run *run)
{
	for (uint32_t i = 0; i < run->sample_count; i++)
		if (control_send(run, MESSAGE_KIND_SAMPLE, &run->samples[i], sizeof(run->samples[i])) < 0)
			return;
}
