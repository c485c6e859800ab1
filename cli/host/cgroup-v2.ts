import { dirname } from "node:path";
import type { HostFiles } from "./host-files.ts";
import { type Mount, pathThroughMount } from "./mountinfo.ts";

/** Why a place cannot be used; `remedy` names an entry of the table of remedies. */
export interface CgroupRefusal {
  readonly version: 1 | 2;
  /** What is missed by it, for v1 the controllers of the hierarchy. */
  readonly controllers: readonly string[];
  readonly path: string | null;
  readonly reason: string;
  readonly remedy:
    | "cgroup-absent"
    | "cgroup-read-only"
    | "cgroup1-folder"
    | "cgroup1-cpuset"
    | "cgroup2-delegation"
    | "cgroup2-processes"
    | "cgroup2-controllers"
    | "cgroup-config";
}

export interface Cgroup2Place {
  /** Directory in which a run's cgroup can be made and into which this process's children can be moved. */
  readonly parent: string;
  /** Controllers that children of the parent have now. */
  readonly enabled: readonly string[];
  /** Those that must still be enabled for them, and can be. */
  readonly toEnable: readonly string[];
  /** This process has to leave the parent first: it stands in it, alone. */
  readonly moveSelf: boolean;
}

export interface Cgroup2Survey {
  readonly place: Cgroup2Place | null;
  readonly refusals: readonly CgroupRefusal[];
}

const worth: Readonly<Record<string, number>> = { memory: 8, pids: 4, cpu: 2, cpuset: 1 };

const words = (text: string | null): readonly string[] => (text ?? "").split(/\s+/).filter((word) => word !== "");
/** Of two places the one whose controllers are worth more is taken. */
export const worthOf = (controllers: readonly string[]): number => controllers.reduce((sum, name) => sum + (worth[name] ?? 0), 0);

type Candidate = Cgroup2Place | CgroupRefusal;

export interface Cgroup2Where {
  readonly mounts: readonly Mount[];
  /** Path of the own cgroup as /proc/self/cgroup has it; null when there is none. */
  readonly ownPath: string | null;
  readonly pid: number;
  /** Controllers that the run needs; none else is enabled, since each costs the whole subtree. */
  readonly wanted: readonly string[];
  /** The one directory to use, whatever lies nearer; it must be on the way up, or the kernel refuses to move there. */
  readonly configured?: string | undefined;
}

type Refuse = (path: string | null, reason: string, remedy: CgroupRefusal["remedy"], controllers?: readonly string[]) => CgroupRefusal;
export const refuseFor =
  (wanted: readonly string[]): Refuse =>
  (path, reason, remedy, controllers = wanted) => ({ version: 2, controllers, path, reason, remedy });

/**
 * The kernel's rules (Documentation/admin-guide/cgroup-v2.rst): a directory is made by whoever may write the parent; a process is
 * moved by whoever may write cgroup.procs of the target and of the common ancestor of both; controllers are enabled only
 * in a cgroup without processes of its own, the root excepted.
 */
function examine(
  files: HostFiles,
  dir: string,
  own: { readonly dir: string; readonly pid: number; readonly wanted: readonly string[] },
): Candidate {
  const refusal = refuseFor(own.wanted);
  for (const path of [dir, `${dir}/cgroup.procs`, `${dir}/cgroup.subtree_control`]) {
    const code = files.writeRefusal(path);
    if (code === "EROFS") return refusal(dir, "the cgroup file system is mounted read-only", "cgroup-read-only");
    if (code !== null) return refusal(dir, "is not delegated to this user", "cgroup2-delegation");
  }
  const type = files.text(`${dir}/cgroup.type`)?.trim() ?? "root"; // the root has no such file
  if (type !== "root" && type !== "domain")
    return refusal(dir, `is of type '${type}', which cannot hold whole processes`, "cgroup2-delegation");
  const enabled = words(files.text(`${dir}/cgroup.subtree_control`)).filter((name) => name in worth);
  const available = words(files.text(`${dir}/cgroup.controllers`));
  const missing = own.wanted.filter((name) => available.includes(name) && !enabled.includes(name));
  const processes = words(files.text(`${dir}/cgroup.procs`));
  // Slices belong to systemd, their single writer: a cgroup in one does no harm, other controllers would.
  const mayEnable = !dir.endsWith(".slice");
  const alone = dir === own.dir && processes.length === 1 && processes[0] === String(own.pid);
  const free = type === "root" || processes.length === 0;
  const toEnable = mayEnable && (free || alone) ? missing : [];
  return { parent: dir, enabled, toEnable, moveSelf: toEnable.length > 0 && !free };
}

