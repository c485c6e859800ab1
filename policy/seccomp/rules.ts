/**
 * Rules in the order in which they apply: the profile's own first, then its rule sets from the last to the first, each from top
 * to bottom. The first rule whose conditions all hold decides; none: the default action.
 */

import type { Arch } from "../compile/types.ts";
import { BelljarError } from "../errors.ts";
import type { ResolvedSeccomp, ResolvedSeccompRule, SeccompFile } from "../profile/types.ts";
import { errnoReturn, parseAction, type ReturnValue, returnValues, splitReturnValue } from "./actions.ts";
import { type Condition, conditionKind, contradictory, formatCondition, resolveCondition } from "./conditions.ts";
import { errnoNumbers } from "./errno.ts";
import { resolveSeccompFile } from "./file-rules.ts";
import { baseRuleSet, expandRuleSet, type Grants, selectRules } from "./rule-sets.ts";
import { hasFallback, isSyscallName, syscallNumbers } from "./syscalls.ts";

export interface FilterInput extends Grants {
  readonly arch: Arch;
  readonly seccomp: ResolvedSeccomp;
  /** The host's kernel release, which only a file in Docker's format may ask for. */
  readonly kernel?: string | null;
}

export interface FilterRule {
  readonly origin: string;
  readonly comment: string | null;
  readonly action: ReturnValue;
  /** All must hold; empty: always applies. */
  readonly conditions: readonly Condition[];
  /** Written by somebody else than us: in the profile, or in its file in Docker's format. */
  readonly own?: "profile" | "file";
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

/** @throws BelljarError profile-invalid */
export function resolveRules(input: FilterInput): FilterRules {
  const { seccomp, arch } = input;
  const foundation = seccomp.file === null ? ruleSetFoundation(input) : fileFoundation(input, seccomp.file);
  const { defaultText, ...rest } = foundation;
  if (defaultText === undefined) {
    throw new BelljarError("profile-invalid", "seccomp: neither a rule set (extends) nor a defaultAction", {
      hint: 'add "extends": "default" or "defaultAction": "errno:EPERM"',
    });
  }
  const defaultAction = parseAction(defaultText, "seccomp.defaultAction");
  const collected = collect([{ rules: seccomp.syscalls, kind: "profile" }, ...rest.lists], arch);
  return {
    arch,
    bySyscall: collected.bySyscall,
    warnings: [...rest.warnings, ...collected.warnings],
    defaultAction,
    defaultOrigin: seccomp.defaultAction === null ? rest.defaultOrigin : "seccomp.defaultAction",
    // Whatever is newer than the table looks like an older kernel, whatever the default; only a set that allows all allows it.
    unknownAction: isAllow(defaultAction) ? parseAction(rest.unknownText, "unknown") : enosys,
  };
}

/** What lies beneath the profile's own rules. */
interface Foundation {
  readonly lists: readonly RuleList[];
  readonly defaultText: string | undefined;
  readonly defaultOrigin: string;
  /** For numbers beyond the table, where the default allows. */
  readonly unknownText: string;
  readonly warnings: readonly string[];
}

function ruleSetFoundation(input: FilterInput): Foundation {
  const { seccomp } = input;
  const ruleSets = seccomp.ruleSets.map(selectRules);
  const last = ruleSets.findLast(({ defaultAction }) => defaultAction !== null);
  return {
    lists: ruleSets.toReversed().map((ruleSet) => ({ rules: expandRuleSet(ruleSet, input), kind: "built-in" })),
    defaultText: seccomp.defaultAction ?? last?.defaultAction ?? undefined,
    defaultOrigin: `${last?.name}#default`,
    unknownText: last?.unknownAction ?? "errno:ENOSYS",
    warnings: [],
  };
}

function fileFoundation({ arch, capabilities, kernel = null, seccomp }: FilterInput, file: SeccompFile): Foundation {
  const { rules, defaultAction, defaultOrigin, warnings } = resolveSeccompFile(file, { arch, capabilities, kernel });
  const unused = seccomp.ruleSets.filter((name) => name !== "default");
  return {
    lists: [{ rules, kind: "file" }],
    defaultText: seccomp.defaultAction ?? defaultAction,
    defaultOrigin,
    unknownText: "errno:ENOSYS",
    warnings: [
      ...(unused.length === 0
        ? []
        : [`seccomp.extends: ${unused.join(", ")}: has no effect beside seccomp.file, which stands in the place of rule sets`]),
      ...warnings,
    ],
  };
}

/** The rules that hold for every sandbox, whatever its profile says. */
export function resolveBaseRules({ arch, ...grants }: { readonly arch: Arch } & Omit<Grants, "capabilities">): FilterRules {
  const rules = expandRuleSet(baseRuleSet, { ...grants, capabilities: [] });
  return {
    ...collect([{ rules, kind: "built-in" }], arch),
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

/** The rules for a call in order; the last has no conditions. */
export function outcomes(rules: FilterRules, name: string): readonly FilterRule[] {
  const list = rules.bySyscall.get(name) ?? [];
  if (list.at(-1)?.conditions.length === 0) return list;
  return [...list, { origin: rules.defaultOrigin, comment: null, action: fallThroughAction(rules, name), conditions: [] }];
}

function isAllow(value: ReturnValue): boolean {
  return value === returnValues.allow;
}

interface RuleList {
  readonly rules: readonly ResolvedSeccompRule[];
  /**
   * What is odd in the profile's own rules is warned about. Files in Docker's format name the same call twice and calls that do
   * not exist; built-in sets name calls of several architectures and kernels on purpose.
   */
  readonly kind: "profile" | "file" | "built-in";
}

/** A call's rules so far, with those of the list at hand by what they ask for. */
interface SyscallRules {
  readonly list: FilterRule[];
  readonly byConditions: Map<string, { readonly rule: FilterRule; readonly kind: RuleList["kind"] }>;
}

function collect(lists: readonly RuleList[], arch: Arch): Pick<FilterRules, "bySyscall" | "warnings"> {
  const bySyscall = new Map<string, SyscallRules>();
  const warnings: string[] = [];
  for (const { rules, kind } of lists) {
    const decided = new Set<string>(); // by an unconditional rule of an earlier list
    for (const [name, { list }] of bySyscall) if (list.at(-1)?.conditions.length === 0) decided.add(name);
    for (const rule of rules) addRule(rule, { arch, bySyscall, decided, kind, warnings });
  }
  return { bySyscall: new Map([...bySyscall].map(([name, { list }]) => [name, list])), warnings };
}

interface CollectContext {
  readonly arch: Arch;
  readonly bySyscall: Map<string, SyscallRules>;
  readonly decided: ReadonlySet<string>;
  readonly kind: RuleList["kind"];
  readonly warnings: string[];
}

function addRule(rule: ResolvedSeccompRule, { arch, bySyscall, decided, kind, warnings }: CollectContext): void {
  const action = parseAction(rule.action, `${rule.origin}.action`);
  const warn = (message: string): void => {
    if (kind !== "built-in") warnings.push(message);
  };
  for (const name of rule.names) {
    const conditions = resolveConditions(rule, name, warn);
    if (kind === "profile" && !isSyscallName(name))
      warn(`${rule.origin}.names: '${name}': no system call of that name is known: the rule does nothing for it`);
    if (conditions === null || !Object.hasOwn(syscallNumbers(arch), name) || decided.has(name)) continue;
    const known: SyscallRules = bySyscall.get(name) ?? { list: [], byConditions: new Map() };
    bySyscall.set(name, known);
    const key = conditions.map(formatCondition).sort().join();
    const last = known.list.at(-1);
    const shadow = last?.conditions.length === 0 ? { rule: last, kind } : known.byConditions.get(key);
    if (shadow === undefined) {
      const added: FilterRule = {
        origin: rule.origin,
        comment: rule.comment,
        action,
        conditions,
        ...(kind === "built-in" ? {} : { own: kind }),
      };
      known.list.push(added);
      known.byConditions.set(key, { rule: added, kind });
    } else if (shadow.kind === kind)
      warnOfShadow(rule, { name, shadow: shadow.rule, agrees: shadow.rule.action === action, context: { kind, warn } });
  }
}

interface Shadow {
  readonly name: string;
  readonly shadow: FilterRule;
  readonly agrees: boolean;
  readonly context: { readonly kind: RuleList["kind"]; readonly warn: (message: string) => void };
}

function warnOfShadow({ origin }: ResolvedSeccompRule, { name, shadow, agrees, context: { kind, warn } }: Shadow): void {
  if (!agrees) warn(`${origin}: never applies to ${name}: ${shadow.origin} conflicts and comes first`);
  else if (kind === "profile") warn(`${origin}: never applies to ${name}: ${shadow.origin} says the same first`);
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
