import { describe, expect, test } from "vitest";
import { BelljarError } from "../../../policy/errors.ts";
import { compileFilter, explainSyscall, type FilterInput, formatAction, simulate, syscallNumbers } from "../../../policy/seccomp/index.ts";
import { noRules } from "./interpret.ts";

const path = "/etc/app/seccomp.json";
const numbers = syscallNumbers("x86_64");
const start = { names: ["execve", "read", "write", "exit_group"], action: "SCMP_ACT_ALLOW" };
const allow = (names: readonly string[], more: object = {}) => ({ names, action: "SCMP_ACT_ALLOW", ...more });
const deny = (names: readonly string[], more: object = {}) => ({ names, action: "SCMP_ACT_ERRNO", ...more });
const arg = (index: number, op: string, value: number | bigint, valueTwo = 0) => ({ index, op: `SCMP_CMP_${op}`, value, valueTwo });

type Context = Partial<Omit<FilterInput, "seccomp">> & { readonly seccomp?: Partial<FilterInput["seccomp"]> };
interface Written {
  readonly defaultAction?: string;
  readonly syscalls?: readonly object[];
  readonly [key: string]: unknown;
}

/** JSON with bigints as the numbers that they are. */
const json = (value: unknown): string =>
  JSON.stringify(value, (_key, inner) => (typeof inner === "bigint" ? `@${inner}@` : inner)).replace(/"@(\d+)@"/g, "$1");

function input(written: Written, context: Context = {}): FilterInput {
  const { syscalls = [], ...rest } = written;
  const text = json({ defaultAction: "SCMP_ACT_ERRNO", ...rest, syscalls: [start, ...syscalls] });
  const seccomp = { ...noRules, ruleSets: ["default"], file: { path, text }, ...context.seccomp };
  return { arch: "x86_64", capabilities: [], userNamespaces: "deny", kernel: "6.1.0-31-amd64", ...context, seccomp };
}

/** What the compiled filter answers, in the profile's words. */
function answer(of: FilterInput, name: string, ...args: readonly bigint[]): string {
  const { action, data } = simulate(compileFilter(of).bytes, { arch: of.arch, nr: numbers[name] ?? -1, args });
  return action === "errno" ? formatAction(0x50000 + data).slice("errno:".length) : action;
}

function failure(of: FilterInput): BelljarError {
  try {
    compileFilter(of);
  } catch (error) {
    if (error instanceof BelljarError) return error;
    throw error;
  }
  throw new Error("the filter compiled");
}

