// Kind of fault: what the report calls a limit is what was asked for, not what holds; a figure that nobody took.
import { execFileSync } from "node:child_process";
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect } from "vitest";
import { needs } from "../helpers/abilities.ts";
import { attackInSandbox } from "../helpers/attack.ts";
import { belljar, belljarRun } from "../helpers/belljar.ts";
import { root, tempDir } from "../helpers/places.ts";

/** The command, started by a shell that has lowered its own limits. */
const under = (ulimit: string) => ({
  program: ["bash", "-c", `ulimit ${ulimit} && exec "$@"`, "bash", process.execPath, join(root, "dist/belljar.js")],
});

/** Soft and hard limits of the program itself, by their names in /proc/self/limits. */
function held(text: string): (name: string) => readonly string[] {
  return (name) => {
    const line = text.split("\n").find((one) => one.startsWith(`${name} `)) ?? "";
    return line.slice(name.length).trim().split(/\s+/).slice(0, 2);
  };
}

needs("userns")("under hard limits of the caller's the lower ones are applied, reported and warned of, once each", async () => {
  const shell = under("-n 200 -s 16384 -f 2048");
  const words = ["--set", "limits.stack=64M", "--set", "limits.openFiles=1024", "--set", "limits.fileSize=64M"];
  const result = await belljar(["run", ...words, "--", "cat", "/proc/self/limits"], shell);
  expect(result.report?.limits).toMatchObject({ stack: 16_777_216, openFiles: 200, fileSize: 2_097_152 });
  const limit = held(result.stdout);
  expect(limit("Max stack size")).toEqual(["16777216", "16777216"]);
  expect(limit("Max open files")).toEqual(["200", "200"]);
  expect(limit("Max file size")).toEqual(["2097152", "2097152"]);
  for (const name of ["stack", "openFiles", "fileSize"])
    expect(
      result.stderr.split("\n").filter((line) => line.startsWith(`belljar: warning: limits.${name} (`)),
      name,
    ).toHaveLength(1);
  const lower = await belljar(["run", "--set", "limits.stack=8M", "--set", "limits.fileSize=1M", "--", "true"], under("-s 16384 -f 2048"));
  expect([lower.code, lower.stderr]).toEqual([0, ""]);
});

needs("userns")("a CPU limit that the caller runs under ends the run as a CPU limit of ours would", async () => {
  const { report, stderr } = await attackInSandbox("behave", ["spin", "60000"], { ...under("-t 1"), run: ["--wall-time", "30s"] });
  expect(report).toMatchObject({ verdict: "cpu-time-limit", exitCode: null, signal: null, limits: { cpuTime: 700 } });
  expect(stderr).toContain("limits.cpuTime (60 s): 700 ms is applied: this session's own hard limit (ulimit -Ht) allows no more");
});

needs("userns")("CPUs that this machine lacks are left out; where the list is required, the run is refused", async () => {
  const first = execFileSync("sh", ["-c", "sed -n 's/^Cpus_allowed_list:\\s*\\([0-9]*\\).*/\\1/p' /proc/self/status"], {
    encoding: "utf8",
  }).trim();
  const words = ["--set", `limits.cpuset=${first},8000-8100`];
  const result = await belljarRun([...words, "--", "true"]);
  expect(result.report.limits.cpuset).toBe(first);
  const refused = await belljar(["run", ...words, "--set", 'limits.required=["cpuset"]', "--", "true"]);
  expect([refused.code, refused.stderr]).toEqual([125, expect.stringContaining("required, but this process may use only the CPUs")]);
});

needs("userns")("the disk limit is in whole pages, as the file system itself says", async () => {
  const { report, stdout } = await belljarRun(["--set", "limits.disk=10000", "--", "stat", "-fc", "%a %S", "/work"]);
  const [blocks, size] = stdout.trim().split(" ").map(Number);
  expect(report.limits.disk).toBe((blocks ?? 0) * (size ?? 0));
});

needs("userns")("queued signals and message queues, which are charged to the caller, have limits of their own", async () => {
  const limit = held((await belljarRun(["--", "cat", "/proc/self/limits"])).stdout);
  expect([limit("Max pending signals"), limit("Max msgqueue size")]).toEqual([
    ["1024", "1024"],
    ["819200", "819200"],
  ]);
});

needs("userns")("limits under which no program starts are refused, with the least that will do", async () => {
  for (const [name, little, least, enough] of [
    ["stack", "4K", "16 KiB", "64K"],
    ["addressSpace", "64K", "1 MiB", "2M"],
    ["openFiles", "2", "3", "3"],
  ] as const) {
    const result = await belljar(["run", "--set", `limits.${name}=${little}`, "--", "true"], { report: false });
    expect([result.code, result.stderr]).toEqual([125, expect.stringContaining(`must be at least ${least}`)]);
    // A static program; a dynamic one needs another descriptor and megabyte for its libraries.
    const { report, stderr } = await attackInSandbox("attack-mounts", ["none", "/work"], { run: ["--set", `limits.${name}=${enough}`] });
    expect(report, `${name}: ${stderr}`).toMatchObject({ verdict: "ok" });
  }
});

needs("userns")("a stack limit lower than what the launcher itself has used up is the program's alone", async () => {
  // Where the stack begins is random, and with it how much of it the launcher had already.
  for (const size of ["16K", "24K", "64K", "128K", "160K"])
    for (let i = 0; i < 4; i += 1) {
      const { report } = await belljar(["run", "--set", `limits.stack=${size}`, "--", "/bin/true"]);
      expect(report, size).toMatchObject({ verdict: "ok", limits: { stack: Number.parseInt(size, 10) * 1024 } });
    }
});

needs("userns")("our own kill is no signal of the program's, whichever clock struck", async () => {
  for (const [verdict, ...run] of [
    ["wall-time-limit", "--wall-time", "300ms"],
    ["cpu-time-limit", "--cpu-time", "200ms"],
  ] as const) {
    const { report } = await attackInSandbox("behave", ["spin", "60000"], { run });
    expect(report).toMatchObject({ verdict, exitCode: null, signal: null });
  }
});

needs("userns")("a volume within a volume is seen in whatever order they are given", async () => {
  const [outer, inner] = [tempDir("outer"), tempDir("inner")];
  mkdirSync(join(outer, "sub"));
  writeFileSync(join(inner, "found"), "");
  const [parent, child] = [`${outer}:/d`, `${inner}:/d/sub`];
  for (const volumes of [
    [parent, child],
    [child, parent],
  ]) {
    const result = await belljarRun([...volumes.flatMap((one) => ["-v", one]), "--", "ls", "/d", "/d/sub"]);
    expect([result.code, result.stdout]).toEqual([0, "/d:\nsub\n\n/d/sub:\nfound\n"]);
  }
});

needs("userns")("a default action beside the rule set that names every call: said to have no effect", async () => {
  const result = await belljar(["run", "--set", "seccomp.defaultAction=kill", "--", "true"]);
  expect([result.code, result.stderr]).toEqual([0, expect.stringMatching(/^belljar: warning: seccomp\.defaultAction: has no effect.*\n$/)]);
  const strict = await belljar(["run", "-p", "strict", "--set", "seccomp.defaultAction=kill", "--", "unshare", "-n", "true"]);
  expect(strict.report).toMatchObject({ verdict: "syscall-denied", signal: "SIGSYS" });
});