const isPlace = (candidate: Candidate): candidate is Cgroup2Place => "parent" in candidate;

/** What is short of a place: controllers that its children will not have, with the cause. */
function shortcomings(files: HostFiles, place: Cgroup2Place, wanted: readonly string[]): readonly CgroupRefusal[] {
  const refusal = refuseFor(wanted);
  const missing = wanted.filter((name) => !place.enabled.includes(name) && !place.toEnable.includes(name));
  if (missing.length === 0) return [];
  const available = words(files.text(`${place.parent}/cgroup.controllers`));
  const blocked = missing.filter((name) => available.includes(name));
  const absent = missing.filter((name) => !available.includes(name));
  const why = place.parent.endsWith(".slice") ? "is a slice of systemd's" : "holds processes";
  const found: CgroupRefusal[] = [];
  if (blocked.length > 0)
    found.push(refusal(place.parent, `${why}, so ${blocked.join(", ")} cannot be enabled for its children`, "cgroup2-processes", blocked));
  if (absent.length > 0) found.push(refusal(place.parent, `was not given ${absent.join(", ")} from above`, "cgroup2-controllers", absent));
  return found;
}

/**
 * What it gives counts first. Of equals, a slice is the last choice: its only writer should be systemd, and the limits of the scope
 * or service below it are meant for us. Leaving the own cgroup is next to last: nothing can be put there afterwards.
 */
const rank = ({ parent, enabled, toEnable, moveSelf }: Cgroup2Place): number =>
  4 * worthOf([...enabled, ...toEnable]) + (parent.endsWith(".slice") ? 0 : 2) + (moveSelf ? 0 : 1);

/** Looks from the cgroup of this process upwards for the nearest directory that serves best. Reads only. */
export function surveyCgroup2(files: HostFiles, { mounts, ownPath, pid, wanted, configured }: Cgroup2Where): Cgroup2Survey {
  const refusal = refuseFor(wanted);
  const none = (why: CgroupRefusal): Cgroup2Survey => ({ place: null, refusals: [why] });
  const mount = mounts.findLast((one) => one.fsType === "cgroup2");
  if (mount === undefined || ownPath === null) return none(refusal(null, "none is mounted here", "cgroup-absent"));
  const ownDir = pathThroughMount(mount, ownPath);
  if (ownDir === null) return none(refusal(mount.path, "does not show the cgroup of this process", "cgroup2-delegation"));
  const ancestors: string[] = [];
  for (let dir = ownDir; ; dir = dirname(dir)) {
    ancestors.push(dir);
    if (dir === mount.path || dir === "/") break;
  }
  if (configured !== undefined && !ancestors.includes(configured)) {
    return none(refusal(configured, `does not contain this process, which is in '${ownDir}'`, "cgroup-config"));
  }
  const candidates = (configured === undefined ? ancestors : [configured]).map((dir) => examine(files, dir, { dir: ownDir, pid, wanted }));
  let best: Cgroup2Place | null = null;
  for (const candidate of candidates) if (isPlace(candidate) && (best === null || rank(candidate) > rank(best))) best = candidate;
  if (best !== null) return { place: best, refusals: shortcomings(files, best, wanted) };
  const [nearest] = candidates;
  return { place: null, refusals: nearest === undefined || isPlace(nearest) ? [] : [nearest] };
}