describe("which rules apply", () => {
  const both = [
    allow(["chroot"], { includes: { caps: ["CAP_SYS_CHROOT"] } }),
    deny(["chroot"], { excludes: { caps: ["CAP_SYS_CHROOT"] }, errnoRet: 22 }),
  ];
  test.each([
    [[], "EINVAL"],
    [["CAP_SYS_CHROOT"], "allow"],
    [["CAP_SYS_ADMIN"], "EINVAL"],
  ])("hangs on the program's capabilities: %j", (capabilities, expected) => {
    expect(answer(input({ syscalls: both }, { capabilities }), "chroot")).toBe(expected);
  });
  test("needs all of includes.caps, and none of excludes.caps", () => {
    const rule = { includes: { caps: ["CAP_CHOWN", "CAP_FOWNER"] }, excludes: { caps: ["CAP_KILL", "CAP_BPF"] } };
    const of = (...capabilities: string[]) => answer(input({ syscalls: [allow(["acct"], rule)] }, { capabilities }), "acct");
    expect([of("CAP_CHOWN"), of("CAP_CHOWN", "CAP_FOWNER"), of("CAP_CHOWN", "CAP_FOWNER", "CAP_BPF")]).toEqual(["EPERM", "allow", "EPERM"]);
  });
  test.each([
    ["includes", ["amd64"], "allow", "EPERM"],
    ["includes", ["arm64", "x32", "x86"], "EPERM", "allow"],
    ["includes", [], "allow", "allow"],
    ["excludes", ["amd64"], "EPERM", "allow"],
    ["excludes", ["s390", "s390x"], "allow", "allow"],
  ])("hangs on the architecture: %s %j", (key, arches, onX86, onArm) => {
    const of = (arch: "x86_64" | "aarch64") => input({ syscalls: [allow(["acct"], { [key]: { arches } })] }, { arch });
    expect(answer(of("x86_64"), "acct")).toBe(onX86);
    const { action } = simulate(compileFilter(of("aarch64")).bytes, { arch: "aarch64", nr: syscallNumbers("aarch64")["acct"] ?? -1 });
    expect(action === "allow" ? "allow" : "EPERM").toBe(onArm);
  });
  test.each([
    ["4.8", "6.1.0-31-amd64", true],
    ["4.8", "4.8.0", true],
    ["4.8", "4.7.99", false],
    ["4.8", "4.18.0-553.el8", true],
    ["4.8", "3.10.0", false],
    ["4.8.5", "4.8.0-1", true],
    ["6.10", "6.9.3", false],
    ["10.0", "9.99", false],
  ])("hangs on the kernel: %s on %s", (minKernel, kernel, reached) => {
    const of = (key: string) => answer(input({ syscalls: [allow(["ptrace"], { [key]: { minKernel } })] }, { kernel }), "ptrace");
    expect([of("includes"), of("excludes")]).toEqual(reached ? ["allow", "EPERM"] : ["EPERM", "allow"]);
  });
  test("a kernel without a number: refused only where a rule asks for it", () => {
    expect(answer(input({}, { kernel: null }), "acct")).toBe("EPERM");
    const asks = input({ syscalls: [allow(["ptrace"], { includes: { minKernel: "4.8" } })] }, { kernel: "mine" });
    expect(failure(asks).code).toBe("not-supported");
  });
});

describe("what happens to a call", () => {
  test("actions and errnos", () => {
    const syscalls = [
      { names: ["acct"], action: "SCMP_ACT_KILL" },
      { names: ["bpf"], action: "SCMP_ACT_KILL_PROCESS" },
      { names: ["chroot"], action: "SCMP_ACT_TRAP" },
      { names: ["getpid"], action: "SCMP_ACT_LOG" },
      { names: ["ptrace"], action: "SCMP_ACT_TRACE" },
      deny(["mount"]),
      deny(["umount2"], { errnoRet: 22 }),
      deny(["swapon"], { errnoRet: 22, errno: "EACCES" }),
      deny(["swapoff"], { errno: "95" }),
    ];
    const of = input({ defaultErrnoRet: 38, syscalls });
    const names = ["acct", "bpf", "chroot", "getpid", "ptrace", "mount", "umount2", "swapon", "swapoff", "reboot"];
    expect(names.map((name) => answer(of, name))).toEqual(
      ["kill_thread", "kill_process", "trap", "log", "ENOSYS", "EPERM", "EINVAL", "EACCES", "EOPNOTSUPP", "ENOSYS"], // biome-ignore format: one row
    );
    expect(compileFilter(of).warnings).toEqual([expect.stringContaining("SCMP_ACT_TRACE: there is no tracer")]);
  });
  test("names and name", () => {
    const of = input({ syscalls: [{ name: "acct", action: "SCMP_ACT_ALLOW" }, allow(["chroot"])] });
    expect([answer(of, "acct"), answer(of, "chroot"), answer(of, "mount")]).toEqual(["allow", "allow", "EPERM"]);
  });
  test("numbers beyond the table get ENOSYS whatever the default", () => {
    for (const defaultAction of ["SCMP_ACT_ALLOW", "SCMP_ACT_KILL_PROCESS", "SCMP_ACT_ERRNO"])
      expect(simulate(compileFilter(input({ defaultAction })).bytes, { arch: "x86_64", nr: 600 })).toEqual({ action: "errno", data: 38 });
  });
  test("the profile's own rules and default come before the file's", () => {
    const own = { names: ["acct"], action: "errno:EIO", args: [], comment: null, origin: "p#seccomp.syscalls[0]" };
    const of = input({ syscalls: [allow(["acct", "chroot"])] }, { seccomp: { syscalls: [own], defaultAction: "errno:EACCES" } });
    expect([answer(of, "acct"), answer(of, "chroot"), answer(of, "mount")]).toEqual(["EIO", "allow", "EACCES"]);
    expect(compileFilter(of).warnings).toEqual([]);
  });
  test("rule sets have no effect beside it, which is said of those that somebody chose", () => {
    const of = (ruleSets: readonly string[]) => compileFilter(input({}, { seccomp: { ruleSets } }));
    expect(of(["default"]).warnings).toEqual([]);
    expect(of(["strict"]).warnings).toEqual([
      "seccomp.extends: strict: has no effect beside seccomp.file, which stands in the place of rule sets",
    ]);
    expect(of(["strict"]).bytes).toEqual(of(["default"]).bytes);
  });
});

