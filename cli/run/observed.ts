import type { Arch } from "../../policy/compile/types.ts";
import { BelljarError } from "../../policy/errors.ts";
import type { Observation } from "../../policy/seccomp/learn.ts";
import { argumentValues, syscallNamer } from "../../policy/verdict/denials.ts";
import { decodeDenial, decodeRecord } from "../../policy/wire/index.ts";
import type { DenialRecord } from "../../policy/wire/wire.gen.ts";
import type { LaunchOutcome } from "./launcher.ts";
import type { PreparedRun } from "./prepare.ts";

export interface Observed {
  readonly arch: Arch;
  readonly observations: readonly Observation[];
}

/** A name is the program's own text. */
function callerWords({ caller, callerName }: DenialRecord): string {
  const name = callerName.replace(/[^\x21-\x7e]+/g, " ").trim() || "?";
  return caller === "program" ? name : `${caller} ${name}`;
}

/** Everything that a watched program called. Throws BelljarError `internal` where the table of kinds was too small for it. */
export function observationsOf({ audit }: PreparedRun, { denials, record }: LaunchOutcome): Observed {
  if (audit === null || record === null)
    throw new BelljarError("not-supported", "learning: the filter is too large to be watched", {
      hint: "use a base with fewer rules that have conditions",
    });
  const { denialsLost } = decodeRecord(record);
  if (denialsLost > 0n)
    throw new BelljarError("internal", `learning: ${denialsLost} calls were of more kinds than are kept: nothing is known of them`, {
      hint: "learn from shorter runs, one after the other, with --merge",
    });
  const nameOf = syscallNamer(audit.arch);
  const observations = denials.map(decodeDenial).flatMap((one): readonly Observation[] => {
    const slot = audit.slots[one.slot];
    if (slot === undefined) return [];
    const kept = audit.arguments.filter(({ syscall }) => syscall === one.syscall);
    const values = one.argumentsKept === 0 ? null : new Map(kept.map(({ index }) => [index, argumentValues(one)[index] ?? 0n]));
    return [{ syscall: nameOf(one.syscall), rule: slot.rule, outcome: slot.outcome, values, caller: callerWords(one) }];
  });
  return { arch: audit.arch, observations };
}
