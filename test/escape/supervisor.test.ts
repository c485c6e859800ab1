// Whoever watches the program must not be its to stop, kill or starve: the time limit strikes all the same.
import { type ChildProcess, spawn } from "node:child_process";
import { expect, onTestFinished } from "vitest";
import { needs } from "../helpers/abilities.ts";
import { attackInSandbox, attackOutside, attackProgram, withoutSeccomp } from "../helpers/attack.ts";

const program = "attack-supervisor";
const wall = ["--wall-time", "600ms", "--cpu-time", "none"];

for (const op of ["stop-all", "stop-group", "stop-self", "new-group-loop", "spin-deaf", "close-all", "thread-exit"]) {
  needs("userns")(`is stopped by the wall clock whatever it does to signals, groups and descriptors (${op})`, async () => {
    const inside = await attackInSandbox(program, [op], { run: wall });
    expect(inside.report).toMatchObject({ verdict: "wall-time-limit", exitCode: null });
    expect(inside.code).toBe(124);
    expect(inside.report?.time.wallMs).toBeGreaterThanOrEqual(600);
    expect(inside.report?.time.wallMs).toBeLessThan(3000);
  });
}

needs("userns")("kills and stops everything it can reach: only itself", async () => {
  const all = await attackInSandbox(program, ["kill-all"]);
  expect(all.report).toMatchObject({ verdict: "exit-nonzero", exitCode: 7 });
  const group = await attackInSandbox(program, ["kill-group"]);
  expect(group.report).toMatchObject({ verdict: "signaled", signal: "SIGKILL" });
});

needs("userns")("leaves stopped children behind", async () => {
  const inside = await attackInSandbox(program, ["stop-children"]);
  expect(inside.report).toMatchObject({ verdict: "ok" });
  expect(inside.leftovers).toEqual([]);
});

needs("userns")("has the kernel signal a process of the host when its pipe moves", async () => {
  const victim: ChildProcess = spawn(attackProgram("behave"), ["pause"], { stdio: "ignore" });
  onTestFinished(() => void victim.kill("SIGKILL"));
  let died = false;
  victim.on("exit", () => {
    died = true;
  });
  // Outside, the id is good for the call (pipes alone send no signal, so nothing dies of it).
  expect(attackOutside(program, ["async-signals", String(victim.pid)]).outcomes()["own-pipe"]).toBe("OK");
  const inside = await attackInSandbox(program, ["async-signals", String(victim.pid)]);
  expect(inside.tries.outcomes()["own-pipe"]).toBe("ESRCH");
  expect(died).toBe(false);
});

needs("userns")("forks without end, within the limit of processes", async () => {
  const inside = await attackInSandbox(program, ["fork-bomb"], { run: ["--processes", "20"] });
  const made = inside.tries.of("fork-bomb").result ?? Number.NaN;
  expect(made).toBeGreaterThan(0);
  expect(made).toBeLessThan(20);
  expect(["process-limit", "exit-nonzero"]).toContain(inside.report?.verdict);
  if (inside.report?.enforcement.processes?.startsWith("cgroup")) expect(inside.report.verdict).toBe("process-limit");
  // The control: with a larger limit it makes more.
  const more = await attackInSandbox(program, ["fork-bomb"], { run: ["--processes", "60"] });
  expect(more.tries.of("fork-bomb").result).toBeGreaterThan(20);
});

needs("userns")("forks without end where no cgroup counts, even with no filter", async () => {
  const inside = await attackInSandbox(program, ["fork-bomb"], { run: [...withoutSeccomp(), "--processes", "10"] });
  expect(inside.tries.of("fork-bomb").result).toBeLessThan(10);
});

needs("userns")("floods its output: what is kept is bounded and the rest is its own loss", async () => {
  const inside = await attackInSandbox(program, ["flood"], { run: ["--output", "100000"] });
  expect(inside.report).toMatchObject({ verdict: "output-limit", output: { stdoutBytes: 100000, truncated: true } });
  expect(inside.stdoutBytes.length).toBe(100000);
  expect(inside.code).toBe(124);
});

needs("userns")("gives itself a name that would confuse a reader of /proc", async () => {
  const inside = await attackInSandbox(program, ["rename"]);
  expect(inside.report).toMatchObject({ verdict: "ok" });
});
