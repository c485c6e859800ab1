// What others do to a run's cgroups while it runs, and what stays of a run that is killed itself: under every mechanism that makes cgroups.
import { readdirSync, readFileSync, rmdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, onTestFinished } from "vitest";
import { hostFiles } from "../../cli/host/host-files.ts";
import { findRunCgroups, processesIn, removeRunCgroup } from "../../cli/host/run-cgroups.ts";
import { needs } from "../helpers/abilities.ts";
import { type BelljarHandle, belljarCommand, startBelljar } from "../helpers/belljar.ts";
import { until } from "../helpers/deadline.ts";
import { chosenMechanisms, configHome, type Mechanism, ways } from "./mechanisms.ts";

const uid = process.getuid?.() ?? -1;
const waiting = ["--", "sh", "-c", "echo started; exec sleep 60"];

/** A scope is gone a moment after the run; within it lies the cgroup that the launcher makes. */
const cgroupsOfRun = (pid: number): readonly string[] =>
  findRunCgroups(hostFiles(), uid).flatMap((one) => (one.pid === pid ? [one.path] : []));

function directoriesIn(path: string): readonly string[] {
  return readdirSync(path, { withFileTypes: true }).flatMap((entry) =>
    entry.isDirectory() ? [...directoriesIn(join(path, entry.name)), join(path, entry.name)] : [],
  );
}

const start = (mechanism: Mechanism, args: readonly string[], program?: readonly string[]): BelljarHandle =>
  startBelljar(args, {
    env: { XDG_CONFIG_HOME: configHome(mechanism) },
    deadlineMs: 60_000,
    graceMs: 10_000,
    ...(program === undefined ? {} : { program }),
  });

const started = (run: BelljarHandle) => until(() => run.output().includes("started"), { what: "the program to start", timeoutMs: 50_000 });
const gone = (pid: number) => until(() => cgroupsOfRun(pid).length === 0, { what: "the run's cgroups to go", timeoutMs: 20_000 });

/** Where processes of the run may be put by their user: beside it. */
const placeBeside = (path: string, mechanism: Mechanism): string => {
  if (mechanism === "cgroup1") return join(path, "..");
  const own = /^0::(.*)$/m.exec(readFileSync("/proc/self/cgroup", "utf8"))?.[1] ?? "";
  return mechanism === "scope" ? join(path, "belljar-caller") : join("/sys/fs/cgroup", own);
};

/** Takes everything out of the program's own cgroup and removes that. */
function takeAway(path: string, mechanism: Mechanism): void {
  const mine = mechanism === "cgroup1" ? path : directoriesIn(path).find((dir) => dir.endsWith("/exec-1"));
  if (mine === undefined) throw new Error(`no exec-1 in ${path}`);
  for (const pid of processesIn(mine)) writeFileSync(join(placeBeside(path, mechanism), "cgroup.procs"), String(pid));
  rmdirSync(mine);
}

const withCgroups = chosenMechanisms().filter((mechanism) => mechanism !== "none");
for (const mechanism of withCgroups)
  describe(`${mechanism}`, () => {
    const test = needs("userns", ...ways[mechanism].needs);

    test("a cgroup that is taken away: sandbox-error, and the program is killed", async () => {
      const run = start(mechanism, ["run", "--wall-time", "50s", ...waiting]);
      const pid = await run.pid;
      await started(run);
      const [path = ""] = cgroupsOfRun(pid);
      takeAway(path, mechanism);
      const { code, report } = await run.result;
      expect(report, JSON.stringify(report)).toMatchObject({ verdict: "sandbox-error", exitCode: null });
      expect(report?.error?.message).toMatch(/step supervise \(parent\) failed: the run's cgroup was removed .*: '\/.*cgroup\.procs': /);
      expect(code).toBe(125);
      await gone(pid);
    }, 90_000);

    test("a cgroup file system that becomes read-only: the same, and gc removes what could not be removed", async () => {
      const script =
        `"$@" --wall-time 50s ${waiting.slice(0, 3).join(" ")} 'echo started $PPID; exec sleep 60' >started & run=$!; ` +
        "until grep -q started started; do :; done; " +
        `for m in $(awk '$3 ~ /^cgroup2?$/ { print $2 }' /proc/self/mounts); do mount -o remount,bind,ro "$m" || exit 3; done; ` +
        "echo $run; wait $run; echo $?";
      const run = start(mechanism, ["run"], ["unshare", "-Urm", "sh", "-c", script, "sh", ...belljarCommand]);
      const { stdout, stderr, report } = await run.result;
      const [pid = "", status] = stdout.split("\n");
      onTestFinished(async () => {
        for (const path of cgroupsOfRun(Number(pid))) await removeRunCgroup(path);
      });
      expect([status, report?.verdict], stderr).toEqual(["125", "sandbox-error"]);
      expect(stderr).toMatch(/the run's cgroup was removed or can no longer be written: '\/.*': EROFS/);
      const left = cgroupsOfRun(Number(pid));
      expect(left.flatMap(processesIn)).toEqual([]);
      if (mechanism === "scope") await gone(Number(pid));
      else expect(report?.message).toMatch(/could not be removed \('belljar gc' removes what is left\)/);
      const gc = await start(mechanism, ["gc"]).result;
      expect(gc.code, gc.stdout).toBe(0);
      expect(cgroupsOfRun(Number(pid))).toEqual([]);
    }, 90_000);

    for (const signal of ["SIGTERM", "SIGKILL"] as const)
      test(`nothing stays of a run whose command gets ${signal}`, async () => {
        const run = start(mechanism, ["run", "--wall-time", "50s", ...waiting]);
        const pid = await run.pid;
        await started(run);
        expect(cgroupsOfRun(pid)).not.toEqual([]);
        process.kill(pid, signal);
        await run.result;
        await gone(pid);
      }, 90_000);

    test("nothing stays of a run whose launcher is killed", async () => {
      const run = start(mechanism, ["run", "--wall-time", "50s", ...waiting]);
      const pid = await run.pid;
      await started(run);
      const launcher = readdirSync(`/proc/${pid}/task`)
        .flatMap((thread) => readFileSync(`/proc/${pid}/task/${thread}/children`, "utf8").trim().split(" "))
        .find((child) => child !== "");
      process.kill(Number(launcher), "SIGKILL");
      const { report } = await run.result;
      expect(report).toMatchObject({ verdict: "sandbox-error", error: { code: "launcher-failed" } });
      await gone(pid);
    }, 90_000);
  });
