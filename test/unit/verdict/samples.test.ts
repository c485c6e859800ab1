import { describe, expect, test } from "vitest";
import { makeReport } from "../../../policy/verdict/index.ts";
import type { RunRecord, SampleRecord } from "../../../policy/wire/wire.gen.ts";
import { cgroup2, compile, policy } from "../compile/fixtures.ts";
import { okRecord } from "../wire/samples.ts";

const none = 0xffff_ffff_ffff_ffffn;
const sample = (change: Partial<SampleRecord> = {}): SampleRecord => ({
  ...{ atNs: 50_123_456n, cpuNs: 40_000_000n, memoryBytes: 4096n, processes: 2n, cpuExact: 1, reserved: 0 },
  ...change,
});

function samplesOf(record: Partial<RunRecord>, samples: readonly SampleRecord[], facts = {}) {
  const { plan } = compile({ facts });
  const context = { policy, plan, profileDigest: "p", filterDigest: "f", outputs: [] };
  return makeReport({ ...context, record: { ...okRecord, mechanisms: plan.exec.mechanisms, ...record }, samples }).samples;
}

describe("samples", () => {
  test("are null where nobody asked, an empty list where the program was too short for one", () => {
    expect(samplesOf({}, [])).toBeNull();
    expect(samplesOf({ sampleStepNs: 50_000_000n }, [])).toMatchObject({ intervalMs: 50, cpuExact: true, points: [] });
  });
  test("are in the report's units, and what was not measured is null", () => {
    expect(
      samplesOf({ sampleStepNs: 100_000_000n }, [sample(), sample({ cpuNs: none, memoryBytes: none, processes: none })])?.points,
    ).toEqual([
      { atMs: 50.123, cpuMs: 40, memoryBytes: 4096, processes: 2 },
      { atMs: 50.123, cpuMs: null, memoryBytes: null, processes: null },
    ]);
  });
  test("one lower bound makes the series one", () => {
    expect(samplesOf({ sampleStepNs: 1n }, [sample(), sample({ cpuExact: 0 })])?.cpuExact).toBe(false);
  });
  test("say where each figure comes from", () => {
    const measuredBy = (facts: object, cpuBy: RunRecord["cpuBy"]) => samplesOf({ sampleStepNs: 1n, cpuBy }, [], facts)?.measuredBy;
    expect(measuredBy({ cgroup: cgroup2 }, "cgroup2")).toEqual({ cpuMs: "cgroup2", memoryBytes: "cgroup2", processes: "cgroup2" });
    expect(measuredBy({}, "perf")).toEqual({ cpuMs: "perf", memoryBytes: "supervisor", processes: "supervisor" });
  });
});
