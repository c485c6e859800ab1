/** Which rule decides what happens to a call. */
import { BelljarError } from "../errors.ts";
import { formatAction } from "./actions.ts";
import { formatCondition } from "./conditions.ts";
import { type FilterInput, type FilterRules, fallThroughAction, resolveBaseRules, resolveRules } from "./rules.ts";
import { isSyscallName, syscallNumbers } from "./syscalls.ts";

export interface SyscallExplanation {
  /** In the profile's words: `errno:EPERM`. */
  readonly action: string;
  /** The rule: `default#ptrace`, `FILE#seccomp.syscalls[2]`; `…#default` when none applied. */
  readonly origin: string;
  readonly comment: string | null;
  /** All must hold for this entry to apply; empty: it always does. */
  readonly conditions: readonly string[];
}

/**
 * The entries that can decide a call, in the order in which they apply: those of the base filter that refuse it, then the
 * profile's. The first whose conditions hold is what happens; the last has none.
 * @throws BelljarError usage for a name that no table knows; what compileFilter throws for a profile that is invalid
 */
export function explainSyscall(input: FilterInput, name: string): readonly SyscallExplanation[] {
  if (!isSyscallName(name)) throw new BelljarError("usage", `explaining '${name}': no system call of that name is known`);
  const rules = resolveRules(input);
  const baseRules = resolveBaseRules(input);
  if (!Object.hasOwn(syscallNumbers(input.arch), name)) {
    return [
      {
        action: formatAction(baseRules.unknownAction),
        origin: "unknown",
        comment: `${input.arch} has no such system call`,
        conditions: [],
      },
    ];
  }
  const base = baseEntries(baseRules, name);
  return base.at(-1)?.conditions.length === 0 ? base : [...base, ...entries(rules, name)];
}

function ruleEntries(rules: FilterRules, name: string): readonly SyscallExplanation[] {
  return (rules.bySyscall.get(name) ?? []).map(({ action, origin, comment, conditions }) => ({
    action: formatAction(action),
    origin,
    comment,
    conditions: conditions.map(formatCondition),
  }));
}

function entries(rules: FilterRules, name: string): readonly SyscallExplanation[] {
  const list = ruleEntries(rules, name);
  if (list.at(-1)?.conditions.length === 0) return list;
  return [...list, { action: formatAction(fallThroughAction(rules, name)), origin: rules.defaultOrigin, comment: null, conditions: [] }];
}

/**
 * The base filter only refuses: what it lets pass goes on to the profile's filter. So its allowances are of no interest, and every rule is a refusal (test/unit/seccomp/rule-sets.test.ts).
 */
function baseEntries(rules: FilterRules, name: string): readonly SyscallExplanation[] {
  return ruleEntries(rules, name).filter(({ action }) => action !== "allow");
}
