/** Random rules and random calls: the rules as they read, the compiled filter in the simulator, explain, and the kernel say the same. */
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { Arch } from "../../policy/compile/types.ts";
import type { ResolvedSeccompRule, SeccompArgSpec } from "../../policy/profile/types.ts";
import { formatAnswer } from "../../policy/seccomp/actions.ts";
import {
  type Answer,
  compileBaseFilter,
  compileFilter,
  explainSyscall,
  type FilterInput,
  simulateFilters,
  syscallNumbers,
} from "../../policy/seccomp/index.ts";
import { tryCalls } from "../helpers/syscalls.ts";
import { argSpec, argumentsFor } from "../unit/seccomp/arbitrary.ts";

const arch: Arch = process.arch === "arm64" ? "aarch64" : "x86_64";
const numbers = syscallNumbers(arch);
/** Of every width, and harmless with any arguments. */
const names = ["lseek", "personality", "socket", "fchmod", "statx", "getpriority", "flock"] as const;

const seen = (answer: Answer): string | null => {
  if (answer.action === "errno") return answer.data === 0 ? "ok" : `errno ${answer.data}`;
  return answer.action === "allow" || answer.action === "log" ? null : "signal 31";
};

/** Errnos that no kernel gives, so that a refusal of ours is none of its. */
const action = fc.oneof(fc.nat(500).map((n) => `errno:${1000 + n}`), fc.constantFrom("allow", "log", "kill", "trap")); // biome-ignore format: one line
const rule = fc
  .constantFrom(...names)
  .chain((name) => fc.record({ names: fc.constant([name]), action, args: fc.array(argSpec(name), { maxLength: 3 }) }));

function inputOf(
  rules: readonly Omit<ResolvedSeccompRule, "comment" | "origin">[],
  seccomp: Partial<FilterInput["seccomp"]> = {},
): FilterInput {
  const syscalls = rules.map((one, i) => ({ ...one, comment: null, origin: `rule ${i}` }));
  return {
    arch,
    capabilities: [],
    userNamespaces: "deny",
    seccomp: { ruleSets: ["none"], defaultAction: null, audit: false, file: null, ...seccomp, syscalls },
  };
}

const filtersOf = (input: FilterInput) => [compileBaseFilter(input).bytes, compileFilter(input).bytes];

interface Call {
  readonly name: string;
  readonly args: readonly bigint[];
}

/** Asks all of them and demands one answer; gives what the kernel did. */
function agreed(input: FilterInput, calls: readonly Call[]): readonly string[] {
  const filters = filtersOf(input);
  const observed = tryCalls(
    filters,
    calls.map(({ name, args }) => [numbers[name] ?? name, ...args.map((value) => `0x${value.toString(16)}`)].join(":")),
  );
  for (const [i, { name, args }] of calls.entries()) {
    const answer = simulateFilters(filters, { arch, nr: numbers[name] ?? Number(name), args });
    const at = `${name}(${args.join()}) ${JSON.stringify(input.seccomp)}`;
    const given = new Map([0, 1, 2, 3, 4, 5].map((index) => [index, args[index] ?? 0n]));
    expect(
      explainSyscall(input, name, given).map((entry) => entry.action),
      at,
    ).toEqual([formatAnswer(answer)]);
    if (seen(answer) === null) expect(observed[i], at).not.toMatch(/^errno 1\d\d\d$|^signal 31$/);
    else expect(observed[i], at).toBe(seen(answer));
  }
  return observed;
}

test("random rules, random calls", () => {
  const asked = fc.array(rule, { minLength: 1, maxLength: 8 }).chain((rules) => {
    const call = fc.record({
      name: fc.constantFrom(...names),
      args: fc.array(argumentsFor(inputOf(rules).seccomp), { minLength: 6, maxLength: 6 }),
    });
    return fc.record({ rules: fc.constant(rules), calls: fc.array(call, { minLength: 30, maxLength: 30 }) });
  });
  let refused = 0;
  fc.assert(
    fc.property(asked, ({ rules, calls }) => {
      refused += agreed(inputOf(rules), calls).filter((outcome) => /^errno 1\d\d\d$|^signal 31$/.test(outcome)).length;
    }),
    { numRuns: 25, endOnFailure: true, interruptAfterTimeLimit: 90_000 },
  );
  expect(refused).toBeGreaterThan(10);
}, 120_000);

const own = (args: readonly SeccompArgSpec[], name: string, does = "errno:1234") => ({ names: [name], action: does, args });

