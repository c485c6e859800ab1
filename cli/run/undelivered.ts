import { constants } from "node:os";
import { verdictTable } from "../../policy/verdict/verdicts.gen.ts";
import type { RunRecord } from "../../policy/wire/wire.gen.ts";

/** Streams that could not be written to their end, and the number of the error. */
export interface Undelivered {
  readonly stdout?: number;
  readonly stderr?: number;
}

/** A reader that went away is the caller's choice. */
const { EPIPE, EIO, ECONNRESET } = constants.errno;
const isGone = (errno: number): boolean => errno === EPIPE || errno === EIO || errno === ECONNRESET;

/**
 * A run server's launcher may have said its last word while output of the program was on its way to where it could not be written. A launcher of our
 * own, which writes there itself, says the same.
 */
export function withUndelivered(record: RunRecord, undelivered: Undelivered): RunRecord {
  const { stdout, stderr } = undelivered;
  const told: RunRecord = {
    ...record,
    stdoutTruncated: stdout === undefined ? record.stdoutTruncated : 1,
    stderrTruncated: stderr === undefined ? record.stderrTruncated : 1,
  };
  const failed = (
    [
      ["stdout", 1, stdout],
      ["stderr", 2, stderr],
    ] as const
  ).find(([, , errno]) => errno !== undefined && !isGone(errno));
  if (failed === undefined || record.errorStep !== "none") return told;
  const [errorText, errorIndex, errorErrno = 0] = failed;
  const verdict = verdictTable.findIndex(({ name }) => name === "sandbox-error");
  return { ...told, verdict, exitCode: -1, signal: 0, errorStage: "parent", errorStep: "deliver", errorIndex, errorErrno, errorText };
}
