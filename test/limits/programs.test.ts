// Every program of the table under every mechanism that this machine has. What was seen is written down where $BELLJAR_LIMITS_RESULTS says, for
// the table in the documentation (table.mjs).
import { mkdirSync, writeFileSync } from "node:fs";
import { release } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect } from "vitest";
import type { RunReport } from "../../policy/verdict/report-types.ts";
import { needs } from "../helpers/abilities.ts";
import { Driver } from "./driver.ts";
import type { Program } from "./kinds.ts";
import { chosenMechanisms, configHome, type Mechanism, ways } from "./mechanisms.ts";
import { expectedOf, groups } from "./programs.ts";
import { languageOf, runProgram } from "./suite.ts";

/** One line of the table. */
interface Seen {
  readonly group: string;
  readonly name: string;
  readonly language: string;
  readonly verdict: string;
  readonly exitCode: number | null;
  readonly signal: string | null;
  readonly because: string | null;
}

async function check(program: Program, mechanism: Mechanism, driver: Driver): Promise<RunReport> {
  const { report, stdout, stderr } = await runProgram(program, driver);
  const { stdout: text, stdoutBytes, stderrBytes, truncated, ...wanted } = expectedOf(program, mechanism);
  const { verdict, exitCode, signal } = report;
  const words = `${program.name}: ${report.message}\n${stdout.toString().slice(0, 500)}${stderr.toString().slice(0, 1000)}\n${JSON.stringify(report)}`;
  expect({ verdict, exitCode, signal }, words).toMatchObject(wanted);
  if (text !== undefined) expect(stdout.toString(), words).toBe(text);
  if (stdoutBytes !== undefined) expect(stdout.length, words).toBe(stdoutBytes);
  if (stderrBytes !== undefined) expect(stderr.length, words).toBe(stderrBytes);
  if (truncated !== undefined) expect([report.output.stdoutTruncated, report.output.stderrTruncated], words).toEqual(truncated);
  const { memory, processes, cpuTime } = ways[mechanism].enforcement;
  expect(report.enforcement, words).toMatchObject({ memory, processes });
  expect(cpuTime, words).toContain(report.enforcement.cpuTime);
  if (verdict === "cpu-time-limit") expect(report.time.cpuMs, words).toBeGreaterThanOrEqual(Number(report.limits.cpuTime) - 20);
  if (verdict === "wall-time-limit") expect(report.time.wallMs, words).toBeGreaterThanOrEqual(Number(report.limits.wallTime));
  return report;
}

for (const mechanism of chosenMechanisms())
  describe(`${mechanism}`, () => {
    const seen: Seen[] = [];
    let driver: Driver | null = null;
    for (const { title, programs } of groups)
      describe(title, () => {
        for (const program of programs)
          needs("userns", ...ways[mechanism].needs, ...(program.needs ?? []))(
            program.name,
            async () => {
              driver ??= new Driver(configHome(mechanism));
              const { verdict, exitCode, signal } = await check(program, mechanism, driver);
              const because = program.except?.find(({ under }) => under.includes(mechanism))?.because ?? null;
              seen.push({ group: title, name: program.name, language: languageOf(program.command), verdict, exitCode, signal, because });
              await driver.assertNothingLeft();
            },
            120_000,
          );
      });
    afterAll(async () => {
      await driver?.[Symbol.asyncDispose]();
      const dir = process.env["BELLJAR_LIMITS_RESULTS"];
      if (dir === undefined || seen.length === 0) return;
      mkdirSync(dir, { recursive: true });
      writeFileSync(join(dir, `${mechanism}.json`), JSON.stringify({ mechanism, title: ways[mechanism].title, kernel: release(), seen }));
    });
  });
