/**
 * From the calls that a program was seen to make to the rules that let it make them again, and nothing else.
 *
 * Every learnt rule stands by itself: it allows no call that the profile which was watched would refuse, wherever in the list it
 * stands. So rules of several runs can be put together without looking at their order.
 */
import type { SeccompArgSpec, SeccompRuleSpec } from "../profile/types.ts";
import { argumentWords } from "../verdict/denial-arguments.ts";
import { formatAction, splitReturnValue } from "./actions.ts";
import { argumentWidth } from "./arguments.ts";
import { neverAudited } from "./audit.ts";
import { allOnes, type Condition } from "./conditions.ts";
import { type FilterInput, type FilterRule, type FilterRules, fallThroughAction, outcomes, resolveRules } from "./rules.ts";
import { hasFallback } from "./syscalls.ts";

/** A kind of call that was seen. */
export interface Observation {
  readonly syscall: string;
  /** The rule that decided, as its slot names it. */
  readonly rule: string;
  /** In the profile's words: `allow`, `errno:EPERM`, `kill`. */
  readonly outcome: string;
  /** The arguments by which calls are told apart, by index; null where there were too many different ones. */
  readonly values: ReadonlyMap<number, bigint> | null;
  /** "python3", "child sh": who called first. */
  readonly caller: string;
}

export interface LearntRules {
  /** In the order in which they were first needed; refusals last. */
  readonly rules: readonly SeccompRuleSpec[];
  /** Calls that were allowed and that no rule can allow without allowing more. */
  readonly unlearnt: readonly string[];
}

/** What an unnamed call gets from a learnt profile: with ENOSYS instead for calls that callers can do without. */
export const learntDefaultAction = "errno:EPERM";

/** Calls that are many in one: a rule allows those commands that were seen. */
const commands: Readonly<Record<string, number>> = {
  bpf: 0,
  ioctl: 1,
  keyctl: 0,
  personality: 0,
  prctl: 0,
  ptrace: 0,
  socket: 0,
  socketpair: 0,
};

/** Not from what was seen, but because another run of the same program may need them. */
const always: readonly { readonly names: readonly string[]; readonly comment: string }[] = [
  { names: ["execve", "read", "write", "exit_group", "exit"], comment: "every program: starting, speaking and ending" },
  { names: ["rt_sigreturn", "restart_syscall"], comment: "the kernel's own, after a signal, whenever one comes" },
  { names: ["sched_yield"], comment: "made or not by the luck of the moment: where another thread holds a lock" },
  {
    names: ["clock_gettime", "clock_getres", "gettimeofday", "time", "getcpu"],
    comment: "answered without a system call on most machines (vDSO), and by one on the others",
  },
];

interface Learning {
  readonly input: FilterInput;
  readonly rules: FilterRules;
}

/** @throws BelljarError as resolveRules does */
export function learntRules(input: FilterInput, observations: readonly Observation[]): LearntRules {
  const learning = { input, rules: resolveRules(input) };
  const unlearnt = new Set<string>();
  const unheard = unheardRules(learning);
  const asTheyWere = new Set(unheard.flatMap(({ names }) => names));
  const learnt = observations
    .filter(({ outcome, syscall }) => isAllowed(outcome) && !asTheyWere.has(syscall))
    .flatMap((one): readonly SeccompRuleSpec[] => {
      const args = argumentsFor(one, learning);
      if (args === null) unlearnt.add(one.syscall);
      return args === null ? [] : [ruleFor(one, args)];
    });
  const refused = refusals(observations, learning, learnt).filter(({ names }) => !names.some((name) => asTheyWere.has(name)));
  return { rules: grouped([...standing(learning), ...unheard, ...learnt, ...refused]), unlearnt: [...unlearnt] };
}

