/** Which mechanism holds each limit on this host, and whether that is good enough for the limits that a profile requires. */
import { BelljarError } from "../errors.ts";
import { type LimitName, limitNames, type ResolvedPolicy } from "../profile/types.ts";
import { cpusOfList } from "../units.ts";
import { enums, type Mechanism } from "../wire/wire.gen.ts";
import { type CgroupPlan, hierarchyOf } from "./cgroup.ts";
import type { CompileWarning, HostFacts } from "./types.ts";

export type Mechanisms = Readonly<Record<LimitName, Mechanism>>;

interface LimitInput {
  readonly policy: ResolvedPolicy;
  readonly facts: HostFacts;
  readonly cgroups: CgroupPlan;
}

/** The best mechanism for each limit; `notAsked` where the policy sets none. */
export function chooseMechanisms({ policy, facts, cgroups }: LimitInput): Mechanisms {
  const group: Mechanism = cgroups.version === 2 ? "cgroup2" : "cgroup1";
  const has = (controller: string): boolean => hierarchyOf(cgroups, controller) >= 0;
  const cpuClock = (): Mechanism => {
    if (cgroups.version === 2 || has("cpuacct")) return group;
    return facts.perfClock ? "perf" : "rlimit";
  };
  const best: Mechanisms = {
    cpuTime: cpuClock(),
    wallTime: "supervisor",
    memory: has("memory") ? group : "supervisor",
    processes: has("pids") ? group : "rlimit",
    output: "supervisor",
    disk: policy.scratch.storage === "disk" ? "supervisor" : "tmpfs",
    inodes: policy.scratch.storage === "disk" ? "supervisor" : "tmpfs",
    openFiles: "rlimit",
    fileSize: "rlimit",
    stack: "rlimit",
    cpus: has("cpu") ? group : "none",
    // Else the CPU affinity that the program starts with, which the base filter then keeps it from changing.
    cpuset: cgroups.version === 2 && has("cpuset") ? "cgroup2" : "enforced",
    lockedMemory: "rlimit",
    core: facts.core.escape === null ? "rlimit" : "none",
    addressSpace: "rlimit",
  };
  const asked = limitNames.map((name) => [name, policy.limits[name] === null ? "notAsked" : best[name]] as const);
  return Object.fromEntries(asked) as Mechanisms;
}

/** Numbers of the wire, in the order of its enum Limit. */
export function mechanismNumbers(mechanisms: Mechanisms): readonly number[] {
  return enums.Limit.map((name) => enums.Mechanism.indexOf(mechanisms[name]));
}

export function requiredMask(required: readonly LimitName[]): number {
  return required.reduce((mask, name) => mask | (1 << enums.Limit.indexOf(name)), 0) >>> 0;
}

/**
 * Throws BelljarError `limit-unenforceable` for the first required limit that the kernel does not hold for the whole tree
 * here, `profile-invalid` for a required limit without a value.
 */
export function checkRequired({ policy, facts, cgroups }: LimitInput, mechanisms: Mechanisms): void {
  for (const name of policy.required) {
    const mechanism = mechanisms[name];
    if (mechanism === "notAsked")
      throw new BelljarError("profile-invalid", `compiling the plan: limits.required: names '${name}', but limits.${name} sets no limit`);
    if (mechanism === "cgroup2" || mechanism === "cgroup1" || mechanism === "tmpfs" || mechanism === "enforced") continue;
    // Counted per user id: a program that may change ids gets the limit once for each.
    const changesIds = policy.user.mode === "subordinate" && policy.capabilities.includes("CAP_SETUID");
    if (name === "processes" && mechanism === "rlimit" && !changesIds) continue;
    throw new BelljarError(
      "limit-unenforceable",
      `compiling the plan: limits.${name}: required, but ${whyNot(name, { policy, facts, cgroups })}`,
      { hint: hintFor(name, { policy, facts, cgroups }) },
    );
  }
}

/** The cgroup controller that could hold a limit. */
const controllerOf: Readonly<Partial<Record<LimitName, string>>> = {
  cpuTime: "cpuacct",
  memory: "memory",
  processes: "pids",
  cpus: "cpu",
};

/** Replaced by what the host lacks where that can be checked: see controllersOfRequired. */
function hintFor(name: LimitName, { policy, facts, cgroups }: LimitInput): string {
  if (controllerOf[name] === undefined) return `take '${name}' out of limits.required`;
  if (facts.cgroup.kind === "cgroup1" && cgroups.version === null && policy.user.mode === "subordinate")
    return `set user.mode to "single", or take '${name}' out of limits.required`;
  return askDoctor;
}

const askDoctor = "'belljar doctor' tells how to get a cgroup on this host";

/** Controllers that a refused run would have needed, where the remedy is to get them; null for a refusal of another kind. */
export function controllersOfRequired(error: unknown, { required }: ResolvedPolicy): readonly string[] | null {
  if (!(error instanceof BelljarError) || error.code !== "limit-unenforceable" || error.hint !== askDoctor) return null;
  return required.flatMap((name) => controllerOf[name] ?? []);
}

function whyNot(name: LimitName, { policy, facts, cgroups }: LimitInput): string {
  const controller = controllerOf[name];
  if (controller === undefined)
    return name === "disk" || name === "inodes"
      ? 'with scratch.storage "disk" only the supervisor enforces it'
      : name === "wallTime" || name === "output"
        ? "the kernel has no such limit: only the supervisor enforces it"
        : "the kernel enforces it for each process, not for the whole tree";
  if (facts.cgroup.kind === "none") return `no cgroup can be made here (${facts.cgroup.reason})`;
  if (facts.cgroup.kind === "cgroup1" && cgroups.version === null && policy.user.mode === "subordinate")
    return "a version 1 cgroup takes only tasks of your own id, not of a subordinate one";
  return `no cgroup with the controller '${controller}' can be made here`;
}

/** CPU numbers to start the program on: those of the cpuset that are online. Throws `limit-unenforceable` where none is. */
export function compileCpus({ policy, facts }: Pick<LimitInput, "policy" | "facts">): readonly number[] {
  const { cpuset } = policy.limits;
  if (cpuset === null) return [];
  const cpus = cpusOfList(cpuset).filter((cpu) => facts.onlineCpus.includes(cpu));
  if (cpus.length === 0)
    throw new BelljarError("limit-unenforceable", `compiling the plan: limits.cpuset '${cpuset}': none of these CPUs is online`, {
      hint: `online: ${facts.onlineCpus.join(", ")}`,
    });
  return cpus;
}

/** What comes of a limit that nothing enforces. */
function restOf(name: LimitName, { core }: HostFacts): string {
  if (name === "core" && core.escape !== null)
    return `a crash of the program is handed to the ${core.escape} that the host's core_pattern names`;
  return "the run goes on without it";
}

/** One warning for each limit that is set and that nothing enforces. */
export function limitWarnings(mechanisms: Mechanisms, facts: HostFacts): readonly CompileWarning[] {
  return limitNames
    .filter((name) => mechanisms[name] === "none")
    .map((name) => {
      const rest = restOf(name, facts);
      return { limit: name, message: `limits.${name}: nothing enforces it on this host: ${rest} (see 'belljar doctor')` };
    });
}
