/** Figures over time: what the launcher took now and then (native/launcher/series.c), in the report's units. */
import type { LaunchPlan } from "../compile/types.ts";
import type { RunRecord, SampleRecord } from "../wire/wire.gen.ts";
import { cgroupWith, count, milliseconds } from "./figures.ts";
import { notMeasured } from "./message.ts";
import type { EnforcementValue, Samples } from "./report-types.ts";

interface Taken {
  readonly plan: LaunchPlan;
  readonly samples?: readonly SampleRecord[];
}

/** null where none were asked for, or the program never ran. */
export function samplesOf(record: RunRecord, { plan, samples = [] }: Taken): Samples | null {
  if (record.sampleStepNs === 0n || record.wallNs === notMeasured) return null;
  return {
    intervalMs: milliseconds(record.sampleStepNs) ?? 0,
    cpuExact: samples.every(({ cpuExact }) => cpuExact !== 0),
    measuredBy: {
      cpuMs: record.cpuBy as EnforcementValue,
      memoryBytes: cgroupWith(plan, "memory") ?? "supervisor",
      processes: cgroupWith(plan, "pids") ?? "supervisor",
    },
    points: samples.map(({ atNs, cpuNs, memoryBytes, processes }) => ({
      atMs: milliseconds(atNs) ?? 0,
      cpuMs: milliseconds(cpuNs),
      memoryBytes: count(memoryBytes),
      processes: count(processes),
    })),
  };
}
