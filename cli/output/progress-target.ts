import { isTerminal } from "./is-terminal.ts";
import type { ProgressTarget } from "./progress.ts";
import { writeStderr } from "./streams.ts";

/** Progress is for stderr: in place where a person watches, by lines elsewhere. */
export function stderrTarget(): ProgressTarget {
  return {
    isTerminal: isTerminal(2) && process.env["TERM"] !== "dumb",
    columns: () => process.stderr.columns || 80,
    write: writeStderr,
    now: () => performance.now(),
  };
}
