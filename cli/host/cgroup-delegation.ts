import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import type { CgroupFacts } from "../../policy/compile/types.ts";
import { surveyCgroup1 } from "./cgroup-v1.ts";
import { type Cgroup2Place, type CgroupRefusal, refuseFor, surveyCgroup2, worthOf } from "./cgroup-v2.ts";
import type { Config } from "./config.ts";
import type { HostFiles } from "./host-files.ts";
import { type Mount, parseMountInfo } from "./mountinfo.ts";
import { findUserManager } from "./user-manager.ts";

/** The cgroup that this process moves into when it has to leave the one in which runs are made. */
export const callerCgroup = "belljar-caller";

/** The slice of a user's manager of systemd in which it makes scopes for runs: the one that is meant for programs. */
export const scopeSlice = "app.slice";

export interface CgroupSurvey {
  /** What a run would find, with everything done that `prepareCgroup` does. */
  readonly facts: CgroupFacts;
  /** The v2 place behind the facts, else null. */
  readonly place: Cgroup2Place | null;
  readonly refusals: readonly CgroupRefusal[];
}

/** Own cgroups by controller; "" is v2. Lines of /proc/self/cgroup are ID:CONTROLLERS:PATH, and a path may hold colons. */
export function parseOwnCgroups(text: string): ReadonlyMap<string, string> {
  const found = new Map<string, string>();
  for (const line of text.split("\n")) {
    const match = /^\d+:([^:]*):(\/.*)$/.exec(line);
    if (match === null) continue;
    for (const controller of (match[1] ?? "").split(",")) found.set(controller, (match[2] ?? "/").replace(/ \(deleted\)$/, ""));
  }
  return found;
}

const describe = (refusal: CgroupRefusal): string => {
  const path = refusal.path === null ? "" : `'${refusal.path}' `;
  return `cgroup v${refusal.version}: ${path}${refusal.reason}`;
};

/** One sentence that says why a limit is not enforced by a cgroup. */
function noneBecause(refusals: readonly CgroupRefusal[]): CgroupFacts {
  const memory = refusals.filter((one) => one.controllers.includes("memory"));
  const reasons = (memory.length > 0 ? memory : refusals).map(describe);
  return { kind: "none", reason: reasons.length > 0 ? reasons.join("; ") : "this host mounts no cgroup file system" };
}

export interface CgroupSurveyOptions {
  readonly files: HostFiles;
  readonly uid: number;
  readonly pid: number;
  readonly config?: Config["cgroup"] | undefined;
  /** Controllers that are worth enabling (v2). */
  readonly wanted?: readonly string[];
}

/**
 * What a scope of its own would give each run. From a login on a server there is nothing else: the session's cgroup is root's, and only the
 * manager can have a process moved out of it.
 */
function surveyScopes(
  files: HostFiles,
  { mounts, uid, wanted }: { readonly mounts: readonly Mount[]; readonly uid: number; readonly wanted: readonly string[] },
): (Pick<CgroupSurvey, "refusals"> & { readonly facts: Extract<CgroupFacts, { readonly kind: "cgroup2" }> }) | null {
  const manager = findUserManager(files, { mounts, uid });
  if (manager === null) return null;
  const controllers = wanted.filter((name) => manager.controllers.includes(name));
  const missing = wanted.filter((name) => !controllers.includes(name));
  const why = refuseFor(missing)(manager.dir, `was not given ${missing.join(", ")} from above`, "cgroup2-controllers");
  return {
    facts: { kind: "cgroup2", parent: `${manager.dir}/${scopeSlice}`, controllers, scope: true },
    refusals: missing.length === 0 ? [] : [why],
  };
}

const allControllers = ["memory", "pids", "cpu", "cpuset"];

/**
 * Where a per-run cgroup may be made for this very process. Reads only; nothing is moved or enabled.
 * v2 where it has the memory controller (by a scope for each run only where that gives more), else v1 where any hierarchy is ours, else v2 for what it does give (counting CPU
 * time, killing), else none with the reason.
 */
