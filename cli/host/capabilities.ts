import type { CgroupFacts, OverlayMechanism } from "../../policy/compile/types.ts";
import type { LimitName } from "../../policy/profile/types.ts";
import type { EnforcementValue } from "../../policy/verdict/report-types.ts";
import type { ProbeAnswers } from "./doctor-probe.ts";

/** What would enforce each limit of a run here, as the report of such a run would name it. */
export function limitMechanisms(facts: CgroupFacts, perfClock: boolean): Readonly<Record<LimitName, EnforcementValue>> {
  const controllers = controllersOf(facts);
  const by = (controller: string, otherwise: EnforcementValue): EnforcementValue =>
    facts.kind !== "none" && controllers.includes(controller) ? facts.kind : otherwise;
  return {
    cpuTime: facts.kind === "cgroup2" ? "cgroup2" : by("cpuacct", perfClock ? "perf" : "rlimit"),
    wallTime: "supervisor",
    memory: by("memory", "supervisor"),
    processes: by("pids", "rlimit"),
    output: "supervisor",
    disk: "tmpfs",
    inodes: "tmpfs",
    openFiles: "rlimit",
    fileSize: "rlimit",
    stack: "rlimit",
    cpus: by("cpu", "none"),
    cpuset: facts.kind === "cgroup2" ? by("cpuset", "enforced") : "enforced",
    lockedMemory: "rlimit",
    core: "rlimit",
    addressSpace: "rlimit",
  };
}

function controllersOf(facts: CgroupFacts): readonly string[] {
  if (facts.kind === "none") return [];
  return facts.kind === "cgroup2" ? facts.controllers : facts.hierarchies.flatMap((one) => one.controllers);
}

/** The overlay driver that this host can offer to images. */
export function overlayChoice(probe: ProbeAnswers, fuseOverlayfs: string | null): OverlayMechanism {
  if (probe["overlay"]?.ok === true) return "kernel";
  return probe["fuse"]?.ok === true && fuseOverlayfs !== null ? "fuse-overlayfs" : "copy";
}