describe("rules for the same call", () => {
  const eq = (value: number) => ({ args: [arg(0, "EQ", value)] });
  test("one that says what the default says leaves the call to others", () => {
    const of = input({ syscalls: [deny(["ptrace", "openat2"]), allow(["ptrace"], eq(0))] });
    expect([answer(of, "ptrace", 0n), answer(of, "ptrace", 1n)]).toEqual(["allow", "EPERM"]);
    // What is named keeps the errno that the file says; other calls of its age look absent.
    expect([answer(of, "openat2"), answer(of, "faccessat2")]).toEqual(["EPERM", "ENOSYS"]);
    const later = input({ syscalls: [deny(["ptrace"]), allow(["ptrace"])] });
    expect(answer(later, "ptrace")).toBe("allow");
    expect(compileFilter(later).warnings).toEqual([
      `${path}#syscalls[1]: never applies to ptrace: ${path}#syscalls[2] conflicts and comes first`,
    ]);
  });
  test("one without conditions decides, the first of several", () => {
    const of = input({ syscalls: [allow(["ptrace"], eq(0)), deny(["ptrace"], { errnoRet: 22 }), allow(["ptrace"])] });
    expect([answer(of, "ptrace", 0n), answer(of, "ptrace", 1n)]).toEqual(["EINVAL", "EINVAL"]);
    expect(compileFilter(of).warnings).toEqual(
      [3, 1].map((index) => `${path}#syscalls[${index}]: never applies to ptrace: ${path}#syscalls[2] conflicts and comes first`),
    );
  });
  test("of those whose conditions hold the strictest decides", () => {
    const overlapping = [allow(["ptrace"], { args: [arg(0, "LT", 10)] }), deny(["ptrace"], { ...eq(5), errnoRet: 22 })];
    for (const syscalls of [overlapping, overlapping.toReversed()]) {
      const of = input({ syscalls });
      expect([4n, 5n, 10n].map((value) => answer(of, "ptrace", value))).toEqual(["allow", "EINVAL", "EPERM"]);
    }
  });
  test("the same said twice is nothing to warn of", () => {
    expect(
      compileFilter(input({ syscalls: [allow(["acct", "acct"]), allow(["acct"]), allow(["ptrace"], eq(0)), allow(["ptrace"], eq(0))] }))
        .warnings,
    ).toEqual([]);
  });
});

