import { describe, expect, test } from "vitest";
import { makeAssembler } from "../../../policy/seccomp/assembler.ts";
import { disassemble, explainSyscall, type FilterInput, filterKey, simulate } from "../../../policy/seccomp/index.ts";
import { noRules } from "./interpret.ts";

const rule = {
  names: ["ptrace"],
  action: "errno:EACCES",
  args: [{ index: 0, op: "eq", value: 16 }],
  comment: "tests",
  origin: "p#seccomp.syscalls[0]",
} as const;
const input: FilterInput = {
  arch: "x86_64",
  capabilities: [],
  userNamespaces: "deny",
  seccomp: { ...noRules, ruleSets: ["default"], syscalls: [rule] },
};

describe("explainSyscall", () => {
  test("lists what can decide, in order, up to the rule without conditions", () => {
    expect(explainSyscall(input, "ptrace")).toEqual([
      { action: "errno:EACCES", origin: "p#seccomp.syscalls[0]", comment: "tests", conditions: ["arg0 == 0x10"] },
      { action: "errno:EPERM", origin: "default#ptrace", comment: expect.stringContaining("Debuggers"), conditions: [] },
    ]);
  });
  test("puts the base filter first, and alone where it decides", () => {
    expect(explainSyscall(input, "ioctl").map(({ origin }) => origin)).toEqual([
      "base#terminal-injection",
      "base#console-injection",
      "default#descriptors",
    ]);
    expect(explainSyscall(input, "clone3").map(({ origin }) => origin)).toEqual(["base#clone3"]);
    expect(explainSyscall({ ...input, userNamespaces: "allow" }, "clone3").map(({ origin, action }) => [origin, action])).toEqual([
      ["default#clone3", "allow"],
    ]);
  });
  test("ends at the default where no rule is unconditional", () => {
    const strict = { ...input, seccomp: { ...noRules, ruleSets: ["strict"] } };
    expect(explainSyscall(strict, "socketpair").at(-1)).toEqual({
      action: "errno:EPERM",
      origin: "strict#default",
      comment: null,
      conditions: [],
    });
    expect(explainSyscall(strict, "memfd_create")).toEqual([
      { action: "errno:ENOSYS", origin: "strict#default", comment: null, conditions: [] },
    ]);
  });
  test("knows what an architecture lacks, and refuses names that none has", () => {
    expect(explainSyscall({ ...input, arch: "aarch64" }, "open")).toMatchObject([{ action: "errno:ENOSYS", origin: "unknown" }]);
    const none = { ...input, arch: "aarch64", seccomp: { ...noRules, ruleSets: ["none"] } } as const;
    expect(explainSyscall(none, "open")).toMatchObject([{ action: "errno:ENOSYS", origin: "unknown" }]);
    expect(() => explainSyscall(input, "opne")).toThrow(
      expect.objectContaining({ code: "usage", message: expect.stringContaining("'opne'") }),
    );
  });
});

describe("filterKey", () => {
  const key = filterKey(input, "one build");
  test("depends on the build", () => expect(filterKey(input, "another build")).not.toBe(key));
  test("is a name for a file", () => expect(key).toMatch(/^[0-9a-f]{64}$/));
  test("is the same for what compiles to the same", () => {
    const reordered = {
      ...input,
      capabilities: [],
      seccomp: { ...input.seccomp, syscalls: [Object.fromEntries(Object.entries(rule).reverse())] },
    };
    expect(filterKey(reordered as unknown as FilterInput, "one build")).toBe(key);
    expect(filterKey({ ...input, seccomp: { ...input.seccomp, audit: true } }, "one build")).toBe(key);
  });
  test.each<[string, Partial<FilterInput>]>([
    ["architecture", { arch: "aarch64" }],
    ["capabilities", { capabilities: ["CAP_SYS_ADMIN"] }],
    ["user namespaces", { userNamespaces: "allow" }],
    ["pinning", { pinned: true }],
    ["rule sets", { seccomp: { ...input.seccomp, ruleSets: ["strict"] } }],
    ["default", { seccomp: { ...input.seccomp, defaultAction: "kill" } }],
    ["rules", { seccomp: { ...input.seccomp, syscalls: [{ ...rule, action: "kill" }] } }],
    ["origin, which warnings name", { seccomp: { ...input.seccomp, syscalls: [{ ...rule, origin: "q" }] } }],
  ])("depends on: %s", (_what, change) => {
    expect(filterKey({ ...input, ...change }, "one build")).not.toBe(key);
  });
});

describe("assembler", () => {
  test("reaches far targets on either side", () => {
    for (const padding of [0, 253, 254, 255, 256, 300, 3000]) {
      const assembler = makeAssembler();
      const [yes, no, near] = [assembler.label(), assembler.label(), assembler.label()];
      assembler.load(0);
      assembler.branch("equal", { k: 1, yes, no: near });
      assembler.place(near);
      assembler.branch("equal", { k: 2, yes: no, no });
      for (let i = 0; i < padding; i++) assembler.load(4);
      assembler.place(no);
      assembler.ret(0x00050000 + 2);
      assembler.place(yes);
      assembler.ret(0x00050000 + 1);
      const bytes = assembler.assemble();
      expect(simulate(bytes, { arch: "x86_64", nr: 1 }).data).toBe(1);
      expect(simulate(bytes, { arch: "x86_64", nr: 2 }).data).toBe(2);
      expect(simulate(bytes, { arch: "x86_64", nr: 3 }).data).toBe(2);
    }
  });
  test("refuses to jump back, or to nowhere", () => {
    const assembler = makeAssembler();
    const [back, nowhere] = [assembler.label(), assembler.label()];
    assembler.place(back);
    assembler.branch("equal", { k: 1, yes: back, no: nowhere });
    expect(() => assembler.assemble()).toThrow(RangeError);
  });
  test("is readable", () => {
    const assembler = makeAssembler();
    const [yes, no] = [assembler.label(), assembler.label()];
    assembler.load(28);
    assembler.and(0xffff);
    assembler.branch("greater", { k: 0xc000003e, yes, no });
    assembler.place(yes);
    assembler.ret(0x7fff0000);
    assembler.place(no);
    assembler.ret(0x00050001);
    expect(disassemble(assembler.assemble()).split("\n")).toEqual([
      "   0: ld   arg1.high",
      "   1: and  0xffff",
      "   2: jgt  x86_64       -> 3 else 4",
      "   3: ret  allow",
      "   4: ret  errno:EPERM",
      "",
    ]);
  });
});
