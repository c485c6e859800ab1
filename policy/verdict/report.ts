/** RunRecord (numbers from the launcher) -> RunReport (words). Pure; fields and their meaning: docs/report.md. */
import { writableVolumes } from "../compile/mounts.ts";
import type { LaunchPlan } from "../compile/types.ts";
import { BelljarError } from "../errors.ts";
import type { ResolvedPolicy } from "../profile/types.ts";
import { mechanismsByLimit } from "../wire/mechanisms.ts";
import type { OutputRecord, RootKind, RunRecord, SampleRecord } from "../wire/wire.gen.ts";
import { cgroupWith, count, milliseconds } from "./figures.ts";
import { appliedLimits, cancelWords, messageFor, notMeasured } from "./message.ts";
import type { Denial, EnforcementValue, ReportError, RunReport } from "./report-types.ts";
import { samplesOf } from "./samples.ts";
import { signalName, signalNumber } from "./signals.ts";
import { type Verdict, verdictTable } from "./verdicts.gen.ts";
import { outputError, startFailureWords, stepFailureWords } from "./words.ts";

export interface ReportContext {
  readonly policy: ResolvedPolicy;
  readonly plan: LaunchPlan;
  readonly profileDigest: string;
  readonly filterDigest: string | null;
  /** Name and digest of the image, where there is one. */
  readonly image?: string | null;
}

export interface ReportInput extends ReportContext {
  readonly record: RunRecord;
  readonly outputs: readonly OutputRecord[];
  /** Figures over time, in order; none where none were asked for. */
  readonly samples?: readonly SampleRecord[];
  /** What the records of refused calls say (denials.ts). */
  readonly denials?: readonly Denial[];
  /** The call for which the main process was killed, by name. */
  readonly killedFor?: string | null;
  /** A remedy whose cause was checked on this host; it goes before the hints known here. */
  readonly hintFor?: ((record: RunRecord) => string | null) | undefined;
}

/** The report of a run that the launcher told the end of. */
export function makeReport(input: ReportInput): RunReport {
  const verdict = verdictOf(input.record);
  const record = input.record.setupNs === notMeasured ? withoutFigures(input.record) : input.record;
  return {
    schemaVersion: 1,
    verdict,
    exitCode: ownEnding(verdict) && record.exitCode >= 0 ? record.exitCode : null,
    signal: signalOf(verdict, record),
    message: `${messageFor(verdict, input)}${leftoverWords(record)}`,
    time: {
      wallMs: milliseconds(record.wallNs),
      cpuMs: milliseconds(record.cpuNs),
      userMs: milliseconds(record.userNs),
      systemMs: milliseconds(record.systemNs),
      cpuExact: record.cpuExact !== 0,
      setupMs: milliseconds(record.setupNs),
    },
    memory: { peakBytes: count(record.memoryPeak), oomKills: count(record.oomKills) },
    // Only a pids cgroup sees every task; samples miss those that live between two of them.
    processes: {
      peak: cgroupWith(input.plan, "pids") !== null ? count(record.processesPeak) : null,
      limitHits: count(record.processLimitHits),
    },
    disk: {
      usedBytes: count(record.diskBytes),
      usedInodes: count(record.diskInodes),
      full: record.diskFull > 1 ? null : record.diskFull === 1,
    },
    output: {
      stdoutBytes: count(record.stdoutBytes),
      stderrBytes: count(record.stderrBytes),
      stdoutTruncated: record.stdoutTruncated !== 0,
      stderrTruncated: record.stderrTruncated !== 0,
      truncated: record.stdoutTruncated !== 0 || record.stderrTruncated !== 0,
    },
    outputs: outputsOf(input.outputs, input.plan),
    limits: appliedLimits(input),
    enforcement: enforcementOf(record, input.plan),
    samples: samplesOf(record, input),
    denials: isAudited(record) ? (input.denials ?? []) : null,
    sandbox: sandboxOf(input, record),
    error: errorOf(verdict, input),
  };
}

