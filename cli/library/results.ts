import { BelljarError } from "../../policy/errors.ts";
import type { RunReport } from "../../policy/verdict/report-types.ts";
import type { EncodingOption } from "./options.ts";

/** What is known of a program that has ended. `Stream` is string, or Uint8Array with `encoding: "buffer"`. */
export interface ProgramResult<Stream> {
  readonly report: RunReport;
  /** Empty where `onStderr` took it. */
  readonly stderr: Stream;
  /** The `outputs` that were there; for the others `report.outputs` says why not. */
  readonly outputs: Readonly<Record<string, Uint8Array>>;
  /** Limits that nothing enforces here, and contradictions of the profile, one sentence each. */
  readonly warnings: readonly string[];
}

export interface RunResult<Stream> extends ProgramResult<Stream> {
  /** Empty where `onStdout` took it. */
  readonly stdout: Stream;
}

/** What {@link Sandbox.interact} returns. */
export interface InteractResult<Stream> {
  readonly judge: ProgramResult<Stream>;
  readonly contestant: ProgramResult<Stream>;
  /**
   * Whose end came first, as the supervisors saw or decided it: what the other did then, it may have done because of that (it read an
   * end of file, or wrote into a broken pipe). null where nobody could tell, as after a cancel.
   */
  readonly endedFirst: "judge" | "contestant" | null;
}

/** Overloads by this tell text from bytes. */
export type Utf8 = { readonly encoding?: "utf8" };
export type Bytes = { readonly encoding: "buffer" };

/** Bytes as the caller wants them. */
export function decoderFor({ encoding = "utf8" }: EncodingOption): (bytes: Uint8Array) => string | Uint8Array {
  return encoding === "buffer" ? (bytes) => bytes : (bytes) => new TextDecoder("utf-8", { ignoreBOM: true }).decode(bytes);
}

/** Our failure is thrown, never returned as if it were the program's; the report is the cause. Throws BelljarError. */
export function refuseFailure(report: RunReport): void {
  if (report.verdict !== "sandbox-error") return;
  const { code, message, hint } = report.error ?? { code: "sandbox-failed" as const, message: report.message, hint: null };
  throw new BelljarError(code, message, { hint: hint ?? undefined, cause: report });
}
