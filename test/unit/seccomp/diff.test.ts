import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { ResolvedSeccompRule } from "../../../policy/profile/types.ts";
import { formatAnswer } from "../../../policy/seccomp/actions.ts";
import { makeAssembler } from "../../../policy/seccomp/assembler.ts";
import { diffFilters, type SyscallDiff } from "../../../policy/seccomp/diff.ts";
import { compileBaseFilter, compileFilter, explainSyscall, type FilterInput, simulateFilters } from "../../../policy/seccomp/index.ts";
import { contains, isProven, knownCall, regionsOf } from "../../../policy/seccomp/regions.ts";
import { auditArch } from "../../../policy/seccomp/syscalls.ts";
import { syscallTables } from "../../../policy/seccomp/tables.gen.ts";
import { argumentsFor, names, question } from "./arbitrary.ts";
import { noRules } from "./interpret.ts";

const arch = "x86_64" as const;
const numbers: Readonly<Record<string, number>> = syscallTables[arch];
const start: ResolvedSeccompRule = {
  names: ["execve", "read", "write", "exit_group"],
  action: "allow",
  args: [],
  comment: null,
  origin: "start",
};

const filtersOf = (input: FilterInput) => [compileBaseFilter(input).bytes, compileFilter(input).bytes];
const own = (
  syscalls: readonly Omit<ResolvedSeccompRule, "origin" | "comment">[],
  seccomp: Partial<FilterInput["seccomp"]> = {},
): FilterInput => ({
  ...{ arch, capabilities: [], userNamespaces: "deny" },
  seccomp: {
    ...noRules,
    ruleSets: ["none"],
    ...seccomp,
    syscalls: [...syscalls.map((rule) => ({ ...rule, comment: null, origin: "p" })), start],
  },
});
const diffOf = (left: FilterInput, right: FilterInput) => diffFilters({ left: filtersOf(left), right: filtersOf(right), arch: left.arch });

/** What the words of a row say, read anew: `arg0 in 0x1..0x2, 0xa (32 bits)`, `arg1 & 0xf0 == 0x50`. */
function reads(condition: string, args: readonly bigint[]): boolean {
  const match = /^arg(\d)(?: & (0x[0-9a-f]+))? (==|!=|<|<=|>|>=|in) (.*?)(?: \((\d+) bits\))?$/.exec(condition);
  if (match === null) throw new Error(`'${condition}' is not to be read`);
  const [, index = "", mask = "0xffffffffffffffff", op, list = "", bits = "64"] = match;
  const value = BigInt.asUintN(Number(bits), args[Number(index)] ?? 0n) & BigInt(mask);
  const values = list.split(", ").map((range) => range.split("..").map(BigInt));
  const within = values.some(([low = 0n, high = low]) => value >= low && value <= high);
  const first = values[0]?.[0] ?? 0n;
  const ordered = { "<": value < first, "<=": value <= first, ">": value > first, ">=": value >= first };
  if (op === "in" || op === "==") return within;
  return op === "!=" ? !within : ordered[op as keyof typeof ordered];
}
const applies = ({ conditions }: Pick<SyscallDiff, "conditions">, args: readonly bigint[]) =>
  conditions.every((condition) => reads(condition, args));

const complete = (input: FilterInput): FilterInput => ({
  ...input,
  arch,
  seccomp: { ...input.seccomp, syscalls: [...input.seccomp.syscalls, start] },
});
const callsOf = (...inputs: readonly FilterInput[]) => {
  const values = fc.oneof(...inputs.map(({ seccomp }) => argumentsFor(seccomp)));
  return fc.array(fc.tuple(fc.constantFrom(...names), fc.array(values, { minLength: 6, maxLength: 6 })), { minLength: 12, maxLength: 12 });
};

describe("for random rule sets and random calls", () => {
  const asked = fc.tuple(question, question).chain(([left, right]) => fc.record({ left: fc.constant(complete(left)), right: fc.constant(complete(right)), calls: callsOf(left, right) })); // biome-ignore format: one line

  test("every call lies in one region, whose answers the simulator gives; and diff says where they differ", () => {
    let [different, skipped] = [0, 0];
    fc.assert(
      fc.property(asked, ({ left, right, calls }) => {
        const groups = [filtersOf(left), filtersOf(right)];
        const { rows, undecided } = diffFilters({ left: groups[0] ?? [], right: groups[1] ?? [], arch });
        skipped += undecided.length;
        for (const [name, args] of calls) {
          if (undecided.includes(name)) continue; // rules at random may be too many for one call
          const nr = numbers[name] ?? -1;
          const answers = groups.map((filters) => simulateFilters(filters, { arch, nr, args }));
          const regions = regionsOf(groups, knownCall(arch, nr));
          expect(regions.every((region) => isProven(region, groups))).toBe(true);
          const here = regions.filter((region) => contains(region, { arch: auditArch[arch], nr, args }));
          expect(here.map((region) => region.answers)).toEqual([answers]);
          const found = rows.filter((row) => row.syscall === name && applies(row, args));
          const [a = "", b = ""] = answers.map(formatAnswer);
          expect(
            found.map((row) => [row.left, row.right]),
            `${name} ${args}`,
          ).toEqual(a === b ? [] : [[a, b]]);
          if (a !== b) different++;
        }
      }),
      { numRuns: 25, interruptAfterTimeLimit: 30_000, endOnFailure: true },
    );
    expect(different).toBeGreaterThan(20);
    expect(skipped).toBeLessThan(different);
  }, 60_000);

  test("explain names what the simulator answers, with all arguments, with some and with none", () => {
    const some = question.chain((input) =>
      fc.record({ input: fc.constant(complete(input)), calls: callsOf(input), known: fc.subarray([0, 1, 2, 3, 4, 5]) }),
    );
    fc.assert(
      fc.property(some, ({ input, calls, known }) => {
        const filters = filtersOf(input);
        for (const [name, args] of calls) {
          const answer = formatAnswer(simulateFilters(filters, { arch, nr: numbers[name] ?? -1, args }));
          const given = (indices: readonly number[]) => new Map(indices.map((index) => [index, args[index] ?? 0n]));
          const all = explainSyscall(input, name, given([0, 1, 2, 3, 4, 5]));
          expect(all.map(({ action, conditions }) => [action, conditions])).toEqual([[answer, []]]);
          for (const indices of [known, []]) {
            const entries = explainSyscall(input, name, given(indices));
            expect(entries.at(-1)?.conditions).toEqual([]);
            expect(entries.find((entry) => applies(entry, args))?.action, `${name} ${args} ${indices}`).toBe(answer);
          }
        }
      }),
      { numRuns: 25, interruptAfterTimeLimit: 30_000, endOnFailure: true },
    );
  }, 60_000);
});

