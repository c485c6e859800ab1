import type { CgroupFacts } from "../../policy/compile/types.ts";
import type { CgroupRefusal } from "./cgroup-v2.ts";
import type { HostFiles } from "./host-files.ts";
import { type Mount, pathThroughMount } from "./mountinfo.ts";

export type Cgroup1Hierarchy = Extract<CgroupFacts, { readonly kind: "cgroup1" }>["hierarchies"][number];

export interface Cgroup1Survey {
  readonly hierarchies: readonly Cgroup1Hierarchy[];
  readonly refusals: readonly CgroupRefusal[];
}

/** What a run limits or measures with; v1 cpusets and freezers are of no use to it, and each hierarchy costs time. */
const wanted = ["memory", "pids", "cpu", "cpuacct"];

/** A child of a v1 cpuset has no CPU and no memory node, and takes no process, unless it copies its parent's. */
function cpusetIsUsable(files: HostFiles, dir: string): boolean {
  const filled = (file: string): boolean => (files.text(`${dir}/${file}`)?.trim() ?? "") !== "";
  return files.text(`${dir}/cgroup.clone_children`)?.trim() === "1" && filled("cpuset.cpus") && filled("cpuset.mems");
}

/**
 * Each hierarchy once, whatever is mounted together in it: the own cgroup where a directory can be made in it, else
 * the folder `belljar-<uid>` at the top, which an administrator makes and gives away. A v1 task is moved by its own
 * user wherever that user may write cgroup.procs; no common ancestor is asked for (kernel/cgroup/cgroup-v1.c).
 */
export function surveyCgroup1(
  files: HostFiles,
  where: {
    readonly mounts: readonly Mount[];
    /** Controller -> path of the own cgroup in its hierarchy. */
    readonly ownPaths: ReadonlyMap<string, string>;
    readonly uid: number;
    readonly configured?: Readonly<Record<string, string>> | undefined;
  },
): Cgroup1Survey {
  const hierarchies: Cgroup1Hierarchy[] = [];
  const refusals: CgroupRefusal[] = [];
  const seen = new Set<string>();
  for (const mount of where.mounts) {
    if (mount.fsType !== "cgroup") continue;
    const controllers = wanted.filter((name) => mount.superOptions.includes(name));
    const [first] = controllers;
    if (first === undefined || seen.has(first)) continue;
    for (const name of controllers) seen.add(name);
    const ownDir = pathThroughMount(mount, where.ownPaths.get(first) ?? "/..");
    const folder = `${mount.path}/belljar-${where.uid}`;
    const configured = controllers.map((name) => where.configured?.[name]).find((path) => path !== undefined);
    const places = configured === undefined ? [...(ownDir === null ? [] : [ownDir]), folder] : [configured];
    const parent = places.find((dir) => files.writeRefusal(dir) === null && files.writeRefusal(`${dir}/cgroup.procs`) === null);
    const refuse = (path: string, reason: string, remedy: CgroupRefusal["remedy"]) =>
      refusals.push({ version: 1, controllers, path, reason, remedy });
    if (parent === undefined) {
      if (mount.readOnly) refuse(mount.path, "the cgroup file system is mounted read-only", "cgroup-read-only");
      else if (configured !== undefined) refuse(configured, "this user cannot write it", "cgroup-config");
      else refuse(folder, files.stat(folder) === null ? "does not exist" : "this user cannot write it", "cgroup1-folder");
      continue;
    }
    // Mounted together with another controller: a process cannot enter a cpuset without CPUs, so the whole hierarchy is out.
    if (mount.superOptions.includes("cpuset") && !cpusetIsUsable(files, parent)) {
      refuse(parent, "its children would have no CPU (cgroup.clone_children is not 1, or it has none itself)", "cgroup1-cpuset");
      continue;
    }
    const swap = controllers.includes("memory") && files.lstat(`${parent}/memory.memsw.limit_in_bytes`) !== null;
    hierarchies.push({ parent, controllers, swap });
  }
  return { hierarchies, refusals };
}
