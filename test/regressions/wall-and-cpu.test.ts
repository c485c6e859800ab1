// Kind of fault: one "time limit" for two clocks.
import { expect } from "vitest";
import { needs } from "../helpers/abilities.ts";
import { attackInSandbox, profileFile } from "../helpers/attack.ts";
import { belljar, belljarRun } from "../helpers/belljar.ts";

needs("userns")("a sleeper meets the wall clock, and has used no CPU time", async () => {
  const { report, code } = await belljarRun(["--cpu-time", "1s", "--wall-time", "1200ms", "--", "sleep", "100"]);
  expect(report).toMatchObject({ verdict: "wall-time-limit" });
  expect(code).toBe(124);
  expect(report.time.wallMs).toBeGreaterThanOrEqual(1200);
  expect(report.time.wallMs).toBeLessThan(2500);
  expect(report.time.cpuMs ?? 0).toBeLessThan(200);
  expect(report.message).toContain("1.2 s");
});

needs("userns")("a spinner meets the CPU clock, limits below a second are not rounded", async () => {
  const { report } = await attackInSandbox("behave", ["spin", "60000"], { run: ["--cpu-time", "300ms", "--wall-time", "20s"] });
  expect(report).toMatchObject({ verdict: "cpu-time-limit" });
  expect(report?.time.cpuMs).toBeGreaterThanOrEqual(290);
  expect(report?.time.cpuMs).toBeLessThan(1000);
});

needs("userns")("CPU time of threads is one sum", async () => {
  const { report } = await attackInSandbox("behave", ["spin-threads", "4", "60000"], {
    run: ["--cpu-time", "400ms", "--wall-time", "20s"],
  });
  expect(report).toMatchObject({ verdict: "cpu-time-limit" });
  expect(report?.time.cpuMs).toBeLessThan(1200);
});

needs("userns")("a wall limit below the CPU limit is pointed out when the profile says both", async () => {
  const profile = profileFile({ limits: { cpuTime: "15s", wallTime: "10s" } });
  const result = await belljar(["profile", "check", profile]);
  expect(result.stdout + result.stderr).toMatch(/wallTime/);
  expect((await belljar(["run", "-p", profile, "--", "true"], { report: false })).stderr).toMatch(/wallTime/);
});

needs("userns")("a program that waits for input which has ended is not held up", async () => {
  const { report } = await belljarRun(["--", "cat"]);
  expect(report).toMatchObject({ verdict: "ok" });
});

needs("userns")("blocked on an output that nobody reads: the wall clock strikes", async () => {
  const script = '"$@" | sleep 3';
  const command = [process.execPath, `${import.meta.dirname}/../../dist/belljar.js`];
  const result = await belljar(["run", "-q", "--wall-time", "500ms", "--cpu-time", "none", "--output", "none", "--", "yes"], {
    program: ["bash", "-c", `${script}; exit "\${PIPESTATUS[0]}"`, "bash", ...command],
  });
  expect(result.report).toMatchObject({ verdict: "wall-time-limit" });
  expect(result.report?.time.wallMs).toBeLessThan(2500);
});

needs("userns")("the time of a short program is more than nothing and little", async () => {
  const { report } = await attackInSandbox("behave", ["exit", "0"]);
  expect(report?.time.wallMs).toBeGreaterThan(0);
  expect(report?.time.wallMs).toBeLessThan(100);
  expect(report?.time.cpuMs ?? 1).toBeGreaterThan(0);
});
