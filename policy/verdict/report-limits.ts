/** Limits as a report has them, and what of an exec part follows each where a run sets it anew. */
import { usable } from "../compile/applied.ts";
import { wholePages } from "../compile/cgroup.ts";
import { rlimitNumbers } from "../compile/rlimits.ts";
import type { CallerLimit, HostFacts, LaunchPlan } from "../compile/types.ts";
import { limitKinds } from "../profile/limits.ts";
import type { LimitName, ResolvedPolicy } from "../profile/types.ts";
import { maxDurationMs } from "../units.ts";
import { enums, type LimitEffect, type LimitTarget, type LimitUnit, type Mechanism, type ReportLimit } from "../wire/wire.gen.ts";
import { appliedLimits } from "./message.ts";

export interface LimitFacts {
  readonly policy: ResolvedPolicy;
  readonly plan: LaunchPlan;
  readonly host: HostFacts;
}

const units: Readonly<Record<(typeof limitKinds)[LimitName]["unit"], LimitUnit>> = {
  duration: "duration",
  size: "size",
  count: "whole",
  cpus: "fraction",
  cpuset: "list",
};

const plain = ["fileSize", "stack", "lockedMemory", "addressSpace"] as const;
const unlimited = 0xffff_ffff_ffff_ffffn;

/** Limits that need nothing prepared, so that a run can have one where the profile has none. */
const always: Readonly<Partial<Record<LimitName, Mechanism>>> = {
  wallTime: "supervisor",
  output: "supervisor",
  ...Object.fromEntries(plain.map((name) => [name, "rlimit"] as const)),
};

/** Those whose value the sandbox part holds, or more than one number. */
const fixed: ReadonlySet<LimitName> = new Set(["disk", "inodes", "cpus", "cpuset", "core"]);

function mostOf(name: LimitName, { plan, host }: LimitFacts): number {
  const { max } = limitKinds[name];
  const kind = max ?? (limitKinds[name].unit === "duration" ? maxDurationMs : Number.MAX_SAFE_INTEGER);
  const hard = host.callerLimits[name as CallerLimit] ?? null;
  const { resource } = rlimitOf("processes", plan) ?? { resource: null };
  const bound = hard === null || (name === "processes" && resource === null) ? null : usable(name as CallerLimit, hard, true);
  return Math.min(kind, bound ?? kind);
}

function rlimitOf(name: string, { exec }: LaunchPlan): { readonly resource: number; readonly index: number; readonly soft: bigint } | null {
  const number = name === "cpuTime" ? rlimitNumbers.cpu : (rlimitNumbers as Readonly<Record<string, number>>)[name];
  const index = exec.rlimits.findIndex(({ resource }) => resource === number);
  const found = exec.rlimits[index];
  return found === undefined ? null : { resource: found.resource, index, soft: found.soft };
}

/** By Limit. */
export function reportLimits(facts: LimitFacts): readonly ReportLimit[] {
  const { policy, plan, host } = facts;
  const applied = appliedLimits({ policy, plan });
  return enums.Limit.map((name): ReportLimit => {
    const { unit, zero, min = zero ? 0 : 1 } = limitKinds[name];
    const value = applied[name];
    const isText = units[unit] === "fraction" || units[unit] === "list";
    const maySet = !fixed.has(name) && (value !== undefined || always[name] !== undefined);
    return {
      unit: units[unit],
      isSet: value !== undefined,
      mechanism: always[name] ?? "none",
      value: isText || value === undefined ? 0n : BigInt(value),
      text: isText && value !== undefined ? String(value) : "",
      min: BigInt(min),
      max: maySet ? BigInt(mostOf(name, facts)) : 0n,
      multiple: name === "memory" ? BigInt(wholePages(1, host.pageSize)) : 1n,
    };
  });
}

const fields: Readonly<Partial<Record<LimitName, LimitTarget>>> = {
  wallTime: "wallMs",
  cpuTime: "cpuMs",
  memory: "memoryBytes",
  processes: "processes",
  output: "outputBytes",
};

/** What a run that sets a limit changes of its exec part. */
export function limitEffects({ policy, plan }: Pick<LimitFacts, "policy" | "plan">): readonly LimitEffect[] {
  const applied = appliedLimits({ policy, plan });
  const same = { index: 0, divisor: 1n, plus: 0n, hardPlus: 0n };
  const ofLimit = (limit: LimitName): readonly LimitEffect[] => {
    const target = fields[limit];
    const rlimit = rlimitOf(limit, plan);
    const value = applied[limit];
    const effects: LimitEffect[] = target === undefined ? [] : [{ ...same, limit, target }];
    if (rlimit !== null) {
      const at = { ...same, limit, target: "rlimit", index: rlimit.index } as const;
      // In whole seconds, and only a backstop: compile/rlimits.ts.
      if (limit === "cpuTime" && rlimit.soft !== unlimited) effects.push({ ...at, divisor: 1000n, plus: 1n, hardPlus: 1n });
      // init may count among the processes of the program's user.
      if (limit === "processes") effects.push({ ...at, plus: rlimit.soft - BigInt(value ?? 0) });
      if (limit === "openFiles" || plain.some((name) => name === limit)) effects.push(at);
    }
    plan.exec.cgroupWrites.forEach((write, index) => {
      if (write.limit === limit && write.value === String(value)) effects.push({ ...same, limit, target: "cgroupWrite", index });
    });
    return effects;
  };
  return enums.Limit.filter((name) => !fixed.has(name)).flatMap(ofLimit);
}
