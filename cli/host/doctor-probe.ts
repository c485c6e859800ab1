import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { CgroupFacts } from "../../policy/compile/types.ts";
import { removeRunCgroup } from "./run-cgroups.ts";

/** What the launcher found by trying. A name that it does not know is absent. */
export interface ProbeAnswer {
  readonly ok: boolean;
  readonly errno: number;
  readonly value?: number;
}
export type ProbeAnswers = Readonly<Record<string, ProbeAnswer>>;

export type ProbeResult = { readonly answers: ProbeAnswers } | { readonly failure: string };

/** Reads what `belljar-launch probe` printed; null for anything else than an object of answers. */
export function parseProbe(text: string): ProbeAnswers | null {
  try {
    const value: unknown = JSON.parse(text);
    if (typeof value !== "object" || value === null) return null;
    const known = Object.entries(value).filter(([, answer]) => typeof answer?.ok === "boolean" && typeof answer?.errno === "number");
    return known.length === 0 ? null : Object.fromEntries(known);
  } catch {
    return null;
  }
}

/** Runs the launcher's probes, each of which tries the thing itself in a child of its own. */
export function probeByLauncher(launcher: string): ProbeResult {
  if (!existsSync(launcher)) return { failure: "does not exist" };
  const { status, stdout, error, signal } = spawnSync(launcher, ["probe"], { encoding: "utf8", timeout: 20_000, env: {}, cwd: "/" });
  if (error !== undefined) return { failure: error.message };
  const answers = parseProbe(stdout);
  if (answers === null) return { failure: `answered nothing that can be read (${signal ?? `exit status ${status}`})` };
  return { answers };
}

const limitFiles: Readonly<Record<string, string>> = { memory: "memory.max", pids: "pids.max", cpu: "cpu.max" };
const limitFiles1: Readonly<Record<string, string>> = { memory: "memory.limit_in_bytes", pids: "pids.max", cpu: "cpu.cfs_quota_us" };
const testLimits: Readonly<Record<string, string>> = { memory: "67108864", pids: "16", cpu: "50000 100000" };

/** Makes a cgroup as a run does, writes limits and reads them back, moves a process in, removes it. Returns what failed. */
async function tryOne(parent: string, controllers: readonly string[], version: 1 | 2): Promise<string | null> {
  const path = join(parent, `belljar-run-${process.pid}-doctor`);
  try {
    mkdirSync(path);
    for (const name of controllers) {
      const file = (version === 2 ? limitFiles : limitFiles1)[name];
      if (file === undefined) continue;
      const value = version === 1 && name === "cpu" ? "50000" : (testLimits[name] ?? "");
      writeFileSync(join(path, file), value);
      const shown = readFileSync(join(path, file), "utf8").trim();
      if (shown !== value) return `${join(path, file)}: wrote ${value}, reads ${shown}`;
    }
    const child = spawn("/bin/cat", [], { stdio: ["pipe", "ignore", "ignore"], env: {} });
    const ended = once(child, "close");
    try {
      await once(child, "spawn");
      writeFileSync(join(path, "cgroup.procs"), String(child.pid));
    } finally {
      child.stdin.end();
      await ended;
    }
    return null;
  } catch (error) {
    return (error as Error).message;
  } finally {
    await removeRunCgroup(path);
  }
}

/** Tries what the facts promise; a run would fail on whatever this returns. */
export async function tryCgroups(facts: CgroupFacts): Promise<readonly string[]> {
  if (facts.kind === "none") return [];
  const places =
    facts.kind === "cgroup2"
      ? [{ parent: facts.parent, controllers: facts.controllers, version: 2 as const }]
      : facts.hierarchies.map((one) => ({ ...one, version: 1 as const }));
  const results = await Promise.all(places.map(({ parent, controllers, version }) => tryOne(parent, controllers, version)));
  return results.flatMap((result) => (result === null ? [] : [result]));
}
