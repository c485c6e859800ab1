import { constants } from "node:os";
import { BelljarError } from "../../policy/errors.ts";
import { makeReport, sandboxErrorReport } from "../../policy/verdict/report.ts";
import type { RunReport } from "../../policy/verdict/report-types.ts";
import { decodeOutput, decodeRecord } from "../../policy/wire/index.ts";
import type { RunRecord } from "../../policy/wire/wire.gen.ts";
import { hostFiles } from "../host/host-files.ts";
import { printable } from "../output/terminal.ts";
import type { LaunchOutcome } from "./launcher.ts";
import type { PreparedRun } from "./prepare.ts";
import { mayNameHostFile } from "./script.ts";

/** How a launcher ended that left no record. */
function failureOf({ signal, exitCode, problem }: LaunchOutcome): BelljarError {
  const how = problem ?? (signal === null ? `it exited with status ${exitCode} and no record` : `it was killed by ${signal}`);
  return new BelljarError("launcher-failed", `running the launcher: ${how}`);
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

/** What a missing program's name tells: a runtime outside /usr, a script's interpreter, a host script that is not there. */
async function startHint({ command, plan }: PreparedRun, { startFailure }: RunRecord): Promise<string | null> {
  if (startFailure !== "notFound" && startFailure !== "interpreterMissing") return null;
  const [word = ""] = command;
  const [program = ""] = plan.exec.argv;
  const { outsideTool, toolHint } = await import("../host/toolpaths.ts");
  const outside = outsideTool(hostFiles(), program, process.env);
  if (outside !== null) return toolHint(outside);
  if (program !== word) return `${printable(word)} asks for it; --volume and --env PATH=... can bring an interpreter`;
  return mayNameHostFile(word)
    ? `there is no ${printable(word)} on the host either; a host script is named relative to the current folder`
    : null;
}

/** Words for what the launcher sent; a launcher that sent nothing is our failure, never the program's. */
export async function reportOf(prepared: PreparedRun, outcome: LaunchOutcome, signal: NodeJS.Signals | null): Promise<RunReport> {
  const { policy, plan, profileDigest, filterDigest } = prepared;
  const context = { policy, plan, profileDigest, filterDigest };
  if (outcome.record === null) return sandboxErrorReport({ ...context, error: failureOf(outcome) });
  const record = withSignal(decodeRecord(outcome.record), signal);
  const hint = record.errorStep === "none" ? null : ((await checkedHint(record)) ?? (await startHint(prepared, record)));
  return makeReport({ ...context, record, outputs: outcome.outputs.map(decodeOutput), hintFor: () => hint });
}
