/** Which rule decides what happens to a call. */
import type { Arch } from "../compile/types.ts";
import { BelljarError } from "../errors.ts";
import { actionRank, formatAction, formatAnswer } from "./actions.ts";
import { dataOffset } from "./assembler.ts";
import { emitFittingFilter } from "./compile.ts";
import { type Condition, conditionHolds, contradictory, formatCondition } from "./conditions.ts";
import { type Knowledge, knownCall, regionsOf, witnessOf } from "./regions.ts";
import { type FilterInput, type FilterRule, type FilterRules, outcomes, resolveBaseRules, resolveRules } from "./rules.ts";
import { simulateFilters } from "./simulate.ts";
import { isSyscallName, syscallNumbers } from "./syscalls.ts";
import { type Atom, fullWord } from "./word.ts";

export interface SyscallExplanation {
  /** In the profile's words: `errno:EPERM`. */
  readonly action: string;
  /** The rule: `default#ptrace`, `FILE#seccomp.syscalls[2]`; `…#default` when none applied. */
  readonly origin: string;
  readonly comment: string | null;
  /** All must hold for this entry to apply; empty: it always does. */
  readonly conditions: readonly string[];
}

/** Arguments that are known, by index. */
export type GivenArguments = ReadonlyMap<number, bigint>;

/**
 * The entries that can decide a call, in the order in which they apply: the first whose conditions hold is what happens; the last
 * has none. Both filters are in it: of two refusals the kernel takes the stricter, of two errnos the profile's. `given`
 * arguments leave the entries that they do not exclude, and the conditions that they do not settle.
 * @param call a name, or a number in digits
 * @throws BelljarError usage for a name that no table knows; what resolveRules throws for a profile that is invalid
 */
export function explainSyscall(input: FilterInput, call: string, given: GivenArguments = new Map()): readonly SyscallExplanation[] {
  const rules = resolveRules(input);
  const baseRules = resolveBaseRules(input);
  const name = /^\d{1,10}$/.test(call) ? nameOf(input.arch, Number(call)) : call;
  if (name !== null && !isSyscallName(name)) throw new BelljarError("usage", `explaining '${name}': no system call of that name is known`);
  if (name === null || !Object.hasOwn(syscallNumbers(input.arch), name)) {
    const comment = name === null ? "no system call of that number is known" : `${input.arch} has no such system call`;
    return [{ action: formatAction(baseRules.unknownAction), origin: "unknown", comment, conditions: [] }];
  }
  const entries = narrow(mergedOutcomes(baseRules, rules, name), given);
  prove(entries, { name, given, filters: [emitFittingFilter(baseRules), emitFittingFilter(rules)], arch: input.arch });
  return entries.map(({ action, origin, comment, conditions }) => ({
    action: formatAction(action),
    origin,
    comment,
    conditions: conditions.map(formatCondition),
  }));
}

function nameOf(arch: Arch, number: number): string | null {
  return Object.entries(syscallNumbers(arch)).find(([, known]) => known === number)?.[0] ?? null;
}

/** What base filter and profile's filter answer together, as one list of which the first match decides. */
function mergedOutcomes(baseRules: FilterRules, rules: FilterRules, name: string): readonly FilterRule[] {
  const own = outcomes(rules, name);
  return outcomes(baseRules, name).flatMap((ceiling) => {
    const list = own.map((rule) => ({ ...decider(ceiling, rule), conditions: [...ceiling.conditions, ...rule.conditions] }));
    const isCeilings = list.every(({ origin, action }) => origin === ceiling.origin && action === ceiling.action);
    return isCeilings ? [ceiling] : list.filter(({ conditions }) => !contradictory(conditions));
  });
}

/** Where both say the same, the base filter's rule is named: it is what a profile cannot lift. */
function decider(ceiling: FilterRule, rule: FilterRule): FilterRule {
  const [strict, own] = [actionRank(ceiling.action), actionRank(rule.action)];
  const isRefused = formatAction(ceiling.action) !== "allow";
  if (isRefused && (strict < own || ceiling.action === rule.action)) return ceiling;
  return isRefused ? { ...rule, comment: [rule.comment, `${ceiling.origin} refuses it in any case.`].filter(Boolean).join(" ") } : rule;
}

function narrow(entries: readonly FilterRule[], given: GivenArguments): readonly FilterRule[] {
  const settled = (condition: Condition): boolean | null => {
    const argument = given.get(condition.index);
    return argument === undefined ? null : conditionHolds(condition, argument);
  };
  const left = entries
    .filter(({ conditions }) => !conditions.some((condition) => settled(condition) === false))
    .map((entry) => ({ ...entry, conditions: entry.conditions.filter((condition) => settled(condition) === null) }));
  const last = left.findIndex(({ conditions }) => conditions.length === 0);
  return last < 0 ? left : left.slice(0, last + 1);
}

interface Proof {
  readonly name: string;
  readonly given: GivenArguments;
  readonly filters: readonly Uint8Array[];
  readonly arch: Arch;
}

/**
 * The compiled filters have the last word: for a call of every way through them, the simulator has to answer what the entries
 * say. Where there are more ways than can be walked, nothing is tried.
 */
function prove(entries: readonly FilterRule[], { name, given, filters, arch }: Proof): void {
  for (const args of callsThrough(filters, given, knownCall(arch, syscallNumbers(arch)[name] ?? -1))) {
    const said = entries.find(({ conditions }) => conditions.every((condition) => conditionHolds(condition, args[condition.index] ?? 0n)));
    const answer = formatAnswer(simulateFilters(filters, { arch, nr: syscallNumbers(arch)[name] ?? -1, args }));
    if (said !== undefined && answer === formatAction(said.action)) continue;
    throw new BelljarError(
      "internal",
      `explaining '${name}(${args.join(", ")})': the compiled filters answer ${answer}, the rules otherwise`,
    );
  }
}

function callsThrough(filters: readonly Uint8Array[], given: GivenArguments, call: Knowledge): readonly (readonly bigint[])[] {
  const word = (value: bigint): readonly Atom[] => [{ mask: fullWord, low: Number(value), high: Number(value), inside: true }];
  const registers = [...given].flatMap(([index, value]): readonly (readonly [number, readonly Atom[]])[] => [
    [dataOffset.low(index), word(value & 0xffffffffn)],
    [dataOffset.high(index), word(value >> 32n)],
  ]);
  try {
    return regionsOf([filters], new Map([...call, ...registers])).map((region) => witnessOf(region).args);
  } catch (error) {
    if (error instanceof RangeError) return [];
    throw error;
  }
}
