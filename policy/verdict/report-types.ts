import type { ErrorCode } from "../errors.ts";
import type { LimitName } from "../profile/types.ts";
import type { Verdict } from "./verdicts.gen.ts";

export type EnforcementValue = "cgroup2" | "cgroup1" | "perf" | "rlimit" | "tmpfs" | "supervisor" | "enforced" | "none";

export interface ReportError {
  readonly code: ErrorCode;
  readonly message: string;
  readonly hint: string | null;
}

/** A kind of system call that was refused. */
export interface Denial {
  readonly syscall: string;
  /** Those that tell more, by name; null where there are none, or calls with many different ones are counted together. */
  readonly arguments: Readonly<Record<string, string>> | null;
  readonly count: number;
  readonly countExact: boolean;
  /** In the profile's words: `errno:EPERM`. */
  readonly action: string;
  readonly rule: string;
}

/** Figures of one moment. */
export interface SamplePoint {
  /** Since the program's start. */
  readonly atMs: number;
  readonly cpuMs: number | null;
  readonly memoryBytes: number | null;
  /** Threads count. */
  readonly processes: number | null;
}

/** Figures over time, for a run that was asked for them. */
export interface Samples {
  /** From one to the next, at least: more than was asked for where the run was long. */
  readonly intervalMs: number;
  /** false: some `cpuMs` are lower bounds. */
  readonly cpuExact: boolean;
  /** Where each figure comes from. */
  readonly measuredBy: {
    readonly cpuMs: EnforcementValue;
    readonly memoryBytes: EnforcementValue;
    readonly processes: EnforcementValue;
  };
  readonly points: readonly SamplePoint[];
}

/** The RunReport, schemaVersion 1. null means "not measured", never 0. Contract: docs/report.md. */
export interface RunReport {
  readonly schemaVersion: 1;
  readonly verdict: Verdict;
  readonly exitCode: number | null;
  readonly signal: string | null; // "SIGKILL"
  readonly message: string;
  readonly time: {
    readonly wallMs: number | null;
    readonly cpuMs: number | null;
    readonly userMs: number | null;
    readonly systemMs: number | null;
    readonly cpuExact: boolean;
    readonly setupMs: number | null;
  };
  readonly memory: { readonly peakBytes: number | null; readonly oomKills: number | null };
  readonly processes: { readonly peak: number | null; readonly limitHits: number | null };
  readonly disk: { readonly usedBytes: number | null; readonly usedInodes: number | null; readonly full: boolean | null };
  readonly output: {
    readonly stdoutBytes: number | null;
    readonly stderrBytes: number | null;
    readonly stdoutTruncated: boolean;
    readonly stderrTruncated: boolean;
    readonly truncated: boolean;
  };
  readonly outputs: readonly { readonly path: string; readonly bytes: number | null; readonly error: string | null }[];
  readonly limits: Readonly<Partial<Record<LimitName, number | string>>>;
  readonly enforcement: Readonly<Partial<Record<LimitName | "seccomp" | "landlock" | "audit", EnforcementValue>>>;
  readonly samples: Samples | null;
  readonly denials: readonly Denial[] | null;
  readonly sandbox: {
    readonly profile: string;
    readonly profileDigest: string;
    readonly filterDigest: string | null;
    readonly rootfs: string;
    readonly image: string | null;
    readonly overlay: string | null;
    readonly user: "single" | "subordinate";
    readonly writableVolumes: readonly string[];
    readonly landlockAbi: number | null;
  };
  readonly error: ReportError | null;
}
