import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { ResolvedSeccomp, ResolvedSeccompRule, SeccompArgSpec, SeccompRuleSpec } from "../../../policy/profile/types.ts";
import { compileAudit } from "../../../policy/seccomp/audit.ts";
import type { AuditFilters } from "../../../policy/seccomp/audit-types.ts";
import { compileBaseFilter, compileFilter, type FilterInput, simulateFilters, syscallNumbers } from "../../../policy/seccomp/index.ts";
import { learntDefaultAction, learntRules, mergeRules, type Observation } from "../../../policy/seccomp/learn.ts";

const arch = "x86_64" as const;
const numbers = syscallNumbers(arch);
interface Call {
  readonly name: string;
  readonly args?: readonly bigint[];
  readonly caller?: string;
}

const upon = (syscalls: ResolvedSeccomp["syscalls"], ruleSets: readonly string[] = ["default"]): FilterInput => ({
  arch,
  capabilities: [],
  userNamespaces: "deny",
  seccomp: { ruleSets, defaultAction: ruleSets.length === 0 ? "errno:EPERM" : null, audit: true, file: null, syscalls },
});

/** Rules of a profile as they are after its resolution. */
const resolved = (rules: readonly SeccompRuleSpec[]): readonly ResolvedSeccompRule[] =>
  rules.map((rule, index) => ({ ...rule, args: rule.args ?? [], comment: rule.comment ?? null, origin: `own#${index}` }));

const learntInput = (rules: readonly SeccompRuleSpec[]): FilterInput => ({
  ...upon(resolved(rules), []),
  seccomp: { ...upon([], []).seccomp, defaultAction: learntDefaultAction, syscalls: resolved(rules) },
});

const learning = new WeakMap<FilterInput, AuditFilters>();
function learningFilters(input: FilterInput): AuditFilters {
  const filters = learning.get(input) ?? compileAudit(input, "learn");
  if (filters === null) throw new Error("too large");
  learning.set(input, filters);
  return filters;
}

/** What the supervisor notes of a call, by the very filters that it runs under. */
function observe(input: FilterInput, { name, args = [], caller = "prog" }: Call): Observation | null {
  const filters = learningFilters(input);
  const answer = simulateFilters([filters.base, filters.profile], { arch, nr: numbers[name] ?? 0, args });
  if (answer.action !== "notify") return null;
  const slot = filters.slots[answer.data];
  if (slot === undefined) throw new Error(`no slot ${answer.data}`);
  const kept = filters.arguments.filter(({ syscall }) => syscall === numbers[name]);
  const values = new Map(kept.map(({ index, mask }) => [index, (args[index] ?? 0n) & mask]));
  return { syscall: name, rule: slot.rule, outcome: slot.outcome, values, caller };
}

const learn = (input: FilterInput, calls: readonly Call[]) =>
  learntRules(
    input,
    calls.flatMap((call) => observe(input, call) ?? []),
  );

const plain = new WeakMap<FilterInput, readonly Uint8Array[]>();
function answerOf(input: FilterInput, { name, args = [] }: Call): string {
  const filters = plain.get(input) ?? [compileBaseFilter(input).bytes, compileFilter(input).bytes];
  plain.set(input, filters);
  const { action, data } = simulateFilters(filters, { arch, nr: numbers[name] ?? 0, args });
  return action === "errno" ? `errno:${data}` : action;
}

const ruleOf = (rules: readonly SeccompRuleSpec[], name: string) => rules.filter(({ names }) => names.includes(name));