/** The report where the launcher left no record and should have: everything that it would have measured is unknown. */
export function sandboxErrorReport({ error, ...context }: ReportContext & { readonly error: BelljarError }): RunReport {
  const { code, message, hint } = error;
  return { ...unrecordedReport(context), verdict: "sandbox-error", message, error: { code, message, hint } };
}

/** The report of a run that was cut off on request before its launcher could leave a record: by `cancelSignal`, or the caller (0). */
export function cancelledReport({ cancelSignal, ...context }: ReportContext & { readonly cancelSignal: number }): RunReport {
  const by = cancelSignal > 0 ? signalName(cancelSignal) : null;
  return { ...unrecordedReport(context), verdict: "cancelled", signal: by, message: cancelWords(cancelSignal) };
}

function unrecordedReport(context: ReportContext): Omit<RunReport, "verdict" | "message"> {
  return {
    schemaVersion: 1,
    exitCode: null,
    signal: null,
    time: { wallMs: null, cpuMs: null, userMs: null, systemMs: null, cpuExact: false, setupMs: null },
    memory: { peakBytes: null, oomKills: null },
    processes: { peak: null, limitHits: null },
    disk: { usedBytes: null, usedInodes: null, full: null },
    output: { stdoutBytes: null, stderrBytes: null, stdoutTruncated: false, stderrTruncated: false, truncated: false },
    outputs: outputsOf([], context.plan),
    limits: appliedLimits(context),
    enforcement: {},
    samples: null,
    denials: null,
    sandbox: sandboxOf(context, null),
    error: null,
  };
}

interface ExitOptions {
  /** Signal that made the command cancel the run, where it was the command that received it. */
  readonly cancelSignal?: number | undefined;
}

/**
 * Exit status of `belljar run`: the program's code; 128+N for signal N; 124 for any limit; 125 for a failure of ours;
 * 126 and 127 for a program that could not be started or is not there; 128+N for a run cancelled by signal N, else 130.
 */
export function exitCodeFor(report: RunReport, { cancelSignal }: ExitOptions = {}): number {
  switch (report.verdict) {
    case "ok":
    case "exit-nonzero":
      return report.exitCode ?? 125;
    case "signaled":
    case "syscall-denied":
      return 128 + (signalNumber(report.signal ?? "") ?? 0);
    case "memory-limit":
    case "cpu-time-limit":
    case "wall-time-limit":
    case "output-limit":
    case "disk-limit":
    case "process-limit":
      return 124;
    case "start-failed":
      return report.error?.code === "command-not-found" ? 127 : 126;
    case "sandbox-error":
      return 125;
    case "cancelled":
      return 128 + (cancelSignal ?? signalNumber(report.signal ?? "") ?? 2);
  }
}

function verdictOf({ verdict }: RunRecord): Verdict {
  const found = verdictTable[verdict];
  if (found === undefined) throw new BelljarError("internal", `the run record carries the unknown verdict ${verdict}`);
  return found.name;
}

/** A set-up that failed before the program was let go: what its record counts is nothing of the program's. */
function withoutFigures(record: RunRecord): RunRecord {
  const none = notMeasured;
  return {
    ...record,
    ...{ exitCode: -1, signal: 0, wallNs: none, cpuNs: none, userNs: none, systemNs: none, cpuExact: 0 },
    ...{ memoryPeak: none, oomKills: none, processesPeak: none, processLimitHits: none },
    ...{ diskBytes: none, diskInodes: none, diskFull: 2, stdoutBytes: none, stderrBytes: none },
  };
}

/**
 * Whether the wait status is the program's own. Where we, or the kernel at our limit, ended the run, it says who was faster: the
 * program, which may have been about to end, or the kill.
 */
function ownEnding(verdict: Verdict): boolean {
  switch (verdict) {
    case "ok":
    case "exit-nonzero":
    case "signaled":
    case "syscall-denied":
    case "disk-limit":
    case "process-limit":
    case "sandbox-error":
      return true;
    case "memory-limit":
    case "cpu-time-limit":
    case "wall-time-limit":
    case "output-limit":
    case "cancelled":
    case "start-failed":
      return false;
  }
}

