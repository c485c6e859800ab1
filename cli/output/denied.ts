import { allowingRules, denialWords } from "../../policy/verdict/denial-words.ts";
import type { Denial } from "../../policy/verdict/report-types.ts";
import { errorText, type Paint } from "./human.ts";

/** What was refused, and the line of a profile that would allow it. */
export function deniedText(denials: readonly Denial[], paint?: Paint): string {
  const rules = allowingRules(denials);
  const hint = rules === null ? null : `in the profile, where it should: "seccomp": {"syscalls": ${JSON.stringify(rules)}}`;
  return errorText({ message: `denied: ${denialWords(denials)}`, hint }, paint);
}