describe("what is learnt", () => {
  test("allows what was seen, and nothing else", () => {
    const input = upon([]);
    const { rules, unlearnt } = learn(input, [{ name: "openat" }, { name: "getdents64" }, { name: "socket", args: [1n, 1n, 0n] }]);
    expect(unlearnt).toEqual([]);
    const under = learntInput(rules);
    for (const call of [{ name: "openat" }, { name: "read" }, { name: "socket", args: [1n, 1n] }])
      expect(answerOf(under, call), call.name).toBe("allow");
    expect(answerOf(under, { name: "socket", args: [2n, 1n] })).toBe("errno:1");
    expect(answerOf(under, { name: "mkdir" })).toBe("errno:1");
    expect(answerOf(under, { name: "statx" })).toBe("errno:38"); // which libc can do without
  });

  test("names who called first, and the command of a call that is many in one", () => {
    const { rules } = learn(upon([]), [
      { name: "openat", caller: "python3" },
      { name: "openat", caller: "child sh" },
      { name: "getdents64", caller: "child sh" },
      { name: "ioctl", args: [1n, 0x5401n], caller: "python3" },
      { name: "ioctl", args: [2n, 0x1_0000_5401n], caller: "python3" },
    ]);
    expect(ruleOf(rules, "openat")).toEqual([{ names: ["openat"], action: "allow", comment: "first called by python3" }]);
    expect(ruleOf(rules, "getdents64")[0]?.comment).toBe("first called by child sh");
    expect(ruleOf(rules, "ioctl")).toEqual([
      { names: ["ioctl"], action: "allow", args: [{ index: 1, op: "eq", value: "0x5401" }], comment: "TCGETS: first called by python3" },
    ]);
    expect(answerOf(learntInput(rules), { name: "ioctl", args: [1n, 0x5402n] })).toBe("errno:1");
  });

  test("keeps the conditions of the rule that allowed a call", () => {
    const { rules } = learn(upon([]), [
      { name: "clone", args: [0x1200011n] },
      { name: "chmod", args: [0n, 0o644n] },
    ]);
    const under = learntInput(rules);
    expect(answerOf(under, { name: "clone", args: [0x3d0f00n] })).toBe("allow");
    expect(answerOf(under, { name: "clone", args: [0x20000n | 17n] })).toBe("errno:1");
    expect(answerOf(under, { name: "chmod", args: [0n, 0o755n] })).toBe("allow");
    expect(answerOf(under, { name: "chmod", args: [0n, 0o4755n] })).toBe("errno:1");
  });

  test("gives no call that the base refuses, and refuses it in the same way", () => {
    const calls = [{ name: "ptrace" }, { name: "io_uring_setup" }, { name: "mount" }, { name: "open_tree" }, { name: "bpf" }];
    const { rules } = learn(upon([]), calls);
    expect(rules.filter(({ names }) => calls.some(({ name }) => names.includes(name))).every(({ action }) => action !== "allow")).toBe(
      true,
    );
    for (const call of calls) expect(answerOf(learntInput(rules), call), call.name).toBe(answerOf(upon([]), call));
    const strict = learn(upon([], ["strict"]), [
      { name: "ioctl", args: [0n, 0x5401n] },
      { name: "ioctl", args: [0n, 0x9999n] },
    ]);
    expect(answerOf(learntInput(strict.rules), { name: "ioctl", args: [0n, 0x9999n] })).toBe("errno:25");
    expect(answerOf(learntInput(strict.rules), { name: "ioctl", args: [0n, 0x5401n] })).toBe("allow");
  });

  test("keeps all rules of calls that are not heard, or not all of them", () => {
    const input = upon(
      resolved([
        { names: ["getpgid"], action: "trap", args: [{ index: 0, op: "eq", value: 7 }], comment: "tells of itself" },
        { names: ["write"], action: "errno:EBADF", args: [{ index: 0, op: "eq", value: 9 }] },
      ]),
    );
    const under = learntInput(learn(input, [{ name: "getpgid", args: [3n] }]).rules);
    for (const call of [
      { name: "getpgid", args: [7n] },
      { name: "getpgid", args: [3n] },
      { name: "write", args: [9n] },
      { name: "write", args: [1n] },
      { name: "read" },
    ])
      expect(answerOf(under, call), `${call.name} ${call.args}`).toBe(answerOf(input, call));
  });

  test("says so where a refusal before the permission cannot be told apart", () => {
    const input = upon(
      resolved([
        {
          names: ["lseek"],
          action: "errno:EACCES",
          args: [
            { index: 0, op: "eq", value: 3 },
            { index: 1, op: "eq", value: 4 },
          ],
        },
      ]),
    );
    const seen = observe(input, { name: "lseek", args: [1n, 4n] });
    if (seen === null) throw new Error("not heard");
    const one = learntRules(input, [seen]);
    expect(answerOf(learntInput(one.rules), { name: "lseek", args: [1n, 4n] })).toBe("allow");
    expect(answerOf(learntInput(one.rules), { name: "lseek", args: [3n, 4n] })).not.toBe("allow");
    expect(learntRules(input, [{ ...seen, values: null }]).unlearnt).toEqual(["lseek"]);
  });

  test("knows of as many bits of an argument as the rules look at", () => {
    const input = upon(
      resolved([
        {
          names: ["fchmod"],
          action: "errno:EACCES",
          args: [
            { index: 1, op: "ge", value: 0x5401, width: 32 },
            { index: 0, op: "eq", value: 1 },
          ],
        },
      ]),
    );
    const call = { name: "fchmod", args: [0n, 0x7e02_0000n] };
    const { rules, unlearnt } = learn(input, [call]);
    expect([answerOf(learntInput(rules), call), unlearnt]).toEqual(["allow", []]);
  });

  test("for any rules: what was seen is allowed, what the base refuses is not", () => {
    const names = ["ioctl", "lseek", "fchmod", "personality", "socket", "prctl", "clone", "statx", "futex"] as const;
    const value = fc.constantFrom(0n, 1n, 2n, 4n, 0o644n, 0o4755n, 0x5401n, 0x5412n, 0xffff_ffffn, 0x1_0000_5412n, 0x7e02_0000n, 1n << 63n);
    const condition = fc.record({
      index: fc.constantFrom(0 as const, 1 as const, 2 as const),
      op: fc.constantFrom("eq" as const, "ne" as const, "lt" as const, "ge" as const, "masked-eq" as const),
      number: fc.constantFrom(0, 1, 2, 4, 0o644, 0x5401),
      width: fc.constantFrom(undefined, undefined, 32 as const, 64 as const),
    });
    const args = fc.array(condition, { maxLength: 2 }).map((list) =>
      list.map(
        ({ index, op, number, width }): SeccompArgSpec => ({
          ...{ index, op, value: number },
          ...(op === "masked-eq" ? { mask: number === 0 ? 6 : number } : {}),
          ...(width === undefined ? {} : { width }),
        }),
      ),
    );
    const action = fc.constantFrom("allow", "allow", "errno:EPERM", "errno:EACCES", "errno:ENOSYS", "kill", "trap", "log");
    const rule = fc.record({ names: fc.constantFrom(...names).map((name) => [name]), action, args });
    const call = fc.record({ name: fc.constantFrom(...names), args: fc.array(value, { minLength: 3, maxLength: 3 }) });
    const sets = fc.constantFrom(["default"], ["strict"], ["none"]);
    fc.assert(
      fc.property(
        fc.array(rule, { maxLength: 5 }),
        sets,
        fc.array(call, { maxLength: 6 }),
        fc.array(call, { maxLength: 12 }),
        (own, set, made, tried) => {
          const input = upon(resolved(own), set);
          const { rules, unlearnt } = learn(input, made);
          const under = learntInput(rules);
          const runs = (answer: string): boolean => answer === "allow" || answer === "log";
          for (const one of made)
            if (runs(answerOf(input, one)) && !unlearnt.includes(one.name))
              expect(runs(answerOf(under, one)), `${one.name} ${one.args}`).toBe(true);
          for (const one of [...made, ...tried])
            if (!runs(answerOf(input, one))) expect(runs(answerOf(under, one)), `${one.name} ${one.args}`).toBe(false);
        },
      ),
      { numRuns: 60 },
    );
  }, 60_000);
});

describe("rules of several runs", () => {
  const first = learn(upon([]), [{ name: "openat", caller: "one" }]).rules;
  const second = learn(upon([]), [
    { name: "openat", caller: "two" },
    { name: "mkdir", caller: "two" },
  ]).rules;

  test("are put together; who was first stays", () => {
    const merged = mergeRules(first, second);
    expect(ruleOf(merged, "openat")).toEqual(ruleOf(first, "openat"));
    expect(ruleOf(merged, "mkdir").map(({ comment }) => comment)).toEqual(["first called by two"]);
    expect(mergeRules(merged, second)).toEqual(merged);
  });

  test("are no way around a refusal that somebody wrote before them, and come before those at the end", () => {
    const refusal = { names: ["mkdir"], action: "errno:EACCES", comment: "by hand" };
    expect(answerOf(learntInput(mergeRules([refusal, ...first], second)), { name: "mkdir" })).toBe("errno:13");
    expect(answerOf(learntInput(mergeRules([...first, refusal], second)), { name: "mkdir" })).toBe("allow");
  });
});