describe("diff", () => {
  const eq = (index: 0 | 1, value: number | string) => [{ index, op: "eq" as const, value }];

  test("of a profile with itself is empty", () => {
    for (const ruleSet of ["default", "strict", "none"])
      expect(diffOf(own([], { ruleSets: [ruleSet] }), own([], { ruleSets: [ruleSet] })).rows).toEqual([]);
  });
  test("is about what filters do, not about how it is written", () => {
    const [two, one] = [[{ names: ["acct"], action: "errno:EPERM", args: eq(0, 1) }, { names: ["acct"], action: "errno:EPERM", args: [] }], [{ names: ["acct"], action: "errno:EPERM", args: [] }]]; // biome-ignore format: one line
    expect(diffOf(own(two), own(one)).rows).toEqual([]);
  });
  test("joins values, and names a call that differs", () => {
    const values = [3, 4, 5, 9].map((value) => ({ names: ["socket"], action: "errno:EPERM", args: eq(0, value) }));
    expect(diffOf(own(values), own([])).rows).toEqual([
      {
        syscall: "socket",
        conditions: ["arg0 in 0x3..0x5, 0x9 (32 bits)"],
        left: "errno:EPERM",
        right: "allow",
        allowedBy: "right",
        example: ["0x3"],
      },
    ]);
  });
  test("says ranges of 64 bits as one", () => {
    const above = [{ names: ["lseek"], action: "errno:EPERM", args: [{ index: 1 as const, op: "gt" as const, value: 0x1_0000_0000 }] }];
    const [row] = diffOf(own(above), own([])).rows;
    expect(row?.conditions).toEqual(["arg1 in 0x100000001..0xffffffffffffffff"]);
    expect(row?.example).toEqual(["0x0", expect.stringMatching(/^0x[1-9a-f]/)]);
  });
  test("tells refusals that differ apart from allowances", () => {
    const [left, right] = [
      own([{ names: ["acct", "bpf"], action: "errno:EPERM", args: [] }]),
      own([{ names: ["acct"], action: "kill", args: [] }]),
    ];
    expect(diffOf(left, right).rows.map(({ syscall, allowedBy }) => [syscall, allowedBy])).toEqual([["acct", null], ["bpf", "right"]]); // biome-ignore format: one line
  });
  test("covers numbers without a name and other ABIs", () => {
    const constant = (value: number) => {
      const assembler = makeAssembler();
      assembler.ret(value);
      return assembler.assemble();
    };
    const rows = diffFilters({ left: [constant(0x7fff0000)], right: [constant(0x50001)], arch }).rows.map(({ syscall }) => syscall);
    expect(rows.slice(-2)).toEqual([expect.stringMatching(/^number 335\.\.423, 457\.\.4294967295$|^number /), "other ABIs"]);
    expect(rows.length).toBe(Object.keys(numbers).length + 2);
    const base = compileBaseFilter({ arch, userNamespaces: "deny" }).bytes;
    expect(diffFilters({ left: [base], right: [base, constant(0x7fff0000)], arch }).rows).toEqual([]);
  });
  test("gives up on one call whose rules are too many, not on the others", () => {
    const between = (i: number, value: number) =>
      [0, 1, 2, 3].map((index) => ({ index: index as 0, op: i % 2 === 0 ? ("lt" as const) : ("gt" as const), value: value + index }));
    const many = Array.from({ length: 40 }, (_, i) => ({ names: ["mremap"], action: `errno:${i + 1}`, args: between(i, 1000 * (i + 1)) }));
    const { rows, undecided } = diffOf(own([...many, { names: ["acct"], action: "errno:EPERM", args: [] }]), own([]));
    expect([rows.map(({ syscall }) => syscall), undecided]).toEqual([["acct"], ["mremap"]]);
  });
});