/** Of the program, as its wait status says; for a cancelled run the signal that asked for the end, where there was one. */
function signalOf(verdict: Verdict, { signal, cancelSignal }: RunRecord): string | null {
  if (verdict === "cancelled") return cancelSignal > 0 ? signalName(cancelSignal) : null;
  const name = ownEnding(verdict) && signal > 0 ? signalName(signal) : null;
  // After a failure of ours whatever still runs is killed.
  return verdict === "sandbox-error" && name === "SIGKILL" ? null : name;
}

/** Of a run server's run: its record is sent before its cgroup is removed, to which the server sees. */
const leftoversUnknown = 0xffffffff;

export function leftoverWords({ leftovers }: Pick<RunRecord, "leftovers">): string {
  if (leftovers === 0 || leftovers === leftoversUnknown) return "";
  return `; ${leftovers === 1 ? "a cgroup" : `${leftovers} cgroups`} could not be removed ('belljar gc' removes what is left)`;
}

/** Of a file to copy out that no record tells of. */
export const notCopied = "not copied: the run ended before";

function outputsOf(records: readonly OutputRecord[], { exec }: LaunchPlan): RunReport["outputs"] {
  return exec.filesOut.map((file, index) => {
    const { source } = file;
    const record = records.find((output) => output.index === index);
    if (record === undefined) return { path: source, bytes: null, error: notCopied };
    const error = outputError(record, file);
    return { path: source, bytes: error === null ? count(record.bytes) : null, error };
  });
}

function isAudited({ audit, setupNs }: RunRecord): boolean {
  return setupNs !== notMeasured && (audit === "exact" || audit === "inexact");
}

function enforcementOf(record: RunRecord, { exec }: LaunchPlan): RunReport["enforcement"] {
  // Before the plan is read the launcher knows of no limit, and the zeros of its record name no mechanism.
  if (record.errorStep === "readPlan" || record.errorStep === "checkPlan") return {};
  return {
    ...(mechanismsByLimit(record.mechanisms) as Readonly<Record<string, EnforcementValue>>),
    seccomp: record.seccompEnforced !== 0 ? "enforced" : "none",
    landlock: record.landlockAbi > 0 ? "enforced" : "none",
    ...(exec.auditFilter.length === 0 ? {} : { audit: isAudited(record) ? ("enforced" as const) : ("none" as const) }),
  };
}

/** How layers became one tree, in the words of option --overlay-driver. */
const overlayNames = { skeleton: null, overlay: "kernel", fuse: "fuse-overlayfs", copy: "copy" } as const satisfies Readonly<
  Record<RootKind, string | null>
>;

export function sandboxOf(
  { policy, plan, profileDigest, filterDigest, image = null }: ReportContext,
  record: RunRecord | null,
): RunReport["sandbox"] {
  const { rootfs } = policy;
  return {
    profile: policy.name,
    profileDigest,
    filterDigest,
    rootfs: rootfs.kind === "directory" ? rootfs.path : rootfs.kind,
    image,
    overlay: overlayNames[plan.sandbox.rootKind],
    user: policy.user.mode,
    writableVolumes: writableVolumes(policy),
    landlockAbi: record === null || record.landlockAbi === 0 ? null : record.landlockAbi,
  };
}

function errorOf(verdict: Verdict, { record, plan, hintFor }: ReportInput): ReportError | null {
  if (verdict !== "start-failed" && verdict !== "sandbox-error") return null;
  const started = verdict === "start-failed";
  const { message, hint } = started ? startFailureWords(record, plan) : stepFailureWords(record, plan);
  const code = started ? (record.startFailure === "notFound" ? "command-not-found" : "start-failed") : "sandbox-failed";
  return { code, message, hint: hintFor?.(record) ?? hint };
}
