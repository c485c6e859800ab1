// Figures against what a program knows of itself, under every mechanism: those of the whole run, and those over time.
import { afterAll, describe, expect } from "vitest";
import type { RunReport } from "../../policy/verdict/report-types.ts";
import { needs } from "../helpers/abilities.ts";
import { fixtureProgram } from "../helpers/compile.ts";
import { Driver, type Outcome } from "./driver.ts";
import { chosenMechanisms, configHome, type Mechanism, ways } from "./mechanisms.ts";

const mebibyte = 1 << 20;
const threads = 3;

/** In the sandbox, as /figures. */
const volumes = () => [{ source: fixtureProgram("figures"), target: "/figures" }];

const hold = (driver: Driver): Promise<Outcome> =>
  driver.run({
    command: ["/figures", "hold", "8", String(threads), "40"],
    volumes: volumes(),
    sample: "5ms",
    limits: { wallTime: "2s", memory: "64M" },
  });

/** The perf clock starts and stops a little inside the times of the scheduler, whose figures the program sees. */
const leastCpuMs = (ownMs: number, by: string | undefined): number => (by === "perf" ? ownMs / 2 : ownMs);

function ascending(numbers: readonly number[]): boolean {
  return numbers.every((number, i) => i === 0 || number >= (numbers[i - 1] ?? 0));
}

const numbers = (values: readonly (number | null)[]): readonly number[] => values.filter((value) => value !== null);

function checkSamples({ samples, time, memory, limits, enforcement }: RunReport, mechanism: Mechanism): void {
  expect(samples).not.toBeNull();
  if (samples === null) return;
  const { points } = samples;
  expect(points.length).toBeGreaterThan(1);
  expect(points.length).toBeLessThan(1024);
  expect(ascending(points.map(({ atMs }) => atMs))).toBe(true);
  for (const { atMs } of points) expect(atMs).toBeLessThanOrEqual(time.wallMs ?? 0);
  // CPU time only grows, to what the whole run has, and what the program has used is in it.
  const cpu = numbers(points.map(({ cpuMs }) => cpuMs));
  expect(cpu).toHaveLength(points.length);
  expect(ascending(cpu)).toBe(true);
  expect(cpu.at(-1)).toBeLessThanOrEqual(time.cpuMs ?? 0);
  if (samples.cpuExact) expect(cpu.at(-1)).toBeGreaterThanOrEqual(leastCpuMs(40, samples.measuredBy.cpuMs));
  const bytes = numbers(points.map(({ memoryBytes }) => memoryBytes));
  expect(bytes.at(-1)).toBeGreaterThanOrEqual(8 * mebibyte);
  expect(Math.max(...bytes)).toBeLessThanOrEqual(memory.peakBytes ?? 0);
  expect(Math.max(...bytes)).toBeLessThanOrEqual(Number(limits.memory));
  expect(points.at(-1)?.processes).toBe(threads + 1);
  const { memory: byMemory, processes } = ways[mechanism].enforcement;
  expect(samples.measuredBy).toMatchObject({ memoryBytes: byMemory, processes: processes === "rlimit" ? "supervisor" : processes });
  expect(enforcement.cpuTime).toBe(samples.measuredBy.cpuMs === "supervisor" ? enforcement.cpuTime : samples.measuredBy.cpuMs);
}

for (const mechanism of chosenMechanisms())
  describe(`${mechanism}`, () => {
    let driver: Driver | null = null;
    const can = needs("userns", ...ways[mechanism].needs);
    const started = (): Driver => {
      driver ??= new Driver(configHome(mechanism));
      return driver;
    };

    can("samples: CPU time grows, memory and threads are those that the program has", async () => {
      const { report, stdout } = await hold(started());
      expect([report.verdict, stdout.toString()]).toEqual(["wall-time-limit", "held"]);
      checkSamples(report, mechanism);
    });

    can("no samples unless they are asked for; none of a program that never started", async () => {
      const command = ["/figures", "tell", "1"];
      expect((await started().run({ command, volumes: volumes() })).report.samples).toBeNull();
      expect((await started().run({ command: ["/nothing"], sample: "1ms" })).report.samples?.points ?? []).toEqual([]);
    });

    can("what 1 ms of work costs is what the program itself saw, and little more", async () => {
      const { report, stdout } = await started().run({ command: ["/figures", "tell", "1"], volumes: volumes() });
      const [cpuNs = 0, wallNs = 0] = stdout.toString().split(" ").map(Number);
      const { cpuMs, cpuExact, wallMs } = report.time;
      const least = leastCpuMs(cpuNs / 1e6, report.enforcement.cpuTime);
      expect(report.verdict).toBe("ok");
      expect(wallMs).toBeGreaterThanOrEqual(wallNs / 1e6);
      if (cpuExact) expect(cpuMs).toBeGreaterThanOrEqual(least);
      // One thread: no more CPU time than time, and so none of what belljar itself did before and after.
      expect(cpuMs).toBeLessThanOrEqual(wallMs ?? 0);
    });

    can("a program that ends at about its CPU limit by itself: the verdict is what its figure says", async () => {
      for (let run = 0; run < 16; run++) {
        const { report } = await started().run({ command: ["/figures", "tell", "1"], volumes: volumes(), limits: { cpuTime: "1ms" } });
        const reached = (report.time.cpuMs ?? 0) >= 1;
        expect(report.verdict, JSON.stringify(report)).toBe(reached ? "cpu-time-limit" : "ok");
      }
    });

    can("a run without a CPU limit has its CPU time counted by the same means", async () => {
      const run = (cpuTime: string | null) =>
        started().run({ command: ["/figures", "tell", "20"], volumes: volumes(), limits: { cpuTime }, sample: "1ms" });
      const [limited, unlimited] = [await run("10s"), await run(null)];
      const meansOf = ({ report }: Outcome) => [report.time.cpuExact, report.samples?.measuredBy.cpuMs];
      expect(meansOf(unlimited)).toEqual(meansOf(limited));
      const least = leastCpuMs(20, unlimited.report.samples?.measuredBy.cpuMs);
      if (unlimited.report.time.cpuExact) expect(unlimited.report.time.cpuMs).toBeGreaterThanOrEqual(least);
    });

    afterAll(async () => {
      await driver?.[Symbol.asyncDispose]();
    });
  });
