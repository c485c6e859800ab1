/** Rules of a profile's own that never apply, by walking through the filter that they make: beyond what can be seen in pairs of them. */
import { errnoReturn } from "./actions.ts";
import { emitFilter } from "./emit.ts";
import { knownCall, regionsOf } from "./regions.ts";
import type { FilterRule, FilterRules } from "./rules.ts";
import { syscallNumbers } from "./syscalls.ts";

/** A call with more rules, or more ways through them, is not looked at: it would take longer than it is worth. */
const maxRules = 500;
const maxRegions = 1000;

/** One sentence for each, with its place. */
export function neverApplying(rules: FilterRules): readonly string[] {
  return [...rules.bySyscall].flatMap(([name, list]) => {
    const isWorthIt = list.length <= maxRules && list.some(({ own, conditions }) => own !== undefined && conditions.length > 0);
    if (!isWorthIt) return [];
    try {
      const reached = reachedBy(rules, name, list);
      return list.flatMap((rule, i) => (rule.own === undefined || reached.has(i) ? [] : sentences(rules, name, rule)));
    } catch (error) {
      if (error instanceof RangeError) return [];
      throw error;
    }
  });
}

/** Files in Docker's format say things twice: of theirs only what is wrong by itself. */
function sentences(rules: FilterRules, name: string, rule: FilterRule): readonly string[] {
  const isPossible = reachedBy(rules, name, [rule]).has(0);
  if (isPossible && rule.own === "file") return [];
  const why = isPossible ? "rules before it decide every such call" : "its conditions contradict each other";
  return [`${rule.origin}: never applies to ${name}: ${why}`];
}

/** Indices of the rules that some call meets: each answers with a number of its own. */
function reachedBy(rules: FilterRules, name: string, list: readonly FilterRule[]): ReadonlySet<number> {
  const marked = list.map((rule, i) => ({ ...rule, action: errnoReturn(i + 1) }));
  const bytes = emitFilter({ ...rules, bySyscall: new Map([[name, marked]]), defaultAction: errnoReturn(maxRules + 1) });
  const regions = regionsOf([[bytes]], knownCall(rules.arch, syscallNumbers(rules.arch)[name] ?? -1), maxRegions);
  return new Set(regions.map(({ answers }) => (answers[0]?.data ?? 0) - 1));
}