describe("conditions", () => {
  const only = (name: string, ...args: readonly object[]) => input({ syscalls: [allow([name], { args })] });
  const allowed = (of: FilterInput, name: string, values: readonly bigint[], index = 0) =>
    values.filter((value) => answer(of, name, ...Array.from({ length: index }, () => 0n), value) === "allow");

  test("compare the bits that the kernel reads: what leaks elsewhere does not here", () => {
    // The engines' own files have these: not AF_VSOCK; personalities by value; no namespace flag.
    const high = 1n << 32n;
    expect(allowed(only("socket", arg(0, "NE", 40)), "socket", [1n, 40n, 40n | high, 40n | (1n << 63n)])).toEqual([1n]);
    expect(allowed(only("personality", arg(0, "EQ", 8)), "personality", [8n, 8n | high, 9n])).toEqual([8n, 8n | high]);
    const clone = only("clone", arg(0, "MASKED_EQ", 0x7e020000, 0));
    expect(allowed(clone, "clone", [17n, 0x10000011n, 0x10000011n | high, 17n | high])).toEqual([17n, 17n | high]);
    const tiocsti = input({ defaultAction: "SCMP_ACT_ALLOW", syscalls: [deny(["ioctl"], { args: [arg(1, "EQ", 0x5412)] })] });
    expect([0x5412n, 0x5412n | high, 0x5413n].map((request) => answer(tiocsti, "ioctl", 0n, request))).toEqual(["EPERM", "EPERM", "allow"]);
  });
  test.each([
    ["EQ", [5n]],
    ["NE", [4n, 6n, 0xffff_ffffn]],
    ["LT", [4n]],
    ["LE", [4n, 5n]],
    ["GE", [5n, 6n, 0xffff_ffffn]],
    ["GT", [6n, 0xffff_ffffn]],
  ])("SCMP_CMP_%s of 32 bits, whatever lies above", (op, holds) => {
    const values = [4n, 5n, 6n, 0xffff_ffffn];
    const of = only("socket", arg(0, op, 5));
    expect(allowed(of, "socket", values)).toEqual(holds);
    expect(
      allowed(
        of,
        "socket",
        values.map((value) => value | (7n << 32n)),
      ),
    ).toEqual(holds.map((value) => value | (7n << 32n)));
  });
  test.each([
    ["EQ", [1n << 32n]],
    ["NE", [0n, (1n << 32n) + 1n, 1n << 63n]],
    ["LT", [0n]],
    ["LE", [0n, 1n << 32n]],
    ["GE", [1n << 32n, (1n << 32n) + 1n, 1n << 63n]],
    ["GT", [(1n << 32n) + 1n, 1n << 63n]],
  ])("SCMP_CMP_%s of 64 bits", (op, holds) => {
    expect(allowed(only("lseek", arg(1, op, 2 ** 32)), "lseek", [0n, 1n << 32n, (1n << 32n) + 1n, 1n << 63n], 1)).toEqual(holds);
  });
  test("of SCMP_CMP_MASKED_EQ, `value` is the mask and `valueTwo` what has to be left", () => {
    const of = only("lseek", arg(1, "MASKED_EQ", 0xf0, 0x50));
    expect(allowed(of, "lseek", [0x50n, 0x5fn, 0xf50n, 0x60n, 0xf0n], 1)).toEqual([0x50n, 0x5fn, 0xf50n]);
  });
  test("negative numbers in 64 bits are the same numbers in 32", () => {
    const minusOne = (1n << 64n) - 1n;
    const of = only("personality", arg(0, "EQ", minusOne));
    expect(allowed(of, "personality", [0xffff_ffffn, minusOne, 0n])).toEqual([0xffff_ffffn, minusOne]);
  });
  test.each([
    ["EQ", false],
    ["NE", true],
    ["LT", true],
    ["LE", true],
    ["GE", false],
    ["GT", false],
  ])("SCMP_CMP_%s with a value that the argument cannot have", (op, holds) => {
    const of = only("socket", arg(0, op, 0x1_0000_0028));
    expect(allowed(of, "socket", [0x28n, 0x1_0000_0028n]).length).toBe(holds ? 2 : 0);
    expect(compileFilter(of).warnings).toEqual(
      holds ? [] : [`${path}#syscalls[1].args[0]: never holds: the kernel reads fewer bits of that argument of socket`],
    );
  });
  test("one rule compares each call in its own width", () => {
    const of = input({ syscalls: [allow(["ioctl", "lseek"], { args: [arg(1, "EQ", 2)] })] });
    const high = (1n << 32n) + 2n;
    expect([answer(of, "ioctl", 0n, high), answer(of, "lseek", 0n, high)]).toEqual(["allow", "EPERM"]);
  });
  test("several on one argument all have to hold, which is said: elsewhere any will do", () => {
    const of = only("socket", arg(0, "NE", 38), arg(0, "NE", 40));
    expect(allowed(of, "socket", [38n, 39n, 40n])).toEqual([39n]);
    expect(compileFilter(of).warnings).toEqual([expect.stringContaining(`${path}#syscalls[1].args: several conditions on one argument`)]);
  });
  test.each([
    ["socket", 0, [["LT", 5], ["GT", 9]]],
    ["socket", 0, [["MASKED_EQ", 3], ["EQ", 6]]],
    ["lseek", 1, [["LE", 5], ["GE", 6]]],
    ["lseek", 1, [["EQ", 5], ["GT", 5]]],
  ] as const)("a refusal that can never hold is an error: %s, argument %d: %j", (name, index, conditions) => {
    const args = conditions.map(([op, value]) => arg(index, op, value));
    expect(failure(input({ defaultAction: "SCMP_ACT_ALLOW", syscalls: [deny([name], { args })] })).message).toContain("can never hold together");
  }); // biome-ignore format: rows
  test("an allowance that can never hold allows nothing; a refusal that can never hold is an error", () => {
    const never = { args: [arg(0, "EQ", 38), arg(0, "EQ", 40)] };
    const of = input({ syscalls: [allow(["socket"], never)] });
    expect(answer(of, "socket", 38n)).toBe("EPERM");
    expect(compileFilter(of).warnings).toContain(`${path}#syscalls[1]: never applies to socket: its conditions contradict each other`);
    const error = failure(input({ defaultAction: "SCMP_ACT_ALLOW", syscalls: [deny(["socket"], never)] }));
    expect([error.code, error.message]).toEqual([
      "profile-invalid",
      `profile '${path}': syscalls[1].args: can never hold together: write one rule for each condition`,
    ]);
  });
});

