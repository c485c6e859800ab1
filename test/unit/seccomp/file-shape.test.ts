import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { BelljarError } from "../../../policy/errors.ts";
import { problemsOf } from "../../../policy/profile/index.ts";
import { parseSeccompFile } from "../../../policy/seccomp/file-shape.ts";

const path = "/etc/app/seccomp.json";
const parse = (written: object | string) =>
  parseSeccompFile({ path, text: typeof written === "string" ? written : JSON.stringify(written) });
const errno = "SCMP_ACT_ERRNO";

function failure(written: object | string): BelljarError {
  try {
    parse(written);
  } catch (error) {
    if (error instanceof BelljarError) return error;
    throw error;
  }
  throw new Error("the file was taken");
}

/** [path, start of the message] of each problem. */
const problems = (written: object | string) => problemsOf(failure(written)).map(({ path: at, message }) => `${at}: ${message}`);
const ruleProblems = (rule: object) => problems({ defaultAction: errno, syscalls: [{ names: ["read"], action: errno, ...rule }] });
const argProblems = (arg: object) => ruleProblems({ args: [{ op: "SCMP_CMP_EQ", ...arg }] });

describe("a profile in Docker's format", () => {
  test("may use every field", () => {
    const { rules, warnings, ...rest } = parse({
      comment: "ours",
      defaultAction: errno,
      defaultErrnoRet: 1,
      defaultErrno: "ENOSYS",
      archMap: [
        { architecture: "SCMP_ARCH_X86_64", subArchitectures: ["SCMP_ARCH_X86"] },
        { architecture: "SCMP_ARCH_RISCV64", subArchitectures: null },
      ],
      flags: ["SECCOMP_FILTER_FLAG_LOG"],
      listenerPath: "/run/agent.sock",
      listenerMetadata: "x",
      syscalls: [
        {
          names: ["clone", "unshare"],
          action: "SCMP_ACT_ALLOW",
          args: [{ index: 0, value: 2114060288, valueTwo: 0, op: "SCMP_CMP_MASKED_EQ" }],
          includes: { caps: ["CAP_CHOWN"], arches: ["amd64"], minKernel: "4.8" },
          excludes: { caps: ["CAP_SYS_ADMIN"], minKernel: "" },
          comment: "threads",
        },
        { name: "ptrace", names: null, action: errno, errnoRet: 22, args: null, includes: {}, excludes: null, comment: "" },
      ],
    });
    expect(rest).toEqual({ defaultAction: "errno", defaultErrno: 38 });
    expect(rules).toEqual([
      {
        names: ["clone", "unshare"],
        action: "allow",
        errno: null,
        args: [{ index: 0, op: "masked-eq", value: 0x7e020000n, valueTwo: 0n }],
        includes: { caps: ["CAP_CHOWN"], arches: ["amd64"], minKernel: "4.8" },
        excludes: { caps: ["CAP_SYS_ADMIN"], arches: [], minKernel: null },
        comment: "threads",
      },
      {
        ...{ names: ["ptrace"], action: "errno", errno: 22, args: [], comment: null },
        includes: { caps: [], arches: [], minKernel: null },
        excludes: { caps: [], arches: [], minKernel: null },
      },
    ]);
    expect(warnings.map((warning) => warning.split(":")[0])).toEqual(["flags", "listenerPath", "listenerMetadata"]);
  });

  test("may consist of a default alone", () => {
    expect(parse({ defaultAction: "SCMP_ACT_LOG" })).toEqual({ defaultAction: "log", defaultErrno: null, rules: [], warnings: [] });
  });

  test.each([
    ["SCMP_ACT_KILL", "kill-thread"],
    ["SCMP_ACT_KILL_THREAD", "kill-thread"],
    ["SCMP_ACT_KILL_PROCESS", "kill"],
    ["SCMP_ACT_TRAP", "trap"],
    ["SCMP_ACT_ERRNO", "errno"],
    ["SCMP_ACT_TRACE", "trace"],
    ["SCMP_ACT_LOG", "log"],
    ["SCMP_ACT_ALLOW", "allow"],
  ])("%s", (written, meant) => expect(parse({ defaultAction: written }).defaultAction).toBe(meant));

  test("keeps 64 bits of a number that JSON.parse would round", () => {
    const args = '{"index":1,"op":"SCMP_CMP_EQ","value":18446744073709551615},{"index":2,"op":"SCMP_CMP_LE","value":9007199254740993}';
    const { rules } = parse(`{"defaultAction":"${errno}","syscalls":[{"names":["lseek"],"action":"SCMP_ACT_ALLOW","args":[${args}]}]}`);
    expect(rules[0]?.args.map(({ value }) => value)).toEqual([(1n << 64n) - 1n, 9007199254740993n]);
  });

  test.each<[string, object | string, string[]]>([
    ["an empty file", "", [": is not valid JSON: the file is empty (line 1, column 1)"]],
    ["no object", "[]", [": must be a JSON object (got [])"]],
    [
      "nothing",
      {},
      [
        "defaultAction: is missing: one of SCMP_ACT_KILL, SCMP_ACT_KILL_THREAD, SCMP_ACT_KILL_PROCESS, SCMP_ACT_TRAP, SCMP_ACT_ERRNO, SCMP_ACT_TRACE, SCMP_ACT_LOG, SCMP_ACT_ALLOW",
      ],
    ],
    [
      "keys given twice",
      `{"defaultAction":"${errno}","syscalls":[{"names":["a"],"action":"${errno}","action":"SCMP_ACT_ALLOW"}]}`,
      ["syscalls[0].action: is given twice (again in line 1, column 88)"],
    ],
    ["a key of ours", { defaultAction: errno, rules: [] }, ["rules: is not a known key"]],
    [
      "an agent",
      { defaultAction: "SCMP_ACT_NOTIFY" },
      ['defaultAction: "SCMP_ACT_NOTIFY" asks an agent outside, which belljar has none of'],
    ],
    ["a type", { defaultAction: 1 }, ["defaultAction: must be one of "]],
    ["no list", { defaultAction: errno, syscalls: {} }, ["syscalls: must be a list (got {})"]],
    ["a hole", { defaultAction: errno, syscalls: [null] }, ["syscalls[0]: must be an object (got undefined)"]],
    [
      "both lists of architectures",
      { defaultAction: errno, architectures: ["SCMP_ARCH_X86"], archMap: [{ architecture: "SCMP_ARCH_X86" }] },
      ['archMap: stands beside "architectures": use one of them'],
    ],
    [
      "a flag",
      { defaultAction: errno, flags: ["SECCOMP_FILTER_FLAG_NEW_LISTENER"] },
      ["flags[0]: must be one of SECCOMP_FILTER_FLAG_TSYNC"],
    ],
    [
      "an architecture",
      { defaultAction: errno, archMap: [{ architecture: "amd64" }] },
      ['archMap[0].architecture: must be an architecture such as "SCMP_ARCH_X86_64" (got "amd64")'],
    ],
    ["an errno of 0", { defaultAction: errno, defaultErrnoRet: 0 }, ["defaultErrnoRet: must be an errno from 1 to 4095 (got 0)"]],
    [
      "an errno without meaning",
      { defaultAction: errno, defaultErrno: "ENOTREAL" },
      ['defaultErrno: must be the name of an errno, or a number from 1 to 4095 (got "ENOTREAL")'],
    ],
  ])("refuses %s", (_what, written, expected) => {
    const error = failure(written);
    expect(error.code).toBe("profile-invalid");
    expect(error.message).toContain(`profile '${path}': `);
    expect(problems(written)).toEqual(expected.map((start) => expect.stringContaining(start)));
  });

  test.each<[string, object, string[]]>([
    ["a misspelt key", { arg: [] }, ['arg: is not a known key (did you mean "args"?)']],
    ["no names", { names: undefined }, ["names: is missing"]],
    ["name and names", { name: "write" }, ['name: stands beside "names"']],
    [
      "names that are none",
      { names: ["read", "", "a b", "\u001b[31m", 3] },
      ["names[1]: ", "names[2]: ", "names[3]: ", "names[4]: must be the name"],
    ],
    ["an unknown action", { action: "errno" }, ["action: must be one of SCMP_ACT_KILL"]],
    ["an errno beyond the kernel's", { errnoRet: 4096 }, ["errnoRet: must be an errno from 1 to 4095 (got 4096)"]],
    ["an errno below", { errnoRet: -1 }, ["errnoRet: must be an errno from 1 to 4095 (got -1)"]],
    ["an errno of another type", { errnoRet: "EPERM" }, ["errnoRet: "]],
    ["a comment of another type", { comment: 1 }, ["comment: must be a string (got 1)"]],
    ["capabilities of another type", { includes: { caps: "CAP_CHOWN" } }, ['includes.caps: must be a list (got "CAP_CHOWN")']],
    [
      "a condition that nobody knows",
      { excludes: { maxKernel: "5.0" } },
      ['excludes.maxKernel: is not a known key (did you mean "minKernel"?)'],
    ],
    [
      "a kernel that is none",
      { includes: { minKernel: "four" } },
      ['includes.minKernel: must be a kernel version such as "4.8" (got "four")'],
    ],
    ["a kernel with a tail", { includes: { minKernel: "4.8-rc1" } }, ["includes.minKernel: "]],
  ])("refuses a rule with %s", (_what, rule, expected) => {
    expect(ruleProblems(rule)).toEqual(expected.map((start) => expect.stringContaining(`syscalls[0].${start}`)));
  });

  test.each<[string, object, string]>([
    ["an index of 6", { index: 6 }, "index: must be from 0 to 5 (got 6)"],
    ["an index of text", { index: "0" }, "index: must be from 0 to 5"],
    ["an operator", { op: "SCMP_CMP_XX" }, "op: must be one of SCMP_CMP_NE"],
    ["no operator", { op: null }, "op: is missing"],
    ["a negative value", { value: -1 }, "value: must be a whole number from 0 to 2^64-1 (got -1)"],
    ["a fraction", { value: 1.5 }, "value: must be a whole number from 0 to 2^64-1 (got 1.5)"],
    ["a text", { value: "0x10" }, 'value: must be a whole number from 0 to 2^64-1 (got "0x10")'],
    ["bits outside the mask", { op: "SCMP_CMP_MASKED_EQ", value: 1, valueTwo: 3 }, "valueTwo: has bits outside the mask"],
    ["a width", { width: 32 }, "width: is not a known key"],
  ])("refuses a condition with %s", (_what, arg, expected) => {
    expect(argProblems(arg)).toEqual([expect.stringContaining(`syscalls[0].args[0].${expected}`)]);
  });

  test.each([["18446744073709551616"], ["1e17"], ["-0.5"]])("refuses the number %s", (number) => {
    const text = `{"defaultAction":"${errno}","syscalls":[{"names":["a"],"action":"${errno}","args":[{"op":"SCMP_CMP_EQ","value":${number}}]}]}`;
    expect(problems(text)).toEqual([expect.stringContaining("syscalls[0].args[0].value: must be a whole number from 0 to 2^64-1 (got ")]);
  });

  test("whatever it holds, it is taken or refused with a path, and never anything else", () => {
    const words = fc.constantFrom("SCMP_ACT_ERRNO", "SCMP_ACT_ALLOW", "SCMP_CMP_EQ", "SCMP_CMP_MASKED_EQ", "read", "CAP_CHOWN", "amd64", "4.8", "", "__proto__", "constructor"); // biome-ignore format: one line
    const keys = fc.constantFrom("defaultAction", "defaultErrnoRet", "syscalls", "names", "name", "action", "args", "index", "op", "value", "valueTwo", "includes", "excludes", "caps", "arches", "minKernel", "errno", "errnoRet", "archMap", "architecture", "flags", "comment", "toString"); // biome-ignore format: one line
    const { tree } = fc.letrec((tie) => ({
      leaf: fc.oneof(words, fc.integer(), fc.double(), fc.boolean(), fc.constant(null), fc.maxSafeNat()),
      tree: fc.oneof({ maxDepth: 6 }, tie("leaf"), fc.array(tie("tree"), { maxLength: 4 }), fc.dictionary(keys, tie("tree"), { maxKeys: 6, noNullPrototype: true })), // biome-ignore format: one line
    }));
    const condition = fc.dictionary(keys, tree, { maxKeys: 4, noNullPrototype: true });
    const rule = fc.record({ names: fc.array(words), action: words, args: fc.array(fc.record({ index: fc.nat(7), op: words, value: fc.nat() })), includes: condition }); // biome-ignore format: one line
    let [taken, refused] = [0, 0];
    fc.assert(
      fc.property(
        fc.oneof(tree, fc.record({ defaultAction: words, syscalls: fc.array(fc.oneof(rule, tree), { maxLength: 4 }) })),
        (value) => {
          try {
            parse(JSON.stringify(value) ?? "");
            taken++;
          } catch (error) {
            if (!(error instanceof BelljarError)) throw error;
            expect(error.code).toBe("profile-invalid");
            expect(problemsOf(error).length).toBeGreaterThan(0);
            refused++;
          }
        },
      ),
      { numRuns: 1500 },
    );
    expect([taken > 10, refused > 500]).toEqual([true, true]);
  });

  test("is bounded: size, depth, and the time for a thousand kinds of nonsense", () => {
    expect(problems(`{"defaultAction":"${"x".repeat(1024 * 1024)}"}`)).toEqual([": is larger than 1024 KiB"]);
    expect(problems(`{"comment":${"[".repeat(40)}`)).toEqual([expect.stringContaining("nested deeper than 32 levels")]);
    const keys = Array.from({ length: 60_000 }, (_, i) => `"k${i}":0`).join();
    expect(problems(`{"defaultAction":"${errno}",${keys}}`)).toHaveLength(60_000);
    expect(failure(`{"defaultAction":"${errno}",${keys}}`).message.split("\n").length).toBeLessThan(30);
  });
});
