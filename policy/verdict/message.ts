/** The one sentence about a run. */

import type { LaunchPlan } from "../compile/types.ts";
import { formatLimit } from "../profile/limits.ts";
import type { LimitName, ResolvedPolicy } from "../profile/types.ts";
import type { RunRecord } from "../wire/wire.gen.ts";
import { signalName, signalWords } from "./signals.ts";
import type { Verdict } from "./verdicts.gen.ts";
import { startFailureWords, stepFailureWords } from "./words.ts";

export interface RunFacts {
  readonly record: RunRecord;
  readonly policy: ResolvedPolicy;
  readonly plan: LaunchPlan;
}

/** Limits as applied, in base units: those that are set, memory in whole pages. */
export function appliedLimits({ policy, plan }: Pick<RunFacts, "policy" | "plan">): Readonly<Partial<Record<LimitName, number | string>>> {
  const set = Object.entries(policy.limits).filter(([, value]) => value !== null);
  const limits = Object.fromEntries(set) as Partial<Record<LimitName, number | string>>;
  return policy.limits.memory === null ? limits : { ...limits, memory: Number(plan.exec.memoryBytes) };
}

export function messageFor(verdict: Verdict, run: RunFacts): string {
  const { record } = run;
  const limit = (name: LimitName): string | null => {
    const value = appliedLimits(run)[name];
    return value === undefined ? null : formatLimit(name, value);
  };
  switch (verdict) {
    case "sandbox-error":
      return stepFailureWords(record, run.plan).message;
    case "cancelled":
      return record.cancelSignal > 0 ? `cancelled by ${signalName(record.cancelSignal)}` : "cancelled by the caller";
    case "start-failed":
      return startFailureWords(record, run.plan).message;
    case "memory-limit":
      return limit("memory") === null
        ? "killed because the host ran out of memory: this run had no memory limit"
        : `used more memory than the limit of ${limit("memory")}`;
    case "cpu-time-limit":
      return `used more CPU time than the limit of ${limit("cpuTime") ?? "its host"}`;
    case "wall-time-limit":
      return `ran longer than the limit of ${limit("wallTime") ?? "its host"}`;
    case "output-limit":
      return `wrote more to ${floodedStream(record)} than the limit of ${limit("output") ?? "its host"}`;
    case "disk-limit":
      return `${ending(record)} with the scratch space full (${scratchLimits(limit)}); that this was the cause is inferred`;
    case "process-limit":
      return `${ending(record)} after the kernel refused a fork at the limit of ${limit("processes") ?? "its host's"} processes`;
    case "syscall-denied":
      return "killed by the system call filter (SIGSYS)";
    case "signaled":
    case "exit-nonzero":
    case "ok":
      return ending(record);
  }
}

function ending({ exitCode, signal }: RunRecord): string {
  return signal > 0 ? `killed by ${signalWords(signal)}` : `exited with code ${exitCode}`;
}

function floodedStream({ stdoutTruncated, stderrTruncated }: RunRecord): string {
  if (stdoutTruncated !== 0 && stderrTruncated !== 0) return "stdout and stderr";
  return stderrTruncated !== 0 ? "stderr" : "stdout";
}

function scratchLimits(limit: (name: LimitName) => string | null): string {
  const inodes = limit("inodes");
  const parts = [limit("disk"), inodes === null ? null : `${inodes} files`].filter((part) => part !== null);
  return parts.length === 0 ? "no limit set" : `limit ${parts.join(", ")}`;
}
