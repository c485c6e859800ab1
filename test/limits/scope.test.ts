// Scopes of the user's manager of systemd: when a run gets one, when it does without, and what happens when the manager gives none.
import { spawnSync } from "node:child_process";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect } from "vitest";
import { needs } from "../helpers/abilities.ts";
import { belljarCommand, startBelljar } from "../helpers/belljar.ts";
import { until } from "../helpers/deadline.ts";
import { chosenMechanisms, configHome, ways } from "./mechanisms.ts";

const uid = process.getuid?.() ?? -1;
const manager = `/sys/fs/cgroup/user.slice/user-${uid}.slice/user@${uid}.service`;
/** Scopes of a command's runs, as directories; a unit without processes has none. */
const scopes = (pid: number): readonly string[] =>
  readdirSync(join(manager, "app.slice")).filter((name) => name.startsWith(`belljar-run-${pid}-`));
function units(pid: number): string {
  const { status, stdout, stderr } = spawnSync(
    "systemctl",
    ["--user", "list-units", "--all", "--no-legend", "--plain", `belljar-run-${pid}-*`],
    {
      encoding: "utf8",
      env: { PATH: process.env["PATH"], XDG_RUNTIME_DIR: `/run/user/${uid}` },
    },
  );
  expect(status, stderr).toBe(0);
  return stdout;
}
const gone = (pid: number) => until(() => scopes(pid).length === 0 && units(pid) === "", { what: "the scopes to go", timeoutMs: 30_000 });
const waiting = ["run", "--", "sh", "-c", "echo started; read line"];

describe("scope", () => {
  const test = chosenMechanisms().includes("scope") ? needs("userns", ...ways.scope.needs) : needs("root");

  test("each run has one while it lasts, and no unit stays, not even a failed one", async () => {
    const runs = [0, 1].map(() =>
      startBelljar(waiting, { env: { XDG_CONFIG_HOME: configHome("scope") }, stdin: null, deadlineMs: 90_000 }),
    );
    for (const run of runs) await until(() => run.output().includes("started"), { what: "the program to start", timeoutMs: 60_000 });
    const pids = await Promise.all(runs.map((run) => run.pid));
    for (const pid of pids) expect(scopes(pid)).toHaveLength(1);
    for (const run of runs) run.stdin.end("\n");
    for (const run of runs) expect((await run.result).report).toMatchObject({ verdict: "ok", enforcement: { memory: "cgroup2" } });
    for (const pid of pids) await gone(pid);
  });

  test("within a scope that lives longer, runs do without", async () => {
    const holder = ["systemd-run", "--user", "--scope", "--quiet", "-p", "Delegate=yes", ...belljarCommand];
    const run = startBelljar(waiting, {
      env: { XDG_CONFIG_HOME: configHome("scope"), XDG_RUNTIME_DIR: `/run/user/${uid}` },
      program: holder,
      stdin: null,
      deadlineMs: 90_000,
      assertClean: false, // the runtime folder is the manager's
    });
    await until(() => run.output().includes("started"), { what: "the program to start", timeoutMs: 60_000 });
    expect(units(await run.pid)).toBe("");
    run.stdin.end("\n");
    expect((await run.result).report).toMatchObject({ verdict: "ok", enforcement: { memory: "cgroup2", processes: "cgroup2" } });
  });

  test("a manager that does not answer: refused, with the hint, and no launcher is left", async () => {
    const pids = readFileSync(join(manager, "init.scope/cgroup.procs"), "utf8").trim().split("\n").map(Number);
    const stopped = pids.filter((pid) => readFileSync(`/proc/${pid}/comm`, "utf8").trim() === "systemd");
    expect(stopped).toHaveLength(1);
    for (const pid of stopped) process.kill(pid, "SIGSTOP");
    const run = startBelljar(["run", "--", "true"], { env: { XDG_CONFIG_HOME: configHome("scope") }, deadlineMs: 60_000 });
    try {
      const { code, stderr } = await startBelljar(["run", "--", "true"], {
        env: { XDG_CONFIG_HOME: configHome("scope") },
        deadlineMs: 60_000,
      }).result;
      expect(code, stderr).toBe(125);
      expect(stderr).toMatch(
        /^belljar: making a cgroup: the user's manager of systemd: 'belljar-run-.*\.scope': says nothing for 20 s\nhint: /,
      );
    } finally {
      for (const pid of stopped) process.kill(pid, "SIGCONT");
    }
    await gone(await run.pid);
  });

  test("doctor tries one and tells", async () => {
    const doctor = startBelljar(["doctor", "--json"], { env: { XDG_CONFIG_HOME: configHome("scope") } });
    const { code, stdout, stderr } = await doctor.result;
    expect(code, stderr).toBe(0);
    const { cgroup, checks, limits } = JSON.parse(stdout);
    expect(cgroup).toMatchObject({ kind: "cgroup2", parent: join(manager, "app.slice"), scope: true });
    expect(checks).toContainEqual(expect.objectContaining({ group: "cgroups", name: "cgroup v2", status: "ok" }));
    expect(checks).not.toContainEqual(expect.objectContaining({ detail: expect.stringContaining("a run would fail") }));
    expect(limits).toMatchObject({ memory: "cgroup2", processes: "cgroup2", cpuTime: "cgroup2" });
    await gone(await doctor.pid);
  });
});
