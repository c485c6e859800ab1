/** Which cgroups the launcher makes for a run, and what it writes into them. */
import type { LimitName, ResolvedLimits } from "../profile/types.ts";
import type { CgroupHierarchy, CgroupWrite } from "../wire/wire.gen.ts";
import type { CgroupFacts } from "./types.ts";

export interface CgroupPlan {
  readonly version: 1 | 2 | null;
  readonly hierarchies: readonly CgroupHierarchy[];
}

/** Controllers that a run is measured with even where it has no limit, and those that only a limit calls for. */
function wantedControllers(version: 1 | 2, limits: ResolvedLimits): readonly string[] {
  const wanted = ["memory", "pids"];
  // Version 2 counts CPU time in every cgroup (cpu.stat), without a controller.
  if (version === 1) wanted.push("cpuacct");
  if (limits.cpus !== null) wanted.push("cpu");
  // A version 1 cpuset takes no task before its memory nodes are set as well, which the facts do not tell.
  if (version === 2 && limits.cpuset !== null) wanted.push("cpuset");
  return wanted;
}

/** The scope in which a run makes its cgroup, where the user's manager of systemd makes one for each. */
export const scopeUnit = (runId: string): string => `${runId}.scope`;

interface CgroupInput {
  readonly runId: string;
  readonly facts: CgroupFacts;
  readonly limits: ResolvedLimits;
  readonly programIsCaller: boolean;
}

/**
 * Version 1 lets an ordinary user move only tasks of that same user into a cgroup (kernel/cgroup/cgroup-v1.c,
 * __cgroup1_procs_write); version 2 asks for rights on the files alone. So a program under a subordinate id gets none of version 1.
 */
export function planCgroups({ runId, facts, limits, programIsCaller }: CgroupInput): CgroupPlan {
  if (facts.kind === "none" || (facts.kind === "cgroup1" && !programIsCaller)) return { version: null, hierarchies: [] };
  if (facts.kind === "cgroup2") {
    const wanted = wantedControllers(2, limits);
    const controllers = wanted.filter((name) => facts.controllers.includes(name));
    const parent = facts.scope === true ? `${facts.parent}/${scopeUnit(runId)}` : facts.parent;
    return { version: 2, hierarchies: [{ version: 2, parent, controllers: controllers.join(" ") }] };
  }
  const wanted = wantedControllers(1, limits);
  const used = facts.hierarchies.filter(({ controllers }) => controllers.some((name) => wanted.includes(name)));
  const hierarchies = used.map(({ parent, controllers }) => ({ version: 1, parent, controllers: controllers.join(" ") }));
  return hierarchies.length === 0 ? { version: null, hierarchies } : { version: 1, hierarchies };
}

/** The hierarchy that has a controller, or -1. */
export function hierarchyOf({ hierarchies }: CgroupPlan, controller: string): number {
  return hierarchies.findIndex(({ controllers }) => controllers.split(" ").includes(controller));
}

interface WriteInput {
  readonly cgroups: CgroupPlan;
  readonly limits: ResolvedLimits;
  readonly pageSize: number;
}

/** The kernel refuses more than PID_MAX_LIMIT in pids.max. */
const maxPids = 4_194_304;
const cpuPeriodUs = 100_000;
const minQuotaUs = 1000;

/** The memory limit as the kernel keeps it: whole pages; at least one, because 0 is "no limit" on the wire. */
export function wholePages(bytes: number, pageSize: number): number {
  return Math.max(pageSize, bytes - (bytes % pageSize));
}

/** Writes in the order in which they must happen, each value as the kernel reads it back, for the launcher compares. */
export function cgroupWrites({ cgroups, limits, pageSize }: WriteInput): readonly CgroupWrite[] {
  const writes: CgroupWrite[] = [];
  const add = (controller: string, limit: LimitName, files: readonly (readonly [file: string, value: string, optional?: "optional"])[]) => {
    const hierarchy = hierarchyOf(cgroups, controller);
    if (hierarchy < 0) return;
    for (const [file, value, optional] of files) writes.push({ hierarchy, file, value, limit, optional: optional === "optional" });
  };
  const two = cgroups.version === 2;
  if (limits.memory !== null) {
    const bytes = String(wholePages(limits.memory, pageSize));
    // Swap files are missing where the kernel does not account swap; there is then nothing more to limit.
    const version2 = [["memory.max", bytes] as const, ["memory.swap.max", "0", "optional"] as const, ["memory.oom.group", "1"] as const];
    const version1 = [
      ["memory.limit_in_bytes", bytes] as const,
      // Never below the limit itself, so it comes second.
      ["memory.memsw.limit_in_bytes", bytes, "optional"] as const,
      // What waits in TCP and UDP sockets, of the loopback too, is in no other figure of version 1, and without a limit is not even charged.
      ["memory.kmem.tcp.limit_in_bytes", bytes, "optional"] as const,
    ];
    add("memory", "memory", two ? version2 : version1);
  }
  if (limits.processes !== null) add("pids", "processes", [["pids.max", String(Math.min(limits.processes, maxPids))]]);
  if (limits.cpus !== null) {
    const quotaUs = String(Math.max(minQuotaUs, Math.round(limits.cpus * cpuPeriodUs)));
    const version1 = [["cpu.cfs_period_us", String(cpuPeriodUs)] as const, ["cpu.cfs_quota_us", quotaUs] as const];
    add("cpu", "cpus", two ? [["cpu.max", `${quotaUs} ${cpuPeriodUs}`]] : version1);
  }
  if (limits.cpuset !== null && two) add("cpuset", "cpuset", [["cpuset.cpus", limits.cpuset]]);
  return writes;
}
