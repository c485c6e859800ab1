/** Limits as they can be held here: the caller's own hard limits and the machine's CPUs bound what a profile may ask for. */
import { BelljarError } from "../errors.ts";
import { formatLimit } from "../profile/limits.ts";
import type { LimitName, ResolvedLimits, ResolvedPolicy } from "../profile/types.ts";
import { cpusOfList, formatCpuList } from "../units.ts";
import type { CallerLimit, CompileWarning, HostFacts } from "./types.ts";

/** setrlimit(2): only a privileged process may raise a hard limit. The shell's letter for each, to look it up. */
const ulimitLetters: Readonly<Record<CallerLimit, string>> = {
  cpuTime: "t",
  fileSize: "f",
  stack: "s",
  core: "c",
  processes: "u",
  openFiles: "n",
  lockedMemory: "l",
  addressSpace: "v",
};

/**
 * So much sooner than a CPU limit that the caller himself runs under, which ends one process and not the run. The kernel counts that one in ticks: on a
 * busy machine a second of it was seen to be over after 831 ms.
 */
const soonerMs = (hard: number): number => Math.max(300, hard / 20);

interface AppliedInput {
  readonly policy: ResolvedPolicy;
  readonly facts: Pick<HostFacts, "callerLimits" | "onlineCpus">;
  /** init runs under the program's own id, so the kernel counts it among the program's processes. */
  readonly initCounts: boolean;
}

export interface AppliedLimits {
  readonly limits: ResolvedLimits;
  /** One for each limit that is lower than the profile says. */
  readonly warnings: readonly CompileWarning[];
}

/**
 * What of the limits can be applied. A limit that is required and cannot be what the profile says is refused: throws
 * BelljarError `limit-unenforceable`.
 */
export function applyLimits({ policy, facts, initCounts }: AppliedInput): AppliedLimits {
  const { limits, required } = policy;
  const changed: Partial<Record<LimitName, unknown>> = {};
  const warnings: CompileWarning[] = [];
  const lower = (name: LimitName, to: number | string, why: string): void => {
    const words = `limits.${name} (${formatLimit(name, limits[name])})`;
    if (required.includes(name))
      throw new BelljarError("limit-unenforceable", `compiling the plan: ${words}: required, but ${why}`, {
        hint: `lower it, or take '${name}' out of limits.required`,
      });
    changed[name] = to;
    warnings.push({ limit: name, message: `${words}: ${formatLimit(name, to)} is applied: ${why}` });
  };
  for (const name of Object.keys(ulimitLetters) as CallerLimit[]) {
    const [asked, hard] = [limits[name], usable(name, facts.callerLimits[name], initCounts)];
    if (asked !== null && hard !== null && hard < asked)
      lower(name, hard, `this session's own hard limit (ulimit -H${ulimitLetters[name]}) allows no more`);
  }
  if (limits.cpuset !== null) {
    const asked = cpusOfList(limits.cpuset);
    const usableCpus = asked.filter((cpu) => facts.onlineCpus.includes(cpu));
    // None at all is an error of its own (compileCpus).
    if (usableCpus.length > 0 && usableCpus.length < asked.length)
      lower("cpuset", formatCpuList(usableCpus), `this process may use only the CPUs ${formatCpuList(facts.onlineCpus)}`);
  }
  return { limits: { ...limits, ...changed } as ResolvedLimits, warnings };
}

/** The most of a limit that a caller with this hard limit can be given; null: no bound. */
export function usable(name: CallerLimit, hard: number | null, initCounts: boolean): number | null {
  if (hard === null) return null;
  if (name === "cpuTime") return Math.max(1, Math.floor(hard - soonerMs(hard)));
  return name === "processes" ? Math.max(1, hard - (initCounts ? 1 : 0)) : hard;
}
