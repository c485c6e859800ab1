import { describe, expect, test } from "vitest";
import { parseAction, splitReturnValue } from "../../../policy/seccomp/actions.ts";
import { compileFilter, isSyscallName, simulate } from "../../../policy/seccomp/index.ts";
import { baseRuleSet, findRuleSet, type RuleSet, ruleSetNames, selectRules } from "../../../policy/seccomp/rule-sets.ts";
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

describe("groups by name", () => {
  const answer = (ruleSets: readonly string[], args: readonly bigint[]) => {
    const seccomp = { ruleSets, defaultAction: null, audit: false, file: null, syscalls: [] };
    const { bytes } = compileFilter({ arch: "x86_64", capabilities: [], userNamespaces: "deny", seccomp });
    return simulate(bytes, { arch: "x86_64", nr: syscallTables.x86_64.socket, args }).action;
  };

  test("are put upon sets: later ones win, and the default is that of the last whole set", () => {
    const ask = (...ruleSets: string[]) => [1n, 2n, 10n].map((family) => answer(ruleSets, [family]));
    expect(ask("strict")).toEqual(["errno", "errno", "errno"]);
    expect(ask("strict", "default#socket-unix", "default#socket-ipv4")).toEqual(["allow", "allow", "errno"]);
    expect(ask("strict", "default#socket-unix", "default#socket-families")).toEqual(["errno", "errno", "errno"]);
    expect(ask("default#socket-unix", "strict")).toEqual(["allow", "errno", "errno"]);
  });
  test("that are not there are refused, with the names of those that are", () => {
    for (const name of ["default#nosuch", "default#", "default#socket-unix#", "strict#socket-unix", "nosuch#socket-unix"])
      expect(() => selectRules(name), name).toThrow(expect.objectContaining({ code: "profile-invalid", hint: expect.any(String) }));
    expect(() => answer(["default#socket-unix"], [1n])).toThrow("neither a rule set (extends) nor a defaultAction");
  });
});