describe("warnings", () => {
  test("names of calls and capabilities that nothing knows: one each; calls of other architectures: none", () => {
    const names = ["listmount", "statmount", "lsm_get_self_attr", "frobnicate", "chown32", "s390_pci_mmio_read", "acct"];
    const { warnings } = compileFilter(input({ syscalls: [allow(names), allow([...names, "x"], { excludes: { caps: ["CAP_FROB"] } })] }));
    expect(warnings).toEqual([
      `${path}: no system calls of these names are known, their rules do nothing: listmount, statmount, lsm_get_self_attr, frobnicate, x`,
      `${path}: no capabilities of these names are known, so nothing has them: CAP_FROB`,
    ]);
  });
  test("a long list is cut", () => {
    const { warnings } = compileFilter(input({ syscalls: [allow(Array.from({ length: 20 }, (_, i) => `frob${i}`))] }));
    expect(warnings).toEqual([expect.stringMatching(/frob7 and 12 more$/)]);
  });
});

test("explain names the file, and the rule by its JSON path", () => {
  const of = input({ syscalls: [allow(["ptrace"], { args: [arg(0, "EQ", 0)], comment: "traceme" })] });
  expect(explainSyscall(of, "ptrace")).toEqual([
    { action: "allow", origin: `${path}#syscalls[1]`, comment: "traceme", conditions: ["arg0 == 0x0"] },
    { action: "errno:EPERM", origin: `${path}#defaultAction`, comment: null, conditions: [] },
  ]);
});

test("a file under which nothing could start is refused", () => {
  const text = json({ defaultAction: "SCMP_ACT_ERRNO", syscalls: [] });
  expect(failure({ ...input({}), seccomp: { ...noRules, file: { path, text } } }).message).toContain("the program could never start");
});

test("a hostile file of a megabyte is answered in time", () => {
  const args = (i: number) => [arg(1, "EQ", i), arg(2, "NE", i)];
  const many = Array.from({ length: 4500 }, (_, i) => allow(["lseek"], { args: args(i) }));
  expect(failure(input({ syscalls: many })).message).toMatch(/the filter has \d+ instructions, the kernel takes at most 4096/);
  const wide = Array.from({ length: 100_000 }, (_, i) => `n${i.toString(36)}`);
  expect(compileFilter(input({ syscalls: [allow(wide)] })).warnings).toHaveLength(1);
});
