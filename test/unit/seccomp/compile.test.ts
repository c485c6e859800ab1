import { describe, expect, test } from "vitest";
import { BelljarError } from "../../../policy/errors.ts";
import type { ResolvedSeccomp, ResolvedSeccompRule, SeccompArgSpec } from "../../../policy/profile/types.ts";
import { compileFilter, type FilterInput, simulate } from "../../../policy/seccomp/index.ts";
import { noRules } from "./interpret.ts";

function rule(names: readonly string[], action: string, args: readonly SeccompArgSpec[] = []): Omit<ResolvedSeccompRule, "origin"> {
  return { names, action, args, comment: null };
}

function input(
  seccomp: Partial<Omit<ResolvedSeccomp, "syscalls">>,
  rules: readonly Omit<ResolvedSeccompRule, "origin">[] = [],
): FilterInput {
  const syscalls = rules.map((each, i) => ({ ...each, origin: `p.json#seccomp.syscalls[${i}]` }));
  return { arch: "x86_64", capabilities: [], userNamespaces: "deny", seccomp: { ...noRules, ruleSets: ["default"], ...seccomp, syscalls } };
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

const where = "p.json#seccomp.syscalls[0]";
const start = ["execve", "read", "write", "exit_group"];

describe("actions", () => {
  test.each([
    ["errno:EPERM", 1],
    ["errno:1", 1],
    ["errno:ENOSYS", 38],
    ["errno:EWOULDBLOCK", 11],
    ["errno:4095", 4095],
  ])("%s", (action, data) => {
    const { bytes } = compileFilter(input({}, [rule(["getpid"], action)]));
    expect(simulate(bytes, { arch: "x86_64", nr: 39 })).toEqual({ action: "errno", data });
  });
  test.each([
    ["allow", "allow"],
    ["kill", "kill_process"],
    ["log", "log"],
    ["trap", "trap"],
  ])("%s", (word, action) => {
    const { bytes } = compileFilter(input({}, [rule(["getpid"], word)]));
    expect(simulate(bytes, { arch: "x86_64", nr: 39 })).toEqual({ action, data: 0 });
  });
  test.each([
    ["errno:0", "errno 0 would tell the program that a call succeeded which never ran"],
    ["errno:4096", "an errno lies between 1 and 4095"],
    ["errno:65537", "an errno lies between 1 and 4095"],
    ["errno:-1", "an errno lies between 1 and 4095"],
    ["errno:ENOTREAL", "no errno of that name"],
    ["errno:", "no errno of that name"],
    ["errno:toString", "no errno of that name"],
    ["EPERM", "no such action"],
    ["deny", "no such action"],
    ["", "no such action"],
    ["constructor", "no such action"],
  ])("'%s' is refused", (action, reason) => {
    const error = failure(input({}, [rule(["getpid"], action)]));
    expect(error.code).toBe("profile-invalid");
    expect(error.message).toBe(`${where}.action: '${action}': ${reason}`);
  });
  test("the hint gives the spelling", () => {
    expect(failure(input({}, [rule(["getpid"], "EPERM")])).hint).toBe("write errno:EPERM");
    const error = failure(input({ defaultAction: "errno:0" }));
    expect(error.message).toMatch(/^seccomp\.defaultAction: 'errno:0'/);
  });
});

describe("arguments", () => {
  const withArg = (name: string, arg: SeccompArgSpec): FilterInput => input({}, [rule([name], "errno:EPERM", [arg])]);

  test.each<[string, SeccompArgSpec, string]>([
    ["ioctl", { index: 1, op: "eq", value: 0x100005412 }, "value: 4294988818 does not fit the 32 bits that are compared"],
    ["fchmod", { index: 1, op: "eq", value: 0x10000 }, "value: 65536 does not fit the 16 bits that are compared"],
    [
      "lseek",
      { index: 1, op: "eq", value: "0x10000000000000000" },
      "value: 0x10000000000000000 does not fit the 64 bits that are compared",
    ],
    ["lseek", { index: 1, op: "eq", value: 2 ** 53 }, "value: 9007199254740992: not an exact integer"],
    ["lseek", { index: 1, op: "eq", value: 1.5 }, "value: 1.5: not an exact integer"],
    ["lseek", { index: 1, op: "eq", value: "ten" }, "value: 'ten': not an integer"],
    ["lseek", { index: 1, op: "eq", value: "" }, "value: '': not an integer"],
    ["lseek", { index: 1, op: "eq", value: 1, mask: 1 }, "mask: only masked-eq has a mask"],
    ["lseek", { index: 1, op: "masked-eq", value: 1 }, "mask: masked-eq needs a mask"],
    ["ioctl", { index: 1, op: "masked-eq", value: 1, mask: "0x1ffffffff" }, "mask: 0x1ffffffff does not fit the 32 bits that are compared"],
  ])("%s %o is refused", (name, arg, message) => {
    const error = failure(withArg(name, arg));
    expect(error.code).toBe("profile-invalid");
    expect(error.message).toBe(`${where}.args[0].${message}`);
  });

  test("negative values are two's complement of the width", () => {
    const { bytes } = compileFilter(withArg("openat", { index: 0, op: "eq", value: -100 }));
    const ask = (dirfd: bigint) => simulate(bytes, { arch: "x86_64", nr: 257, args: [dirfd] }).action;
    expect([ask(0xffffff9cn), ask(0xffffffffffffff9cn), ask(0n)]).toEqual(["errno", "errno", "allow"]);
  });

  test.each([32, 64] as const)("a width of %i that the kernel does not read is warned about", (width) => {
    const [name, index] = width === 64 ? (["ioctl", 1] as const) : (["lseek", 1] as const);
    const { warnings } = compileFilter(withArg(name, { index, op: "eq", value: 1, width }));
    expect(warnings).toEqual([expect.stringContaining(`${where}.args[0].width: `)]);
  });

  test("several conditions on one argument all have to hold", () => {
    const args: SeccompArgSpec[] = [
      { index: 0, op: "ne", value: 38 },
      { index: 0, op: "ne", value: 40 },
    ];
    const { bytes } = compileFilter(
      input({ ruleSets: ["none"] }, [rule(["socket"], "allow", args), rule(["socket"], "errno:EAFNOSUPPORT")]),
    );
    const ask = (domain: bigint) => simulate(bytes, { arch: "x86_64", nr: 41, args: [domain] }).action;
    expect([ask(38n), ask(40n), ask(39n), ask(0x100000028n)]).toEqual(["errno", "errno", "allow", "errno"]);
  });
});

describe("order", () => {
  const outcome = (of: FilterInput, nr: number, args: bigint[] = []) => simulate(compileFilter(of).bytes, { arch: "x86_64", nr, args });

  test("the profile's rules win over its rule sets", () => {
    expect(outcome(input({}, [rule(["ptrace"], "allow")]), 101).action).toBe("allow");
    expect(outcome(input({}, [rule(["getpid"], "kill")]), 39).action).toBe("kill_process");
  });
  test("a condition that fails leaves the call to the rule set", () => {
    const first = rule(["ptrace"], "allow", [{ index: 0, op: "eq", value: 0 }]);
    expect(outcome(input({}, [first]), 101, [0n]).action).toBe("allow");
    expect(outcome(input({}, [first]), 101, [1n])).toEqual({ action: "errno", data: 1 });
  });
  test("a later rule set wins over an earlier one", () => {
    expect(outcome(input({ ruleSets: ["strict", "default"] }), 41, [2n]).action).toBe("allow");
    expect(outcome(input({ ruleSets: ["default", "strict"] }), 16, [0n, 0x5412n])).toEqual({ action: "errno", data: 25 });
  });
  test("the first of two rules that apply decides", () => {
    const rules = [rule(["getpid"], "errno:EACCES", [{ index: 0, op: "gt", value: 5 }]), rule(["getpid"], "errno:ENOENT")];
    expect(outcome(input({}, rules), 39, [6n]).data).toBe(13);
    expect(outcome(input({}, rules), 39, [5n]).data).toBe(2);
  });
  test("capabilities and user namespaces lift what needs them", () => {
    const answer = (nr: number, grant: Partial<FilterInput>) => outcome({ ...input({}), ...grant }, nr).action;
    const [mount, sethostname] = [165, 170];
    const admin = { capabilities: ["CAP_SYS_ADMIN"] };
    expect([answer(sethostname, {}), answer(sethostname, admin)]).toEqual(["errno", "allow"]);
    expect(answer(sethostname, { capabilities: ["CAP_NET_ADMIN"] })).toBe("errno");
    expect([answer(mount, {}), answer(mount, admin), answer(mount, { userNamespaces: "allow" })]).toEqual(["errno", "errno", "allow"]);
  });
});

describe("warnings", () => {
  test("a name that no architecture has", () => {
    const { warnings } = compileFilter(input({}, [rule(["ptraec", "toString"], "kill")]));
    expect(warnings).toEqual([
      `${where}.names: 'ptraec': no system call of that name is known: the rule does nothing for it`,
      `${where}.names: 'toString': no system call of that name is known: the rule does nothing for it`,
    ]);
  });
  test("a name of another architecture only is a portable profile", () => {
    expect(compileFilter({ ...input({}, [rule(["open"], "errno:EPERM")]), arch: "aarch64" }).warnings).toEqual([]);
  });
  test("rules that come too late", () => {
    const rules = [rule(["getpid"], "kill"), rule(["getpid"], "allow"), rule(["getpid"], "kill")];
    expect(compileFilter(input({}, rules)).warnings).toEqual([
      "p.json#seccomp.syscalls[1]: never applies to getpid: p.json#seccomp.syscalls[0] conflicts and comes first",
      "p.json#seccomp.syscalls[2]: never applies to getpid: p.json#seccomp.syscalls[0] says the same first",
    ]);
  });
  test.each<[string, SeccompArgSpec[], string]>([
    ["lt 0", [{ index: 0, op: "lt", value: 0 }], "arg0 < 0x0 (32 bits) cannot hold"],
    ["gt all ones", [{ index: 1, op: "gt", value: "0xffffffff" }], "arg1 > 0xffffffff (32 bits) cannot hold"],
    ["bits outside the mask", [{ index: 1, op: "masked-eq", value: 3, mask: 1 }], "arg1 & 0x1 == 0x3 (32 bits) cannot hold"],
    ["two values", [{ index: 1, op: "eq", value: 3 }, { index: 1, op: "eq", value: 4 }], "its conditions contradict each other"], // biome-ignore format: one case a line
  ])("a rule that never applies: %s", (_title, args, reason) => {
    const { warnings } = compileFilter(input({}, [rule(["ioctl"], "kill", args)]));
    expect(warnings).toEqual([`${where}: never applies to ioctl: ${reason}`]);
  });
  test("a start that hangs on conditions", () => {
    const only = rule(["execve"], "errno:EPERM", [{ index: 2, op: "ne", value: 0 }]);
    expect(compileFilter(input({}, [only])).warnings).toEqual([
      "seccomp: execve is allowed only under conditions: the program may be unable to start",
    ]);
  });
});

describe("allow-lists", () => {
  test.each([
    [[], "execve, read, write, exit_group"],
    [["execve", "read", "write"], "exit_group"],
    [["read", "write", "exit_group"], "execve"],
  ])("%j cannot start a program", (names, missing) => {
    const error = failure(input({ ruleSets: [], defaultAction: "errno:EPERM" }, [rule(names, "allow")]));
    expect(error.code).toBe("profile-invalid");
    expect(error.message).toBe(`seccomp: the program could never start: ${missing} would be refused`);
  });
  test("execve denied over a rule set cannot start a program", () => {
    expect(failure(input({}, [rule(["execve"], "kill")])).message).toBe("seccomp: the program could never start: execve would be refused");
  });
  test("calls that libc tries first look absent; older ones and named ones are denied", () => {
    const { bytes } = compileFilter(
      input({ ruleSets: [], defaultAction: "errno:EPERM" }, [rule(start, "allow"), rule(["openat2"], "errno:EPERM")]),
    );
    const errno = (nr: number) => simulate(bytes, { arch: "x86_64", nr }).data;
    const [faccessat2, openat2, fchmodat2, statx, closeRange, clone3, mkdir] = [439, 437, 452, 332, 436, 435, 83].map(errno);
    expect({ faccessat2, fchmodat2, statx, closeRange, clone3 }).toEqual({
      faccessat2: 38,
      fchmodat2: 38,
      statx: 38,
      closeRange: 38,
      clone3: 38,
    });
    expect({ openat2, mkdir }).toEqual({ openat2: 1, mkdir: 1 });
  });
  test("kill as default kills calls without a rule, not those that are newer than the table", () => {
    const { bytes } = compileFilter(input({ ruleSets: [], defaultAction: "kill" }, [rule(start, "allow")]));
    expect(simulate(bytes, { arch: "x86_64", nr: 439 }).action).toBe("kill_process");
    expect(simulate(bytes, { arch: "x86_64", nr: 600 })).toEqual({ action: "errno", data: 38 });
  });
  test("a default of allow does not extend to calls that are newer than the table, but for none", () => {
    const newer = (seccomp: Partial<ResolvedSeccomp>) => simulate(compileFilter(input(seccomp)).bytes, { arch: "x86_64", nr: 600 });
    expect(newer({ defaultAction: "allow" })).toEqual({ action: "errno", data: 38 });
    expect(newer({ ruleSets: [], defaultAction: "allow" })).toEqual({ action: "errno", data: 38 });
    expect(newer({ ruleSets: ["none"] })).toEqual({ action: "allow", data: 0 });
  });
});

test("a default action that nothing is left for: a warning, and no other filter", () => {
  for (const arch of ["x86_64", "aarch64"] as const) {
    const of = (seccomp: Partial<ResolvedSeccomp>) => compileFilter({ ...input(seccomp), arch });
    const [plain, allow] = [of({}), of({ defaultAction: "allow" })];
    expect(allow.bytes).toEqual(plain.bytes);
    expect(plain.warnings).toEqual([]);
    expect(allow.warnings).toEqual([expect.stringContaining("seccomp.defaultAction: has no effect")]);
    const strict = of({ ruleSets: ["strict"], defaultAction: "kill" });
    expect(strict.warnings).toEqual([]);
    expect(strict.digest).not.toBe(of({ ruleSets: ["strict"] }).digest);
  }
});

describe("refusals", () => {
  test("no rule set and no default", () => {
    expect(failure(input({ ruleSets: [] })).message).toBe("seccomp: neither a rule set (extends) nor a defaultAction");
  });
  test("an unknown rule set", () => {
    const error = failure(input({ ruleSets: ["base"] }));
    expect([error.message, error.hint]).toEqual([
      "seccomp.extends: 'base': no such rule set",
      "built-in rule sets are default, strict, none",
    ]);
  });
  test("500 rules with 6 conditions are more than the kernel takes", () => {
    const args = [0, 1, 2, 3, 4, 5].map((index) => ({ index, op: "gt", value: "0x100000000" }) as SeccompArgSpec);
    const rules = Array.from({ length: 500 }, (_, i) =>
      rule(["mremap"], "errno:EPERM", [{ ...args[0], value: i } as SeccompArgSpec, ...args.slice(1)]),
    );
    const error = failure(input({}, rules));
    expect(error.code).toBe("profile-invalid");
    expect(error.message).toMatch(/^seccomp: the filter has \d{5} instructions, the kernel takes at most 4096$/);
  });
  test("a large filter that fits keeps its meaning across far jumps", () => {
    const rules = Array.from({ length: 150 }, (_, i) =>
      rule(["lseek", "mremap"], `errno:${i + 1}`, [
        { index: 1, op: "gt", value: `0x${(1_000_000 - i).toString(16)}` },
        { index: 2, op: "ne", value: 7, width: 64 },
      ]),
    );
    const { bytes, instructions } = compileFilter(input({}, rules));
    expect(instructions).toBeGreaterThan(2000);
    for (const nr of [8, 25]) {
      for (const [i, value] of [
        [0, 1_000_001n],
        [100, 999_901n],
        [149, 999_852n],
      ] as const) {
        // biome-ignore format: one case a line
        expect(simulate(bytes, { arch: "x86_64", nr, args: [0n, value] })).toEqual({ action: "errno", data: i + 1 });
      }
      expect(simulate(bytes, { arch: "x86_64", nr, args: [0n, 999_851n] }).action).toBe("allow");
    }
    expect(simulate(bytes, { arch: "x86_64", nr: 600 })).toEqual({ action: "errno", data: 38 });
    expect(simulate(bytes, { arch: "x86_64", nr: 0 }).action).toBe("allow");
  });
});
