// Process 1 has the program's user id, so the kernel would let the program move it to the slowest class; and the CPU clock is the program's.
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { availableParallelism } from "node:os";
import { join } from "node:path";
import { expect } from "vitest";
import { needs } from "../helpers/abilities.ts";
import {
  allPowerful,
  attackDir,
  attackInSandbox,
  attackOutside,
  attackTest,
  ownNamespaces,
  volumeOf,
  withoutSeccomp,
} from "../helpers/attack.ts";
import { belljar } from "../helpers/belljar.ts";
import { tempDir } from "../helpers/places.ts";

const program = "attack-schedule";
const attacks = ["affinity", "parameter", "attributes", "scheduler", "nice", "io", "nice-user", "nice-user-by-number", "io-user"];
const clock = ["clock-off", "clock-on", "clock-off-high"];
const all = (names: readonly string[], outcome: string): Record<string, string> => Object.fromEntries(names.map((name) => [name, outcome]));

needs("userns")("starves process 1 by its scheduling, stops the CPU clock", async () => {
  const control = attackOutside(program, [], { prefix: ownNamespaces });
  expect(control.outcomes(), "control: an ordinary process 1 of the same user").toMatchObject({
    ...all(attacks, "OK"),
    ...all(clock, "OK"),
  });
  for (const run of [[], ["-p", allPowerful()]]) {
    const inside = await attackInSandbox(program, [], { run });
    expect(inside.tries.outcomes(), inside.stderr).toMatchObject({
      ...all(attacks, "EPERM"),
      ...all(clock, "EPERM"),
      "affinity-high": "EPERM",
      // What a program does to itself is its own business.
      ...all(["affinity-own", "scheduler-own", "nice-own", "io-own"], "OK"),
    });
    expect(inside.report).toMatchObject({ verdict: "ok", exitCode: 0 });
  }
});

const firstCpu = /^Cpus_allowed_list:\s*(\d+)/m.exec(readFileSync("/proc/self/status", "utf8"))?.[1] ?? "0";

needs("userns")("leaves the CPUs that it is pinned to", async () => {
  const control = attackOutside(program, ["leave-cpus"], { prefix: ["taskset", "-c", firstCpu] });
  expect(control.outcomes(), "control: affinity alone is no limit").toMatchObject({ "affinity-wider": "OK" });
  const cpus = (tries: typeof control, name: string) => tries.all.find((one) => one.try === name)?.result;
  expect([cpus(control, "cpus-before"), cpus(control, "cpus-after")]).toEqual([1, availableParallelism()]);
  const free = await attackInSandbox(program, ["leave-cpus"]);
  expect(free.tries.outcomes(), "control: who is not pinned may choose").toMatchObject({ "affinity-wider": "OK" });
  for (const run of [[], withoutSeccomp(), ["-p", allPowerful()]]) {
    const { tries, report, stderr } = await attackInSandbox(program, ["leave-cpus"], { run: [...run, "--cpuset", firstCpu] });
    expect(tries.outcomes(), stderr).toMatchObject({ "affinity-wider": "EPERM" });
    expect([cpus(tries as typeof control, "cpus-before"), cpus(tries as typeof control, "cpus-after")]).toEqual([1, 1]);
    expect(["cgroup2", "enforced"]).toContain(report?.enforcement.cpuset);
    expect(report?.limits.cpuset).toBe(firstCpu);
  }
});

attackTest("has threads of io_uring work on other CPUs than it is pinned to", {
  program: "attack-kernel",
  args: ["io-uring-setup"],
  run: () => withoutSeccomp({ limits: { lockedMemory: "64M", cpuset: firstCpu } }),
  refused: { "io-uring-setup": "EPERM" },
  control: { run: () => withoutSeccomp({ limits: { lockedMemory: "64M" } }) },
  abilities: ["io-uring"],
});

const withoutCgroup = (): { readonly XDG_CONFIG_HOME: string } => {
  const home = tempDir("config");
  mkdirSync(join(home, "belljar"));
  writeFileSync(join(home, "belljar/config.json"), JSON.stringify({ cgroup: { use: "none" } }), { mode: 0o600 });
  return { XDG_CONFIG_HOME: home };
};

/** Executes a copy of a busy program that has this mode. The limit is 300 ms. */
async function spin(mode: string, ...how: readonly string[]) {
  const script = `cp ${attackDir}/behave /work/spin && chmod ${mode} /work/spin && exec /work/spin ${how.join(" ")}`;
  const run = ["run", ...volumeOf("behave"), "--cpu-time", "300ms", "--wall-time", "15s", "--", "sh", "-c", script];
  const { report } = await belljar(run, { env: withoutCgroup() });
  return report;
}

// Behind the clock there is a resource limit of whole seconds for each process: it never ends those that hand on to a child in time.
for (const how of [["spin", "20000"], ...["waited", "disowned", "orphans"].map((name) => ["spin-children", name, "200", "100"])])
  needs("userns", "perf")(`takes the CPU clock off itself by executing what it may not read: ${how.slice(0, 2).join(" ")}`, async () => {
    const control = await spin("0755", ...how);
    expect(control).toMatchObject({ verdict: "cpu-time-limit", enforcement: { cpuTime: "perf" }, time: { cpuExact: true } });
    const report = await spin("0111", ...how);
    // The kernel has taken the clock away. What samples show ends the run, and no figure is called exact.
    expect(report).toMatchObject({
      verdict: "cpu-time-limit",
      exitCode: null,
      signal: null,
      enforcement: { cpuTime: "supervisor" },
      time: { cpuExact: false },
    });
    expect(report?.time.cpuMs).toBeGreaterThanOrEqual(300);
    expect(report?.time.cpuMs).toBeLessThan(3500);
  });

needs("userns", "perf")("is too short-lived for samples of its CPU time: what is lost is not called exact", async () => {
  const control = await spin("0755", "spin-children", "disowned", "4", "30");
  expect(control).toMatchObject({ verdict: "ok", time: { cpuExact: true } });
  expect(control?.time.cpuMs).toBeGreaterThanOrEqual(120);
  expect(await spin("0111", "spin-children", "disowned", "4", "30")).toMatchObject({ time: { cpuExact: false } });
});