describe("what a rule says is what the kernel does:", () => {
  const high = 1n << 32n;
  test.each<[SeccompArgSpec["op"], object, bigint[]]>([
    ["eq", {}, [40n]],
    ["ne", {}, [39n, 41n, 0xffff_ffffn]],
    ["lt", {}, [39n]],
    ["le", {}, [39n, 40n]],
    ["gt", {}, [41n, 0xffff_ffffn]],
    ["ge", {}, [40n, 41n, 0xffff_ffffn]],
    ["masked-eq", { mask: 0xff }, [40n]],
  ])("a 32-bit argument is compared as one, whatever lies above: %s", (op, more, holding) => {
    const values = [39n, 40n, 41n, 0xffff_ffffn];
    const calls = values
      .flatMap((value) => [value, value | high, value | (1n << 63n)])
      .map((value) => ({ name: "socket", args: [value, 1n, 0n] }));
    const observed = agreed(inputOf([own([{ index: 0, op, value: 40, ...more }], "socket")]), calls);
    const refused = calls.filter((_, i) => observed[i] === "errno 1234").map(({ args }) => args[0]);
    expect(refused).toEqual(holding.flatMap((value) => [value, value | high, value | (1n << 63n)]));
  });
  test("several conditions on one argument all have to hold", () => {
    const between: SeccompArgSpec[] = [{ index: 1, op: "gt", value: 10 }, { index: 1, op: "lt", value: 20 }, { index: 1, op: "ne", value: 15 }]; // biome-ignore format: one line
    const calls = [10n, 11n, 15n, 19n, 20n].map((value) => ({ name: "lseek", args: [0xffff_ffffn, value, 0n] }));
    expect(agreed(inputOf([own(between, "lseek")]), calls)).toEqual(["errno 9", "errno 1234", "errno 9", "errno 1234", "errno 9"]);
    const neither: SeccompArgSpec[] = [{ index: 0, op: "ne", value: 38 }, { index: 0, op: "ne", value: 40 }]; // biome-ignore format: one line
    const sockets = [38n, 40n, 40n | high].map((value) => ({ name: "socket", args: [value, 1n, 0n] }));
    expect(agreed(inputOf([own(neither, "socket", "allow"), own([], "socket")]), sockets)).toEqual(sockets.map(() => "errno 1234"));
  });
  test("a rule that equals the default is a rule", () => {
    const allowed = Object.keys(numbers).filter((name) => !["lseek", "flock", "openat2"].includes(name));
    const input = inputOf([own([], "lseek", "errno:EPERM"), own([{ index: 0, op: "eq", value: 3 }], "flock", "errno:EPERM"), { names: allowed, action: "allow", args: [] }], { ruleSets: [], defaultAction: "errno:EPERM" }); // biome-ignore format: one line
    const calls = [{ name: "lseek", args: [] }, { name: "flock", args: [3n] }, { name: "flock", args: [4n] }, { name: "openat2", args: [] }]; // biome-ignore format: one line
    expect(agreed(input, calls)).toEqual(["errno 1", "errno 1", "errno 1", "errno 38"]);
  });
  test("a filter without rules does what its default says", () => {
    const calls = [{ name: "lseek", args: [0xffff_ffffn] }, { name: "socket", args: [99n, 1n] }, { name: "600", args: [] }]; // biome-ignore format: one line
    for (const defaultAction of ["allow", "log"])
      expect(agreed(inputOf([], { ruleSets: [], defaultAction }), calls)).toEqual(["errno 9", "errno 97", "errno 38"]);
    const nothing = inputOf([], { ruleSets: [], defaultAction: "errno:1234" });
    expect(() => compileFilter(nothing)).toThrow("the program could never start");
  });
  test("numbers beyond the table get ENOSYS whatever the default", () => {
    const start = { names: ["execve", "read", "write", "exit_group", "exit"], action: "allow", args: [] };
    for (const defaultAction of ["allow", "log", "kill", "trap", "errno:1234"]) {
      const calls = ["457", "600", `${0x3fff_ffff}`].map((name) => ({ name, args: [] }));
      expect(agreed(inputOf([start], { ruleSets: [], defaultAction }), calls)).toEqual(["errno 38", "errno 38", "errno 38"]);
    }
  });
  test("errnos by name and by number, and every other action", () => {
    const rules = [own([], "lseek", "errno:EXDEV"), own([], "flock", "errno:4095"), own([], "statx", "kill"), own([], "socket", "trap"), own([], "personality", "log")]; // biome-ignore format: one line
    const calls = ["lseek", "flock", "statx", "socket", "personality"].map((name) => ({ name, args: [0xffff_ffffn] }));
    expect(agreed(inputOf(rules), calls)).toEqual(["errno 18", "errno 4095", "signal 31", "signal 31", "ok"]);
  });
});
