import { isatty } from "node:tty";
import { BelljarError } from "../../policy/errors.ts";
import type { ResolvedPolicy } from "../../policy/profile/types.ts";
import type { RunReport } from "../../policy/verdict/report-types.ts";
import type { RunInput } from "./input.ts";
import { type Observed, observationsOf } from "./observed.ts";
import { type PrepareContext, type PreparedRun, prepareRun } from "./prepare.ts";
import { runSession, type SessionResult } from "./session.ts";
import { openStreams, type StreamFiles, type StreamTarget } from "./streams.ts";

/** Of a stdin that is no file: more is not kept for further runs. */
const maxKeptInput = 64 * 1024 * 1024;

/** What a program reads; it is run more than once. */
export interface KeptInput {
  readonly target: StreamTarget;
  readonly source: AsyncIterable<Uint8Array> | null;
  /** For further runs; null where it cannot be given again. */
  readonly again: () => Uint8Array | null;
}

/** A pipe is read by us and kept; a terminal is there for all runs. */
export function callersInput(): KeptInput {
  if (isatty(0)) return { target: "inherit", source: null, again: () => new Uint8Array() };
  const chunks: Uint8Array[] = [];
  let length = 0;
  async function* kept(): AsyncGenerator<Uint8Array> {
    for await (const chunk of process.stdin as AsyncIterable<Buffer>) {
      length += chunk.length;
      if (length <= maxKeptInput) chunks.push(chunk);
      yield chunk;
    }
  }
  return { target: "pipe", source: kept(), again: () => (length > maxKeptInput ? null : Buffer.concat(chunks)) };
}

/** Everything that the runs of one learning have in common. */
export interface Learning {
  readonly input: RunInput;
  readonly context: PrepareContext;
  readonly files: StreamFiles;
  readonly kept: KeptInput;
  /** Before the first start. */
  readonly onPrepared: (prepared: PreparedRun) => void;
}

export interface Watched extends Observed {
  readonly report: RunReport;
  readonly policy: ResolvedPolicy;
  readonly command: readonly string[];
}

/** Further runs get the input again, and nobody sees what they print. */
async function runAgain(prepared: PreparedRun, { files, kept }: Learning): Promise<SessionResult> {
  const streams = openStreams({ stdin: files.stdin, stdout: null, stderr: null }, false);
  const [stdin] = streams.targets;
  return runSession(prepared, {
    targets: [stdin === "inherit" ? kept.target : stdin, "ignore", "ignore"],
    stdin: kept.again() ?? new Uint8Array(),
    onSignals: true,
  }).finally(streams.close);
}

async function runFirst(prepared: PreparedRun, { files, kept, onPrepared }: Learning): Promise<SessionResult> {
  onPrepared(prepared);
  const streams = openStreams(files, false);
  const [stdin, stdout, stderr] = streams.targets;
  return runSession(prepared, {
    targets: [stdin === "inherit" ? kept.target : stdin, stdout, stderr],
    ...(stdin === "inherit" && kept.source !== null ? { stdin: kept.source } : {}),
    onSignals: true,
  }).finally(streams.close);
}

/** Runs the program under the base profile and notes what it calls. Throws BelljarError where nothing could be learnt. */
export async function watchedRun(learning: Learning, { first }: { readonly first: boolean }): Promise<Watched> {
  const input = first ? learning.input : { ...learning.input, filesOut: [] };
  const prepared = await prepareRun(input, { ...learning.context, purpose: "learn" });
  const { report, outcome } = await (first ? runFirst : runAgain)(prepared, learning).finally(prepared.release);
  if (report.error !== null) throw new BelljarError(report.error.code, report.error.message, { hint: report.error.hint ?? undefined });
  const observed = observationsOf(prepared, outcome);
  if (report.denials === null)
    throw new BelljarError(
      "not-supported",
      "learning: system calls cannot be watched here: another program listens to this one's already",
      { hint: "belljar learn needs to be started outside of a sandbox or tracer that uses seccomp notifications" },
    );
  return { ...observed, report, policy: prepared.policy, command: prepared.command };
}

export interface Difference {
  readonly words: string;
  /** Calls that were refused and had not been. */
  readonly refused: readonly string[];
}

const endOf = ({ verdict, exitCode, signal }: RunReport): string => JSON.stringify([verdict, exitCode, signal]);

/** The same program under the learnt profile: how it differs from the first run, or null. */
export async function verifyingRun(
  learning: Learning,
  { profile, overrides, first }: { readonly profile: string; readonly overrides: RunInput["overrides"]; readonly first: RunReport },
): Promise<Difference | null> {
  const prepared = await prepareRun({ ...learning.input, profile, overrides, filesOut: [] }, { ...learning.context, purpose: "audit" });
  const { report } = await runAgain(prepared, learning).finally(prepared.release);
  const before = new Set((first.denials ?? []).map(({ syscall }) => syscall));
  const refused = [...new Set((report.denials ?? []).map(({ syscall }) => syscall).filter((name) => !before.has(name)))];
  const other = endOf(report) === endOf(first) ? [] : [`${report.message}, where it had ${first.message}`];
  const missing = refused.length === 0 ? [] : [`refused this time: ${refused.join(", ")}`];
  return other.length + missing.length === 0 ? null : { words: [...other, ...missing].join("; "), refused };
}