/** One list of several. What was learnt since goes before the refusals at the list's end; a refusal that somebody put before others stays there. */
export function mergeRules(older: readonly SeccompRuleSpec[], newer: readonly SeccompRuleSpec[]): readonly SeccompRuleSpec[] {
  const known = new Set(older.flatMap(split).map(keyOf));
  const free = new Set(older.filter(({ action, args = [] }) => isAllowed(action) && args.length === 0).flatMap(({ names }) => names));
  const added = newer.flatMap(split).filter((rule) => !known.has(keyOf(rule)) && !free.has(rule.names[0] ?? ""));
  const allows = ({ action }: SeccompRuleSpec): boolean => isAllowed(action);
  const end = older.findLastIndex(allows) + 1;
  return grouped([
    ...older.slice(0, end).flatMap(split),
    ...added.filter(allows),
    ...older.slice(end).flatMap(split),
    ...added.filter((rule) => !allows(rule)),
  ]);
}

const isAllowed = (action: string): boolean => action === "allow" || action === "log";

function split(rule: SeccompRuleSpec): readonly SeccompRuleSpec[] {
  return rule.names.map((name) => ({ ...rule, names: [name] }));
}

function keyOf({ names, action, args = [] }: SeccompRuleSpec): string {
  return JSON.stringify([names, action, args.map(({ index, op, value, mask, width }) => [index, op, value, mask, width])]);
}

/** Neighbours and others that differ in names only become one rule; of two that say the same the first stays. */
function grouped(rules: readonly SeccompRuleSpec[]): readonly SeccompRuleSpec[] {
  const seen = new Set<string>();
  const groups = new Map<string, SeccompRuleSpec>();
  for (const rule of rules.flatMap(split)) {
    if (seen.has(keyOf(rule))) continue;
    seen.add(keyOf(rule));
    const key = JSON.stringify([rule.comment, keyOf({ ...rule, names: [] })]);
    groups.set(key, { ...rule, names: [...(groups.get(key)?.names ?? []), ...rule.names] });
  }
  return [...groups.values()].map((rule) => ({ ...rule, names: rule.names.toSorted() }));
}

function isFree(rules: FilterRules, name: string): boolean {
  const [first] = rules.bySyscall.get(name) ?? [];
  const action = first?.action ?? fallThroughAction(rules, name);
  return (first?.conditions ?? []).length === 0 && splitReturnValue(action).action === "allow";
}

function standing({ rules }: Learning): readonly SeccompRuleSpec[] {
  return always
    .map(({ names, comment }) => ({ names: names.filter((name) => isFree(rules, name)), action: "allow", comment }))
    .filter(({ names }) => names.length > 0);
}

/** Calls of which nobody hears, or not of all of them, keep all their rules: some answers have a way of their own to tell of themselves. */
function unheardRules({ rules }: Learning): readonly SeccompRuleSpec[] {
  return [...rules.bySyscall].flatMap(([name, list]) => {
    const partly = list.some(({ action }) => ["trap", "kill_thread"].includes(splitReturnValue(action).action));
    if (!partly && (isFree(rules, name) || !neverAudited.has(name))) return [];
    return outcomes(rules, name).map(({ action, conditions, comment }) => ({
      names: [name],
      action: splitReturnValue(action).action === "kill_thread" ? "kill" : formatAction(action),
      ...(conditions.length === 0 ? {} : { args: conditions.map((condition) => specOf(condition, name)) }),
      // With the name, for the order of the rules of one call must not become that of another.
      comment: `${name} as in the base: ${comment ?? "no comment"}`,
    }));
  });
}

function ruleFor({ syscall, outcome, caller, values }: Observation, args: readonly SeccompArgSpec[]): SeccompRuleSpec {
  const command = commands[syscall];
  const value = command === undefined ? undefined : values?.get(command);
  const words = command === undefined || value === undefined ? "" : `${argumentWords(syscall, command, value)[1]}: `;
  return { names: [syscall], action: outcome, ...(args.length === 0 ? {} : { args }), comment: `${words}first called by ${caller}` };
}

