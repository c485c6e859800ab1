import { BelljarError } from "../../policy/errors.ts";
import { makeReport, sandboxErrorReport } from "../../policy/verdict/report.ts";
import type { RunReport } from "../../policy/verdict/report-types.ts";
import { decodeOutput, decodeRecord } from "../../policy/wire/index.ts";
import type { RunRecord } from "../../policy/wire/wire.gen.ts";
import type { LaunchOutcome } from "./launcher.ts";
import type { PreparedRun } from "./prepare.ts";

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

/** Words for what the launcher sent; a launcher that sent nothing is our failure, never the program's. */
export async function reportOf(prepared: PreparedRun, outcome: LaunchOutcome): Promise<RunReport> {
  const { policy, plan, profileDigest, filterDigest } = prepared;
  const context = { policy, plan, profileDigest, filterDigest };
  if (outcome.record === null) return sandboxErrorReport({ ...context, error: failureOf(outcome) });
  const record: RunRecord = decodeRecord(outcome.record);
  const hint = record.errorStep === "none" ? null : await checkedHint(record);
  return makeReport({ ...context, record, outputs: outcome.outputs.map(decodeOutput), hintFor: () => hint });
}
