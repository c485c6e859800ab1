/**
 * Rules in the order in which they apply: the profile's own first, then its rule sets from the last to the first, each from top
 * to bottom. The first rule whose conditions all hold decides; none: the default action.
 */

import type { Arch } from "../compile/types.ts";
import { BelljarError } from "../errors.ts";
import type { ResolvedSeccomp, ResolvedSeccompRule } from "../profile/types.ts";
import { errnoReturn, parseAction, type ReturnValue, returnValues, splitReturnValue } from "./actions.ts";
import { type Condition, conditionKind, contradictory, formatCondition, resolveCondition } from "./conditions.ts";
import { errnoNumbers } from "./errno.ts";
import { baseRuleSet, expandRuleSet, findRuleSet, type Grants } from "./rule-sets.ts";
import { hasFallback, isSyscallName, syscallNumbers } from "./syscalls.ts";

export interface FilterInput extends Grants {
  readonly arch: Arch;
  readonly seccomp: ResolvedSeccomp;
}

export interface FilterRule {
  readonly origin: string;
  readonly comment: string | null;
  readonly action: ReturnValue;
  /** All must hold; empty: always applies. */
  readonly conditions: readonly Condition[];
}

export interface FilterRules {
  readonly arch: Arch;
  /** By name; every list ends at its first rule without conditions, if it has one. */
  readonly bySyscall: ReadonlyMap<string, readonly FilterRule[]>;
  readonly defaultAction: ReturnValue;
  readonly defaultOrigin: string;
  /** For numbers that our table of this architecture does not know. */
  readonly unknownAction: ReturnValue;
  readonly warnings: readonly string[];
}

const enosys = errnoReturn(errnoNumbers.ENOSYS);

/** @throws BelljarError profile-invalid, not-supported */
export function resolveRules(input: FilterInput): FilterRules {
  const { seccomp } = input;
  if (seccomp.file !== null) {
    throw new BelljarError("not-supported", `seccomp.file: '${seccomp.file}': profiles in another tool's format are not read yet`, {
      hint: "write the rules under seccomp.syscalls",
    });
  }
  const ruleSets = seccomp.ruleSets.map(findRuleSet);
  const last = ruleSets.at(-1);
  const defaultText = seccomp.defaultAction ?? last?.defaultAction;
  if (defaultText === undefined) {
    throw new BelljarError("profile-invalid", "seccomp: neither a rule set (extends) nor a defaultAction", {
      hint: 'add "extends": "default" or "defaultAction": "errno:EPERM"',
    });
  }
  const defaultAction = parseAction(defaultText, "seccomp.defaultAction");
  const lists = [
    { rules: seccomp.syscalls, own: true },
    ...ruleSets.toReversed().map((ruleSet) => ({ rules: expandRuleSet(ruleSet, input), own: false })),
  ];
  return {
    ...collect(lists, input.arch),
    arch: input.arch,
    defaultAction,
    defaultOrigin: seccomp.defaultAction === null ? `${last?.name}#default` : "seccomp.defaultAction",
    // Whatever is newer than the table looks like an older kernel, whatever the default; only a set that allows all allows it.
    unknownAction: isAllow(defaultAction) && last !== undefined ? parseAction(last.unknownAction, `${last.name}#unknown`) : enosys,
  };
}

/** The rules that hold for every sandbox, whatever its profile says. */
export function resolveBaseRules({ arch, userNamespaces }: { readonly arch: Arch } & Pick<Grants, "userNamespaces">): FilterRules {
  const rules = expandRuleSet(baseRuleSet, { capabilities: [], userNamespaces });
  return {
    ...collect([{ rules, own: false }], arch),
    arch,
    defaultAction: returnValues.allow,
    defaultOrigin: "base#default",
    // Nobody can say what a call does that is newer than the table: open_tree_attr (Linux 6.15) walks around a rule for mount_setattr.
    unknownAction: parseAction(baseRuleSet.unknownAction, "base#unknown"),
  };
}

/** What happens to a call when none of its rules applies. */
export function fallThroughAction(rules: FilterRules, name: string): ReturnValue {
  // A libc that gets EPERM from a newer call believes it; ENOSYS makes it use the older one.
  const denies = splitReturnValue(rules.defaultAction).action === "errno";
  return denies && !rules.bySyscall.has(name) && hasFallback(name, rules.arch) ? enosys : rules.defaultAction;
}

function isAllow(value: ReturnValue): boolean {
  return value === returnValues.allow;
}

interface RuleList {
  readonly rules: readonly ResolvedSeccompRule[];
  /** The user's own: warned about. Built-in sets name calls of several architectures and kernels on purpose. */
  readonly own: boolean;
}

function collect(lists: readonly RuleList[], arch: Arch): Pick<FilterRules, "bySyscall" | "warnings"> {
  const bySyscall = new Map<string, FilterRule[]>();
  const warnings: string[] = [];
  for (const { rules, own } of lists) {
    const warn = (message: string): void => {
      if (own) warnings.push(message);
    };
    const decided = new Map<string, FilterRule>(); // by an unconditional rule of an earlier list
    for (const [name, earlier] of bySyscall) {
      const final = earlier.at(-1);
      if (final?.conditions.length === 0) decided.set(name, final);
    }
    for (const rule of rules) addRule(rule, { arch, bySyscall, decided, warn });
  }
  return { bySyscall, warnings };
}

interface CollectContext {
  readonly arch: Arch;
  readonly bySyscall: Map<string, FilterRule[]>;
  readonly decided: ReadonlyMap<string, FilterRule>;
  readonly warn: (message: string) => void;
}

function addRule(rule: ResolvedSeccompRule, { arch, bySyscall, decided, warn }: CollectContext): void {
  const action = parseAction(rule.action, `${rule.origin}.action`);
  for (const name of rule.names) {
    const conditions = resolveConditions(rule, name, warn);
    if (!isSyscallName(name)) warn(`${rule.origin}.names: '${name}': no system call of that name is known: the rule does nothing for it`);
    if (conditions === null || !Object.hasOwn(syscallNumbers(arch), name) || decided.has(name)) continue;
    const list = bySyscall.get(name) ?? [];
    bySyscall.set(name, list);
    const added = { origin: rule.origin, comment: rule.comment, action, conditions };
    const shadow = list.find((earlier) => earlier.conditions.length === 0 || sameConditions(earlier, added));
    if (shadow === undefined) list.push(added);
    else
      warn(
        `${rule.origin}: never applies to ${name}: ${shadow.origin} ${shadow.action === action ? "says the same" : "conflicts and comes"} first`,
      );
  }
}

/** Null when the conditions can never hold together. */
function resolveConditions(rule: ResolvedSeccompRule, syscall: string, warn: (message: string) => void): readonly Condition[] | null {
  const all = rule.args.map((spec, i) => resolveCondition(spec, { syscall, where: `${rule.origin}.args[${i}]`, warn }));
  const never = all.find((condition) => conditionKind(condition) === "never");
  if (never !== undefined) {
    warn(`${rule.origin}: never applies to ${syscall}: ${formatCondition(never)} cannot hold`);
    return null;
  }
  if (contradictory(all)) {
    warn(`${rule.origin}: never applies to ${syscall}: its conditions contradict each other`);
    return null;
  }
  return all.filter((condition) => conditionKind(condition) === "depends");
}

function sameConditions(a: FilterRule, b: FilterRule): boolean {
  const text = (rule: FilterRule): string => rule.conditions.map(formatCondition).sort().join();
  return text(a) === text(b);
}
