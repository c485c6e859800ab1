import { BelljarError } from "../../policy/errors.ts";
import { makeReport, sandboxErrorReport } from "../../policy/verdict/report.ts";
import type { RunReport } from "../../policy/verdict/report-types.ts";
import { decodeOutput, decodeRecord } from "../../policy/wire/index.ts";
import type { RunRecord } from "../../policy/wire/wire.gen.ts";
import { remedyFor } from "../host/remedies.ts";
import type { LaunchOutcome } from "./launcher.ts";
import type { PreparedRun } from "./prepare.ts";

/** How a launcher ended that left no record. */
function failureOf({ signal, exitCode, problem }: LaunchOutcome): BelljarError {
  const how = problem ?? (signal === null ? `it exited with status ${exitCode} and no record` : `it was killed by ${signal}`);
  return new BelljarError("launcher-failed", `running the launcher: ${how}`);
}

/** Words for what the launcher sent; a launcher that sent nothing is our failure, never the program's. */
export function reportOf(prepared: PreparedRun, outcome: LaunchOutcome): RunReport {
  const { policy, plan, profileDigest, filterDigest } = prepared;
  const context = { policy, plan, profileDigest, filterDigest };
  if (outcome.record === null) return sandboxErrorReport({ ...context, error: failureOf(outcome) });
  const record: RunRecord = decodeRecord(outcome.record);
  return makeReport({ ...context, record, outputs: outcome.outputs.map(decodeOutput), hintFor: remedyFor });
}