/** The conditions under which the rule that allowed the call decides; null where they cannot be said. */
function argumentsFor(one: Observation, { rules }: Learning): readonly SeccompArgSpec[] | null {
  const list = outcomes(rules, one.syscall);
  const at = list.findIndex((rule) => rule.origin === one.rule && isAllowed(formatAction(rule.action)) && mayHold(rule, one.values));
  const decides = list[at];
  if (decides === undefined) return null;
  const guards = list.slice(0, at).filter(({ action }) => !isAllowed(formatAction(action)));
  const conditions = [...decides.conditions];
  const command = commands[one.syscall];
  const value = command === undefined ? undefined : one.values?.get(command);
  if (command !== undefined && value !== undefined) {
    const width = argumentWidth(one.syscall, command);
    const exact: Condition = { index: command, width, op: "eq", value: value & allOnes(width), mask: allOnes(width) };
    conditions.splice(0, conditions.length, ...conditions.filter(({ index }) => index !== command), exact);
  }
  for (const guard of guards) {
    if (guard.conditions.some((condition) => conditions.some((known) => excluded(condition, known)))) continue;
    const other = guard.conditions.map((condition) => opposite(condition, one.values)).find((found) => found !== null);
    // Without values only a refusal with one condition can be turned round.
    if (other === undefined || other === null || (one.values === null && guard.conditions.length > 1)) return null;
    conditions.push(other);
  }
  return conditions.map((condition) => specOf(condition, one.syscall));
}

function holds({ op, value, mask }: Condition, argument: bigint): boolean {
  const masked = argument & mask;
  switch (op) {
    case "eq":
    case "masked-eq":
      return masked === value;
    case "ne":
      return masked !== value;
    case "lt":
      return masked < value;
    case "le":
      return masked <= value;
    case "gt":
      return masked > value;
    case "ge":
      return masked >= value;
  }
}

function mayHold({ conditions }: FilterRule, values: Observation["values"]): boolean {
  return conditions.every((condition) => {
    const value = values?.get(condition.index);
    return value === undefined || holds(condition, value);
  });
}

/** Whether a call for which `known` holds cannot fulfil the condition. */
function excluded(condition: Condition, known: Condition): boolean {
  return known.op === "eq" && known.index === condition.index && known.width >= condition.width && !holds(condition, known.value);
}

const opposites = { eq: "ne", ne: "eq", lt: "ge", le: "gt", gt: "le", ge: "lt" } as const;

/** A condition that keeps the call out of a refusal: the refusal's turned round, or for masks the bits that were seen. */
function opposite(condition: Condition, values: Observation["values"]): Condition | null {
  const value = values?.get(condition.index);
  if (value !== undefined && holds(condition, value)) return null;
  if (condition.op !== "masked-eq") return { ...condition, op: opposites[condition.op] };
  return value === undefined ? null : { ...condition, value: value & condition.mask };
}

function specOf({ index, op, value, mask, width }: Condition, syscall: string): SeccompArgSpec {
  const text = (number: bigint): number | string => (number < 4096n ? Number(number) : `0x${number.toString(16)}`);
  return {
    index: index as SeccompArgSpec["index"],
    op,
    value: text(value),
    ...(op === "masked-eq" ? { mask: text(mask) } : {}),
    ...(width === argumentWidth(syscall, index) || width === 16 ? {} : { width }),
  };
}

/** Refusals that the program met and that it would meet in another form without a rule. */
function refusals(
  observations: readonly Observation[],
  { input, rules }: Learning,
  learnt: readonly SeccompRuleSpec[],
): readonly SeccompRuleSpec[] {
  const named = new Set(learnt.flatMap(({ names }) => names));
  return observations
    .filter(({ outcome }) => !isAllowed(outcome))
    .flatMap((one) => {
      const byDefault = !named.has(one.syscall) && hasFallback(one.syscall, input.arch) ? "errno:ENOSYS" : learntDefaultAction;
      if (one.outcome === byDefault) return [];
      const decides = outcomes(rules, one.syscall).find((rule) => rule.origin === one.rule && mayHold(rule, one.values));
      const args = (decides?.conditions ?? []).map((condition) => specOf(condition, one.syscall));
      return [
        {
          names: [one.syscall],
          action: one.outcome,
          ...(args.length === 0 ? {} : { args }),
          comment: `refused as before: first called by ${one.caller}`,
        },
      ];
    });
}
