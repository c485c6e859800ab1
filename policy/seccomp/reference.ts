/**
 * libseccomp's own translation of our rules, as far as it can say them: the tests compare our filters with it. The only
 * place in policy/ that loads the native binding; never on the way to a run.
 *
 * What libseccomp cannot say: order among overlapping rules, more than one action beside the default for one call, two
 * conditions on one argument, and any comparison but (masked) equality of an argument narrower than 64 bits.
 */
import type { Condition as LibseccompCondition } from "seccomp-ts-bindings";
import { allOnes, type Condition } from "./conditions.ts";
import { type FilterInput, type FilterRule, type FilterRules, fallThroughAction, resolveRules } from "./rules.ts";
import { auditArch, syscallNumbers } from "./syscalls.ts";

export interface ReferenceFilter {
  readonly bpf: Uint8Array;
  /** libseccomp's pseudo-code. */
  readonly pfc: string;
  /** Calls that the reference answers with the default action because libseccomp cannot express their rules. */
  readonly inexpressible: readonly string[];
}

/** @throws what resolveRules throws; SeccompError of the binding */
export async function referenceFilter(input: FilterInput): Promise<ReferenceFilter> {
  const { Filter, arches, syscallNumber } = await import("seccomp-ts-bindings");
  const rules = resolveRules(input);
  const filter = new Filter(rules.defaultAction);
  const arch = auditArch[input.arch];
  if (!filter.hasArch(arch)) {
    filter.addArch(arch);
    filter.removeArch(arches.native);
  }
  const inexpressible: string[] = [];
  for (const name of Object.keys(syscallNumbers(input.arch))) {
    // libseccomp takes this machine's number, or its pseudo number for a call that this machine lacks, and translates.
    const number = syscallNumber(arches.native, name) ?? -1;
    const expressed = express(rules, name);
    if (expressed === null) inexpressible.push(name);
    for (const { action, conditions } of expressed ?? []) filter.addRule(action, number, conditions);
  }
  const result = { bpf: filter.exportBpf(), pfc: filter.exportPfc(), inexpressible };
  filter.release();
  return result;
}

interface LibseccompRule {
  readonly action: number;
  readonly conditions: readonly LibseccompCondition[];
}

/** Null when libseccomp has no way to say it. */
function express(rules: FilterRules, name: string): readonly LibseccompRule[] | null {
  const list = rules.bySyscall.get(name) ?? [];
  const final = list.find((rule) => rule.conditions.length === 0);
  const otherwise = final?.action ?? fallThroughAction(rules, name);
  const conditional = list.filter((rule) => rule.conditions.length > 0 && rule !== final);
  if (conditional.length === 0) return otherwise === rules.defaultAction ? [] : [{ action: otherwise, conditions: [] }];
  const actions = new Set(conditional.map((rule) => rule.action));
  if (otherwise !== rules.defaultAction || actions.size > 1 || actions.has(rules.defaultAction)) return null;
  const expressed = conditional.map(expressRule);
  return expressed.every((rule) => rule !== null) ? expressed : null;
}

function expressRule({ action, conditions }: FilterRule): LibseccompRule | null {
  const indices = new Set(conditions.map((condition) => condition.index));
  const expressed = conditions.map(expressCondition);
  return indices.size === conditions.length && expressed.every((c) => c !== null) ? { action, conditions: expressed } : null;
}

function expressCondition({ index, width, op, value, mask }: Condition): LibseccompCondition | null {
  const argument = index as LibseccompCondition["index"];
  if (op === "masked-eq" || (op === "eq" && width < 64)) return { index: argument, op: "maskedEq", mask, value };
  return mask === allOnes(64) ? { index: argument, op, value } : null;
}
