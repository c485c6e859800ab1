import { constants } from "node:os";
import { BelljarError } from "../../policy/errors.ts";
import { notMeasured } from "../../policy/verdict/message.ts";
import { cancelledReport, makeReport, sandboxErrorReport } from "../../policy/verdict/report.ts";
import type { RunReport } from "../../policy/verdict/report-types.ts";
import { decodeDenial, decodeOutput, decodeRecord, decodeSample } from "../../policy/wire/decode.ts";
import type { RunRecord } from "../../policy/wire/wire.gen.ts";
import type { LaunchOutcome } from "./launcher.ts";
import type { PreparedRun } from "./prepare.ts";
import { type Undelivered, withUndelivered } from "./undelivered.ts";

/** What the session knows of a run besides what its launcher says. */
export interface SessionEnd {
  readonly launcher: string;
  /** Somebody wished for the end; then a launcher that was cut off before its record is no failure. */
  readonly cancelled: boolean;
  /** The signal that reached the command, if that was it. */
  readonly signal: NodeJS.Signals | null;
  /** Of the program's output, where this process passed it on. */
  readonly undelivered?: Undelivered;
}

async function anotherBuild(launcher: string): Promise<string | null> {
  const { otherBuildHint } = await import("./launcher-build.ts");
  return otherBuildHint(launcher);
}

/** How a launcher ended that left no record. */
async function failureOf({ signal, exitCode, problem }: LaunchOutcome, launcher: string): Promise<BelljarError> {
  const how = problem ?? (signal === null ? `it exited with status ${exitCode} and no record` : `it was killed by ${signal}`);
  const hint = signal === null ? await anotherBuild(launcher) : null;
  return new BelljarError("launcher-failed", `running the launcher: ${how}`, { hint: hint ?? undefined });
}

/** The remedy of a failed step; looking for its cause takes probes that a run without failure need not load. */
async function checkedHint(record: RunRecord): Promise<string | null> {
  const { remedyFor } = await import("../host/remedies.ts");
  return remedyFor(record);
}

/** A signal that reached the command and not the launcher is still what cancelled the run. */
function withSignal(record: RunRecord, signal: NodeJS.Signals | null): RunRecord {
  return signal === null || record.cancelSignal !== 0 ? record : { ...record, cancelSignal: constants.signals[signal] };
}

/** Words for what the launcher sent; a launcher that sent nothing is our failure, never the program's. */
export async function reportOf(prepared: PreparedRun, outcome: LaunchOutcome, end: SessionEnd): Promise<RunReport> {
  const { policy, plan, profileDigest, filterDigest, image } = prepared;
  const context = { policy, plan, profileDigest, filterDigest, image };
  if (outcome.record === null && end.cancelled) {
    return cancelledReport({ ...context, cancelSignal: end.signal === null ? 0 : constants.signals[end.signal] });
  }
  if (outcome.record === null) return sandboxErrorReport({ ...context, error: await failureOf(outcome, end.launcher) });
  const record = withUndelivered(withSignal(await recordFrom(outcome.record, end.launcher), end.signal), end.undelivered ?? {});
  const hint = record.errorStep === "none" ? null : await hintFor(prepared, record, end);
  return makeReport({
    ...context,
    ...(await deniedCalls(prepared, outcome, record)),
    record,
    outputs: outcome.outputs.map(decodeOutput),
    samples: outcome.samples.map(decodeSample),
    hintFor: () => hint,
  });
}

/** When the end of the program was seen or decided, by the launcher's clock. Of a record that was understood. */
export function endOf({ record }: LaunchOutcome): bigint | null {
  const endedNs = record === null ? notMeasured : decodeRecord(record).endedNs;
  return endedNs === notMeasured ? null : endedNs;
}

const noCall = 0xffff_ffff;

/** Names for refused calls; most runs have none. */
async function deniedCalls({ audit }: PreparedRun, { denials }: LaunchOutcome, record: RunRecord) {
  if (audit === null || (denials.length === 0 && record.killedFor === noCall)) return {};
  const { denialsOf, syscallNamer } = await import("../../policy/verdict/denials.ts");
  return {
    denials: denialsOf(denials.map(decodeDenial), record, audit),
    killedFor: record.killedFor === noCall ? null : syscallNamer(audit.arch)(record.killedFor),
  };
}

async function recordFrom(bytes: Uint8Array, launcher: string): Promise<RunRecord> {
  try {
    return decodeRecord(bytes);
  } catch (error) {
    const { code, message } = error as BelljarError;
    throw new BelljarError(code, message, { cause: error, hint: (await anotherBuild(launcher)) ?? undefined });
  }
}

async function hintFor(prepared: PreparedRun, record: RunRecord, { launcher }: SessionEnd): Promise<string | null> {
  if (record.errorStep === "checkPlan" || record.errorStep === "readPlan") return anotherBuild(launcher);
  return (await checkedHint(record)) ?? startHint(prepared, record);
}

async function startHint({ command, plan, hostScripts }: PreparedRun, { startFailure }: RunRecord): Promise<string | null> {
  if (startFailure !== "notFound" && startFailure !== "interpreterMissing") return null;
  const { missingHint } = await import("./missing-program.ts");
  // A script of the sandbox whose interpreter is missing is there itself.
  return missingHint({ word: command[0] ?? "", program: plan.exec.argv[0] ?? "", hostScripts: hostScripts && startFailure === "notFound" });
}
