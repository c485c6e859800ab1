import { describe, expect, test } from "vitest";
import { parseAction, splitReturnValue } from "../../../policy/seccomp/actions.ts";
import { isSyscallName } from "../../../policy/seccomp/index.ts";
import { baseRuleSet, findRuleSet, type RuleSet, ruleSetNames } from "../../../policy/seccomp/rule-sets.ts";
import { syscallTables } from "../../../policy/seccomp/tables.gen.ts";

const operators = ["eq", "ne", "lt", "le", "gt", "ge", "masked-eq"];
const all: readonly RuleSet[] = [baseRuleSet, ...ruleSetNames.map(findRuleSet)];
const known = [...new Set(Object.values(syscallTables).flatMap((table) => Object.keys(table)))];

describe.each(all.map((ruleSet) => [ruleSet.name, ruleSet] as const))("rule set %s", (_name, ruleSet) => {
  test("has the shape that its type claims", () => {
    expect(Object.keys(ruleSet)).toEqual(["name", "description", "defaultAction", "unknownAction", "groups"]);
    for (const group of ruleSet.groups) {
      const { args = [], liftedBy = [] } = group;
      const keys = ["name", "comment", "action", "names", "args", "liftedBy"];
      expect(Object.keys(group).filter((key) => !keys.includes(key))).toEqual([]);
      for (const arg of args) {
        expect(Object.keys(arg).filter((key) => !["index", "op", "value", "mask"].includes(key))).toEqual([]);
        expect(operators).toContain(arg.op);
        expect([0, 1, 2, 3, 4, 5]).toContain(arg.index);
      }
      for (const lift of liftedBy) expect(lift).toMatch(/^(userNamespaces|anyCpu|CAP_[A-Z_]+)$/);
    }
  });
  test("names and comments every group, once", () => {
    const names = ruleSet.groups.map(({ name }) => name);
    expect(new Set(names).size).toBe(names.length);
    for (const { name, comment } of ruleSet.groups) {
      expect(name).toMatch(/^[a-z0-9-]+$/);
      expect(comment.length).toBeGreaterThan(3);
    }
  });
  test("uses known names and actions", () => {
    for (const text of [ruleSet.defaultAction, ruleSet.unknownAction, ...ruleSet.groups.map(({ action }) => action)]) {
      expect(() => parseAction(text, ruleSet.name)).not.toThrow();
    }
    expect(ruleSet.groups.flatMap(({ names }) => names).filter((name) => !isSyscallName(name))).toEqual([]);
  });
});

test("default says something of every call that is known", () => {
  const named = new Set(findRuleSet("default").groups.flatMap(({ names }) => names));
  expect(known.filter((name) => !named.has(name))).toEqual([]);
});

test("strict allows nothing that default denies outright", () => {
  const ordinary = findRuleSet("default").groups;
  const denied = new Set(ordinary.filter(({ action }) => action !== "allow").flatMap(({ names }) => names));
  for (const { action, names, args } of ordinary) {
    if (action === "allow" && args === undefined) for (const name of names) expect(denied).not.toContain(name);
    if (action === "allow" && args !== undefined) for (const name of names) denied.delete(name);
  }
  const allowed = findRuleSet("strict").groups.filter(({ action }) => action === "allow");
  expect(allowed.flatMap(({ names }) => names).filter((name) => denied.has(name))).toEqual([]);
});

test("base only refuses", () => {
  for (const { action } of baseRuleSet.groups) expect(splitReturnValue(parseAction(action, "base")).action).toBe("errno");
});
