// SPDX-License-Identifier: Apache-2.0
/* Figures over time stay bounded: however many are taken, every second one goes when there is no more room, and the rest lie evenly. */
#include <stdio.h>
#include <string.h>

#include "run.h"
#include "util.h"

static struct run run; /* too large for some stacks */

static int check(const char *what, bool holds)
{
	if (!holds)
		fprintf(stderr, "%s\n", what);
	return !holds;
}

int main(void)
{
	struct wire_sandbox_plan sandbox = { 0 };
	struct wire_exec_plan exec = { .sample_ms = 10 };
	int failures = 0;

	run.plan.sandbox = &sandbox;
	run.plan.exec = &exec;
	run.gate = run.clock = run.root = run.scratch = run.segments = -1;
	run.init_pid = getpid();
	run.gate_ns = now_ns();
	series_start(&run);
	failures += check("the first is due after one step", run.next_series_ns == run.gate_ns + 10 * NS_PER_MS);
	for (uint64_t i = 0, at = 0; i < 10 * MAX_SAMPLES; i++) {
		at += run.series_step_ns;
		series_take(&run);
		/* As if this had been its moment. */
		run.samples[run.sample_count - 1].at_ns = at;
		failures += check("never as many as fit", run.sample_count < MAX_SAMPLES);
	}
	failures += check("samples were thinned", run.series_step_ns > 10 * NS_PER_MS);
	failures += check("at most half of them at once", run.sample_count >= MAX_SAMPLES / 2);
	for (uint32_t i = 1; i < run.sample_count; i++)
		failures +=
			check("one step apart", run.samples[i].at_ns - run.samples[i - 1].at_ns == run.series_step_ns);
	exec.sample_ms = 0;
	run.sample_count = 0;
	series_start(&run);
	failures += check("nobody asked: none is due", run.next_series_ns == 0 && run.series_step_ns == 0);
	return failures != 0;
}
