/** The one sentence about a run. */

import { rlimitNumbers } from "../compile/rlimits.ts";
import type { LaunchPlan } from "../compile/types.ts";
import { formatLimit } from "../profile/limits.ts";
import { type LimitName, limitNames, type ResolvedPolicy } from "../profile/types.ts";
import { formatCpuList } from "../units.ts";
import type { RunRecord } from "../wire/wire.gen.ts";
import { signalName, signalWords } from "./signals.ts";
import { evidenceNames, type Verdict } from "./verdicts.gen.ts";
import { startFailureWords, stepFailureWords } from "./words.ts";

/** The record's word for a figure that nobody took. */
export const notMeasured = 0xffff_ffff_ffff_ffffn;

export interface RunFacts {
  readonly record: RunRecord;
  readonly policy: ResolvedPolicy;
  readonly plan: LaunchPlan;
  /** The call for which we killed the main process, by name. */
  readonly killedFor?: string | null;
}

/** Where the plan says what a limit has become: whole pages, and no more than the caller himself has. */
function planned(name: LimitName, { sandbox, exec }: LaunchPlan): number | string | null {
  const resource = (number: number): number | null => {
    const limit = exec.rlimits.find((one) => one.resource === number);
    return limit === undefined ? null : Number(limit.hard);
  };
  switch (name) {
    case "cpuTime":
      return Number(exec.cpuMs);
    case "memory":
      return Number(exec.memoryBytes);
    case "processes":
      return Number(exec.processes);
    case "disk":
      return Number(sandbox.scratchBytes);
    case "cpuset":
      return formatCpuList(exec.cpus);
    case "openFiles":
    case "fileSize":
    case "stack":
    case "lockedMemory":
    case "addressSpace":
      return resource(rlimitNumbers[name]);
    // A core limit of 0 is 1 byte to the kernel.
    case "core":
    case "wallTime":
    case "output":
    case "inodes":
    case "cpus":
      return null;
  }
}

/** Limits as applied, in base units: those that are set. */
export function appliedLimits({ policy, plan }: Pick<RunFacts, "policy" | "plan">): Readonly<Partial<Record<LimitName, number | string>>> {
  const set = limitNames.flatMap((name) => {
    const value = policy.limits[name];
    return value === null ? [] : [[name, planned(name, plan) ?? value] as const];
  });
  return Object.fromEntries(set);
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
      return cancelWords(record.cancelSignal);
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
      return `wrote more to ${floodedStream(run)} than the limit of ${limit("output") ?? "its host"}`;
    case "disk-limit":
      if (wasKilledForDisk(record)) return `put more into the scratch space than ${overfilledWords(run)}`;
      return `${ending(record)} with the scratch space full (${scratchWords(run)}); that this was the cause is inferred`;
    case "process-limit":
      return `${ending(record)} after the kernel refused a fork at the limit of ${limit("processes") ?? "its host's"} processes`;
    case "syscall-denied":
      return run.killedFor
        ? `killed for calling ${run.killedFor}, as the system call filter asks`
        : "killed by the system call filter (SIGSYS)";
    case "signaled":
    case "exit-nonzero":
    case "ok":
      return ending(record);
  }
}

/** Our own kill record; else the verdict is inferred. */
const wasKilledForDisk = ({ evidence }: RunRecord): boolean => (evidence & (1 << evidenceNames.indexOf("diskKill"))) !== 0;

export function cancelWords(cancelSignal: number): string {
  return cancelSignal > 0 ? `cancelled by ${signalName(cancelSignal)}` : "cancelled by the caller";
}

export function ending({ exitCode, signal }: RunRecord): string {
  return signal > 0 ? `killed by ${signalWords(signal)}` : `exited with code ${exitCode}`;
}

/** Of a stream whose reader had gone something is missing too. */
function floodedStream(run: RunFacts): string {
  const { stdoutTruncated, stderrTruncated, stdoutBytes, stderrBytes } = run.record;
  const limit = BigInt(appliedLimits(run).output ?? 0);
  const stdout = stdoutTruncated !== 0 && stdoutBytes >= limit;
  const stderr = stderrTruncated !== 0 && stderrBytes >= limit;
  if (stdout && stderr) return "stdout and stderr";
  return stderr ? "stderr" : "stdout";
}

/** The limits that a scratch folder on disk went over; the last sample may be of a moment before. */
export function overfilledWords(run: RunFacts): string {
  const { disk, inodes } = appliedLimits(run);
  const { diskBytes, diskInodes } = run.record;
  const over = (used: bigint, limit: unknown): boolean => limit !== undefined && used !== notMeasured && Number(used) > Number(limit);
  const size = disk === undefined ? [] : [`the limit of ${formatLimit("disk", disk)}`];
  const files = inodes === undefined ? [] : [`the limit of ${formatLimit("inodes", inodes)} files`];
  if (over(diskBytes, disk)) return size.join();
  if (over(diskInodes, inodes)) return files.join();
  return [...size, ...files].join(" or ");
}

/** Which of the two was used up, where the figures tell; else what the limits are. */
export function scratchWords(run: RunFacts): string {
  const limits = appliedLimits(run);
  const { diskBytes, diskInodes } = run.record;
  const kinds = [
    { name: "disk", used: diskBytes, full: "no space left of", unit: "" },
    { name: "inodes", used: diskInodes, full: "no file left of", unit: " files" },
  ] as const;
  const set = kinds.flatMap((kind) => {
    const limit = limits[kind.name];
    return limit === undefined ? [] : [{ ...kind, limit, words: formatLimit(kind.name, limit) }];
  });
  if (set.length === 0) return "no limit set";
  const full = set.filter(({ used, limit }) => used !== notMeasured && Number(used) >= Number(limit));
  if (full.length > 0) return full.map((one) => `${one.full} ${one.words}`).join(", ");
  return `limit ${set.map(({ words, unit }) => `${words}${unit}`).join(", ")}`;
}
