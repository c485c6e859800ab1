// The supervisor waits for the program and hears of its refused calls: neither may be confused or worn out by them.
import { readFileSync } from "node:fs";
import { basename, join } from "node:path";
import { expect } from "vitest";
import type { Profile } from "../../policy/profile/types.ts";
import { needs } from "../helpers/abilities.ts";
import { attackDir, attackInSandbox, attackOutside, attackProgram, profileFile, Tries, volumeOf } from "../helpers/attack.ts";
import { belljar } from "../helpers/belljar.ts";
import { plantCanary } from "../helpers/canary.ts";
import { tempDir } from "../helpers/places.ts";

const program = "attack-tracer";
const tracing = () => profileFile({ seccomp: { syscalls: [{ names: ["ptrace"], action: "allow", comment: "the attack needs it" }] } });

needs("userns")("makes process 1 its tracer, to whom a stop is told as an end is", async () => {
  expect(attackOutside(program, ["stop-seen"]).outcomes()).toEqual({ "took-a-stop-for-an-end": "OK" });
  const inside = await attackInSandbox(program, ["stop-traced"], { run: ["-p", tracing(), "--wall-time", "600ms"] });
  expect(inside.report).toMatchObject({ verdict: "wall-time-limit", exitCode: null, signal: null });
});

needs("userns")("gives its children to process 1: their end is not the program's, and none outlives it", async () => {
  const inside = await attackInSandbox(program, ["give-children"]);
  expect(inside.tries.outcomes()).toEqual({ "give-children": "OK" });
  expect(inside.report).toMatchObject({ verdict: "exit-nonzero", exitCode: 4 });
  expect(inside.leftovers).toEqual([]);
});

needs("userns")("wears the supervisor out by refused calls without end: the clock strikes all the same, and all are counted", async () => {
  const inside = await attackInSandbox(program, ["deny-forever"], { run: ["--wall-time", "1s", "--cpu-time", "none"], deadlineMs: 60_000 });
  expect(inside.report).toMatchObject({ verdict: "wall-time-limit", denials: [{ syscall: "ptrace", countExact: true }] });
  expect(inside.report?.denials?.[0]?.count).toBeGreaterThan(100);
});

needs("userns")("is killed in the middle of refused calls: the supervisor goes on", async () => {
  const inside = await attackInSandbox(program, ["deny-and-die"], { deadlineMs: 60_000 });
  expect(inside.tries.outcomes()).toEqual({ "deny-and-die": "OK" });
  expect(inside.report).toMatchObject({ verdict: "ok", denials: [{ syscall: "ptrace", countExact: true }] });
  expect(inside.report?.denials?.[0]?.count).toBeGreaterThanOrEqual(200);
});

needs("userns")("allows a call that kills by filters of its own", async () => {
  const kill = profileFile({ seccomp: { syscalls: [{ names: ["ptrace"], action: "kill", comment: "test" }] } });
  const inside = await attackInSandbox("attack-surface", ["own-filter-allows", "own-filter-traces"], { run: ["-p", kill] });
  expect(inside.tries.outcomes()).toEqual({ "own-filter-allows": "signal 9", "own-filter-traces": "signal 9" });
});

const forbidden: Readonly<Record<string, readonly string[]>> = {
  "attack-kernel": [
    "io-uring-setup",
    "bpf",
    "userfaultfd",
    "ptrace",
    "kcmp",
    "add-key",
    "keyctl",
    "open-by-handle",
    "fanotify",
    "memfd-secret",
  ],
  "attack-namespaces": [
    "unshare-user",
    "clone-user",
    "clone-user-high-word",
    "unshare-mount",
    "mount-tmpfs",
    "fsopen",
    "pivot-root",
    "chroot",
  ],
  "attack-surface": ["process-vm-readv", "pidfd-getfd", "keyctl-high", "personality-exec-high", "fchmod-setuid-high"],
};
for (const [name, ops] of Object.entries(forbidden))
  needs("userns")(`does what is forbidden while it is learnt from (${name})`, async () => {
    const canary = plantCanary();
    const path = join(tempDir("learnt"), "p.json");
    const command = ["--", join(attackDir, basename(attackProgram(name))), ...ops];
    const result = await belljar(["learn", "-o", path, ...volumeOf(name), ...command], { deadlineMs: 60_000 });
    const tries = new Tries(result.stdout).outcomes();
    expect(tries).toEqual(Object.fromEntries(ops.map((op) => [op, "EPERM"])));
    const learnt = JSON.parse(readFileSync(path, "utf8")) as Profile;
    const under = await attackInSandbox(name, ops, { run: ["-p", path] });
    expect(under.tries.outcomes()).toEqual(tries);
    expect(learnt.seccomp?.extends).toEqual([]);
    canary.check(result.stdout, result.stderr, readFileSync(path, "utf8"));
  });

needs("userns", "python3")("gives itself a name that would break out of a learnt profile", async () => {
  const path = join(tempDir("learnt"), "p.json");
  const script = `import ctypes; c = ctypes.CDLL(None); c.prctl(15, b'"},{"a\\x1b[2J', 0, 0, 0); import os; os.getppid()`;
  const result = await belljar(["learn", "-o", path, "--", "python3", "-c", script], { deadlineMs: 60_000 });
  expect(result.code).toBe(0);
  const text = readFileSync(path, "utf8");
  expect(text).not.toContain("\x1b");
  const getppid = (JSON.parse(text) as Profile).seccomp?.syscalls?.find(({ names }) => names.includes("getppid"));
  expect(getppid).toMatchObject({ action: "allow", comment: expect.stringContaining('first called by "},{"a') });
});
