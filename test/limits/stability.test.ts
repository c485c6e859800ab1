// Many runs: at once, with the verdicts that they have one by one; and one after the other, with nothing left of any. Under every mechanism.
import { readdirSync } from "node:fs";
import { describe, expect } from "vitest";
import { hostFiles } from "../../cli/host/host-files.ts";
import { findRunCgroups } from "../../cli/host/run-cgroups.ts";
import { needs } from "../helpers/abilities.ts";
import { until } from "../helpers/deadline.ts";
import { Driver } from "./driver.ts";
import type { Command, Expected, Program } from "./kinds.ts";
import { chosenMechanisms, configHome, ways } from "./mechanisms.ts";
import { runProgram } from "./suite.ts";

const c = (...args: readonly string[]): Command => ({ kind: "c", program: "limits", args });
type Quick = Pick<Program, "command" | "limits" | "name"> & { readonly expected: Expected };

/** One of every kind of end. No limit is near for a program that is to end otherwise, however slow the machine is meanwhile. */
const quick: readonly Quick[] = [
  { name: "ok", command: c("exit", "0"), expected: { verdict: "ok", exitCode: 0 } },
  { name: "prints", command: c("print", "100"), expected: { verdict: "ok", exitCode: 0 } },
  { name: "exits with 3", command: c("exit", "3"), expected: { verdict: "exit-nonzero", exitCode: 3 } },
  { name: "dies", command: c("null"), expected: { verdict: "signaled", signal: "SIGSEGV" } },
  { name: "spins", command: c("spin"), limits: { cpuTime: "20ms" }, expected: { verdict: "cpu-time-limit" } },
  { name: "sleeps", command: c("sleep"), limits: { wallTime: "20ms" }, expected: { verdict: "wall-time-limit" } },
  { name: "fills memory", command: c("heap", "24"), limits: { memory: "8M" }, expected: { verdict: "memory-limit" } },
  { name: "floods", command: c("flood"), limits: { output: 1000 }, expected: { verdict: "output-limit" } },
  { name: "leaves a daemon", command: c("daemon"), expected: { verdict: "exit-nonzero", exitCode: 3 } },
  {
    name: "fills the scratch space",
    command: c("disk", "4"),
    limits: { disk: "1M" },
    expected: { verdict: "disk-limit", exitCode: 1 },
  },
];
/** What is run, over and over; processes are few, so that all of it together stays within what any account may have. */
const programOf = (i: number): Quick => {
  const one = quick[i % quick.length];
  if (one === undefined) throw new Error("unreachable");
  return { ...one, limits: { processes: 8, ...one.limits } };
};

const uid = process.getuid?.() ?? -1;
const cgroupsOf = (pid: number) => findRunCgroups(hostFiles(), uid).filter((one) => one.pid === pid);
const descriptorsOf = (pid: number): number => readdirSync(`/proc/${pid}/fd`).length;

async function verdictOf(program: Quick, driver: Driver) {
  const { report } = await runProgram(program, driver);
  const { verdict, exitCode, signal } = report;
  expect({ verdict, exitCode, signal }, `${program.name}: ${JSON.stringify(report)}`).toMatchObject(program.expected);
}

async function assertNothingLeft(driver: Driver): Promise<void> {
  const pid = await driver.pid;
  await driver.assertNothingLeft();
  await until(() => cgroupsOf(pid).length === 0, { what: "every cgroup to be gone", timeoutMs: 10_000 });
}

for (const mechanism of chosenMechanisms())
  describe(`${mechanism}`, () => {
    const { needs: abilities } = ways[mechanism];

    needs("userns", ...abilities)(
      "50 at once end as they do alone",
      async () => {
        await using driver = new Driver(configHome(mechanism));
        await Promise.all(Array.from({ length: 50 }, (_, i) => verdictOf(programOf(i), driver)));
        await assertNothingLeft(driver);
      },
      180_000,
    );

    // Without cgroups there is less that could stay.
    const inARow = mechanism === "none" ? 100 : 500;
    needs("userns", "fast-core", ...abilities)(
      `${inARow} in a row leave nothing`,
      async () => {
        await using driver = new Driver(configHome(mechanism));
        for (let i = 0; i < 20; i++) await verdictOf(programOf(i), driver);
        const before = descriptorsOf(await driver.pid);
        for (let i = 0; i < inARow - 20; i++) await verdictOf(programOf(i), driver);
        await assertNothingLeft(driver);
        expect(descriptorsOf(await driver.pid)).toBeLessThanOrEqual(before);
      },
      180_000,
    );
  });
