/** What people are told of refused calls: which, by which rule, and the line of a profile that would allow them. */
import type { SeccompRuleSpec } from "../profile/types.ts";
import { argumentCondition } from "./denial-arguments.ts";
import type { Denial } from "./report-types.ts";

/** More kinds than these are in the report. */
const shown = 3;

/** The base filter's: no profile lifts them. */
const isEverywhere = ({ rule }: Denial): boolean => rule.startsWith("base#");

function oneDenial(denial: Denial): string {
  const { syscall, count, countExact, rule } = denial;
  const words = Object.values(denial.arguments ?? {});
  const call = words.length === 0 ? syscall : `${syscall}(${words.join(", ")})`;
  const times = count === 1 ? "once" : `${count} times`;
  return `${call} ${countExact ? times : `about ${times}`} by ${rule}${isEverywhere(denial) ? " (of every sandbox)" : ""}`;
}

/** `ptrace(PTRACE_TRACEME) once by default#ptrace; mount …`. */
export function denialWords(denials: readonly Denial[]): string {
  const rest = denials.length - shown;
  return [...denials.slice(0, shown).map(oneDenial), ...(rest > 0 ? [`${rest} more in the report's denials`] : [])].join("; ");
}

function ruleFor({ syscall, arguments: words }: Denial): SeccompRuleSpec {
  const args = Object.entries(words ?? {}).flatMap(([name, text]) => argumentCondition(syscall, { name, text }) ?? []);
  return { names: [syscall], action: "allow", ...(args.length === 0 ? {} : { args }), comment: "who needs it" };
}

/** Rules for `seccomp.syscalls` of a profile that would allow what was refused; null where no profile can. */
export function allowingRules(denials: readonly Denial[]): readonly SeccompRuleSpec[] | null {
  const rules = denials
    .filter((denial) => !isEverywhere(denial))
    .slice(0, shown)
    .map(ruleFor);
  const distinct = new Map(rules.map((rule) => [JSON.stringify(rule), rule]));
  return distinct.size === 0 ? null : [...distinct.values()];
}