export function surveyCgroups({ files, uid, pid, config = {}, wanted = allControllers }: CgroupSurveyOptions): CgroupSurvey {
  const use = config.use ?? "auto";
  if (use === "none") return { facts: { kind: "none", reason: "the configuration turns cgroups off" }, place: null, refusals: [] };
  const mounts = parseMountInfo(files.text("/proc/self/mountinfo") ?? "");
  const own = parseOwnCgroups(files.text("/proc/self/cgroup") ?? "");
  const second =
    use === "cgroup1"
      ? { place: null, refusals: [] }
      : surveyCgroup2(files, { mounts, ownPath: own.get("") ?? null, pid, wanted, configured: config.parent });
  const ofPlace = ({ parent, enabled, toEnable }: Cgroup2Place): CgroupFacts => ({
    kind: "cgroup2",
    parent,
    controllers: [...enabled, ...toEnable],
  });
  const { place } = second;
  const given = place === null ? [] : [...place.enabled, ...place.toEnable];
  const scopes = use === "cgroup1" || config.parent !== undefined ? null : surveyScopes(files, { mounts, uid, wanted });
  if (scopes?.facts.controllers.includes("memory") && worthOf(scopes.facts.controllers) > worthOf(given)) return { ...scopes, place: null };
  if (place !== null && given.includes("memory")) {
    return { facts: ofPlace(place), place, refusals: second.refusals };
  }
  const first =
    use === "cgroup2"
      ? { hierarchies: [], refusals: [] }
      : surveyCgroup1(files, { mounts, ownPaths: own, uid, configured: config.parents });
  if (first.hierarchies.length > 0)
    return { facts: { kind: "cgroup1", hierarchies: first.hierarchies }, place: null, refusals: first.refusals };
  // In a hybrid layout v1 has the controllers, and nothing could be done about v2.
  const hybrid =
    use === "auto" && config.parent === undefined && mounts.some((one) => one.fsType === "cgroup" && one.superOptions.includes("memory"));
  // A manager that could make scopes is nearer to a cgroup than a session that is root's.
  const above = place === null && scopes !== null ? scopes.refusals : second.refusals;
  const refusals = [...(hybrid ? [] : above), ...first.refusals];
  if (place !== null) return { facts: ofPlace(place), place, refusals };
  return { facts: noneBecause(refusals), place: null, refusals };
}

/**
 * Does what the surveyed place needs: moves this process out of the parent, enables the missing controllers one by one, and
 * says what the kernel shows afterwards. A refusal on the way means fewer controllers, never a failure here.
 */
export function prepareCgroup(survey: CgroupSurvey, pid: number = process.pid): CgroupFacts {
  const { facts, place } = survey;
  if (place === null || place.toEnable.length === 0 || facts.kind !== "cgroup2") return facts;
  try {
    if (place.moveSelf) {
      makeCallerCgroup(`${place.parent}/${callerCgroup}`);
      writeFileSync(`${place.parent}/${callerCgroup}/cgroup.procs`, String(pid));
    }
    for (const name of place.toEnable) enable(place.parent, name);
    const shown = readFileSync(`${place.parent}/cgroup.subtree_control`, "utf8").trim().split(/\s+/);
    return { ...facts, controllers: facts.controllers.filter((name) => shown.includes(name)) };
  } catch {
    return { ...facts, controllers: place.enabled };
  }
}

/** An earlier run may have made it. */
function makeCallerCgroup(path: string): void {
  try {
    mkdirSync(path);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "EEXIST") throw error;
  }
}

function enable(parent: string, controller: string): void {
  try {
    writeFileSync(`${parent}/cgroup.subtree_control`, `+${controller}`);
  } catch {
    // read back below: what is not shown is not reported
  }
}
