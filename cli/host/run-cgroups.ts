import { existsSync, readdirSync, readFileSync, rmdirSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { callerCgroup } from "./cgroup-delegation.ts";
import type { HostFiles } from "./host-files.ts";
import { parseMountInfo } from "./mountinfo.ts";
import { processInfo } from "./process-info.ts";

/** `belljar-run-<pid>-…`: the process (launcher or command) that made the cgroup and is to remove it. */
const runName = /^belljar-run-(\d+)-/;
const maxDepth = 16;

/** A run whose task has not been attached yet has an empty cgroup too, but not for so long. */
const forgottenAfterMs = 10 * 60_000;

export interface RunCgroup {
  readonly path: string;
  /** null for the cgroup that callers move into. */
  readonly pid: number | null;
}

/** Directories in a cgroup file system; files are left out, since there are dozens in each. */
function directories(path: string): readonly string[] {
  try {
    return readdirSync(path, { withFileTypes: true }).flatMap((entry) => (entry.isDirectory() ? [entry.name] : []));
  } catch {
    return [];
  }
}

/** Every run's cgroup of this user's, wherever it lies: another session may have had another place for it. */
export function findRunCgroups(files: HostFiles, uid: number): readonly RunCgroup[] {
  const found: RunCgroup[] = [];
  const visit = (dir: string, depth: number): void => {
    if (depth > maxDepth) return;
    for (const name of directories(dir)) {
      const path = join(dir, name);
      const pid = runName.exec(name)?.[1];
      if (pid === undefined && name !== callerCgroup) visit(path, depth + 1);
      else if (statSync(path, { throwIfNoEntry: false })?.uid === uid) found.push({ path, pid: pid === undefined ? null : Number(pid) });
    }
  };
  const mounts = parseMountInfo(files.text("/proc/self/mountinfo") ?? "");
  const roots = new Set(mounts.flatMap((mount) => (mount.fsType === "cgroup2" || mount.fsType === "cgroup" ? [mount.path] : [])));
  for (const root of roots) visit(root, 0);
  return found;
}

/** Processes in a cgroup and in those beneath it; 0 stands for one that our pid namespace does not show. */
export function processesIn(path: string): readonly number[] {
  let own: readonly number[] = [];
  try {
    own = readFileSync(join(path, "cgroup.procs"), "utf8")
      .split("\n")
      .filter((line) => line !== "")
      .map(Number);
  } catch {
    // gone meanwhile
  }
  return [...own, ...directories(path).flatMap((name) => processesIn(join(path, name)))];
}

/** Why nobody will remove a cgroup any more, or null while somebody may. */
export function whyStale({ path, pid }: RunCgroup, uid: number, nowMs: number): string | null {
  const members = processesIn(path);
  if (pid === null) return members.length === 0 ? "empty" : null;
  if (members.includes(0)) return null; // seen from another pid namespace: the number in its name is not of ours either
  const owner = processInfo(pid);
  if (owner === null) return `process ${pid} is gone`;
  if (owner.uid !== uid) return `process ${pid} is another user's now`;
  const madeMs = statSync(path, { throwIfNoEntry: false })?.mtimeMs;
  const forgotten = members.length === 0 && owner.comm !== "belljar-launch" && madeMs !== undefined && nowMs - madeMs > forgottenAfterMs;
  return forgotten ? `empty although process ${pid} lives` : null;
}

const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

function killMembers(path: string): number {
  const members = processesIn(path);
  if (members.length > 0 && existsSync(join(path, "cgroup.kill"))) writeFileSync(join(path, "cgroup.kill"), "1");
  else
    for (const pid of members) {
      try {
        if (pid > 0) process.kill(pid, "SIGKILL");
      } catch {
        // gone meanwhile, or the attempt below says that it is not ours to kill
      }
    }
  return members.length;
}

function removeTree(path: string): void {
  for (const name of directories(path)) removeTree(join(path, name));
  rmdirSync(path);
}

export interface RemovedCgroup {
  readonly path: string;
  readonly killed: number;
  /** null when it is gone. */
  readonly error: string | null;
}

/** Kills what still runs in a run's cgroup and removes it with what lies beneath. A dying process leaves a moment after its death. */
export async function removeRunCgroup(path: string, patienceMs = 2000): Promise<RemovedCgroup> {
  const endMs = performance.now() + patienceMs;
  const seen = { killed: 0 };
  for (;;) {
    try {
      seen.killed = Math.max(seen.killed, killMembers(path));
      removeTree(path);
      return { path, killed: seen.killed, error: null };
    } catch (error) {
      const { code = "EIO" } = error as NodeJS.ErrnoException;
      if (code === "ENOENT") return { path, killed: seen.killed, error: null };
      if (code !== "EBUSY" || performance.now() > endMs) return { path, killed: seen.killed, error: code };
    }
    await pause(5);
  }
}

/** What a launcher that was killed could not remove: the cgroup of its run in each parent of the plan. Returns those that stay. */
export async function removeLeftCgroups(parents: readonly string[], runId: string): Promise<readonly RemovedCgroup[]> {
  const paths = parents.map((parent) => join(parent, runId)).filter((path) => existsSync(path));
  return (await Promise.all(paths.map((path) => removeRunCgroup(path)))).filter((one) => one.error !== null);
}
