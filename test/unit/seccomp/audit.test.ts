import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { builtinProfiles } from "../../../policy/profile/index.ts";
import type { ResolvedSeccomp } from "../../../policy/profile/types.ts";
import { compileAudit } from "../../../policy/seccomp/audit.ts";
import type { AuditFilters } from "../../../policy/seccomp/audit-types.ts";
import {
  type Answer,
  compileBaseFilter,
  compileFilter,
  type FilterInput,
  simulateFilters,
  syscallNumbers,
} from "../../../policy/seccomp/index.ts";

const arch = "x86_64" as const;
const numbers = syscallNumbers(arch);
const own = (syscalls: ResolvedSeccomp["syscalls"], ruleSets: readonly string[] = ["default"]): FilterInput => ({
  arch,
  capabilities: [],
  userNamespaces: "deny",
  seccomp: { ruleSets, defaultAction: null, audit: true, file: null, syscalls },
});

const rule = (names: readonly string[], action: string, args: ResolvedSeccomp["syscalls"][number]["args"] = []) =>
  ({ names, action, args, comment: null, origin: `own#${names[0]}` }) as ResolvedSeccomp["syscalls"][number];

function audit(input: FilterInput, purpose: "audit" | "learn" = "audit"): AuditFilters {
  const filters = compileAudit(input, purpose);
  if (filters === null) throw new Error("too large");
  return filters;
}

/** What the program gets: of a notification, what its slot says; without a listener ENOSYS. */
function heard(filters: AuditFilters, call: { readonly nr: number; readonly args?: readonly bigint[] }): Answer {
  const answer = simulateFilters([filters.base, filters.profile], { arch, ...call });
  if (answer.action !== "notify") return answer;
  const slot = filters.slots[answer.data];
  if (slot === undefined) throw new Error(`no slot ${answer.data}`);
  if (slot.action === "pass") return { action: "allow", data: 0 };
  return slot.action === "kill" ? { action: "kill_process", data: 0 } : { action: "errno", data: slot.error };
}

const values = [
  0n,
  1n,
  2n,
  3n,
  4n,
  8n,
  10n,
  16n,
  17n,
  22n,
  31n,
  40n,
  0x5412n,
  0x1_0000_5412n,
  0x1000_0000n,
  0x7e02_0000n,
  0xffff_ffffn,
  1n << 63n,
];
const inputs: readonly (readonly [string, FilterInput])[] = [
  ["default", own([])],
  ["strict", own([], ["strict"])],
  ["none", own([], ["none"])],
  ["user namespaces allowed", { ...own([]), userNamespaces: "allow" }],
  ["capabilities", { ...own([]), capabilities: ["CAP_SYS_ADMIN", "CAP_SYS_PTRACE", "CAP_NET_RAW"] }],
  [
    "rules of its own over what the base filter refuses",
    own([
      rule(["mount", "setns"], "allow"),
      rule(["umount2"], "kill"),
      rule(["prlimit64"], "errno:EPERM", [{ index: 1, op: "eq", value: 4 }]),
      rule(["ioctl"], "kill", [{ index: 1, op: "eq", value: 0x5412 }]),
      rule(["setpriority"], "trap", [{ index: 0, op: "eq", value: 2 }]),
      rule(["clone3"], "errno:EPERM"),
      rule(["unshare"], "kill"),
    ]),
  ],
];

describe("the audit filters", () => {
  test.each(inputs)("answer as the plain ones do (%s)", (_name, input) => {
    const plain = [compileBaseFilter(input).bytes, compileFilter(input).bytes];
    const filters = audit(input);
    for (const nr of [...Object.values(numbers), 9999, 0x4000_0000 + 1]) {
      const calls = [[], ...values.flatMap((a) => [[a], [0n, a], [a, a, a, a], [16n, 0n, a], [2n, 4n, a]])];
      // A second listener is refused by us with what the kernel would say.
      for (const args of calls.filter((one) => nr !== numbers["seccomp"] || ((one[1] ?? 0n) & 8n) === 0n))
        expect(heard(filters, { nr, args }), `${nr} ${args}`).toEqual(simulateFilters(plain, { arch, nr, args }));
    }
  });

  test("for any rules of a profile's own", () => {
    const action = fc.constantFrom("allow", "errno:EPERM", "errno:ENOSYS", "errno:EACCES", "kill", "trap", "log");
    const name = fc.constantFrom("mount", "prlimit64", "ioctl", "clone", "clone3", "socket", "ptrace", "getpid", "setrlimit");
    const op = fc.constantFrom("eq" as const, "ne" as const, "lt" as const, "ge" as const);
    const args = fc.array(fc.record({ index: fc.constantFrom(0, 1, 2), op, value: fc.constantFrom(1, 4, 0x5412, 16) }), { maxLength: 2 });
    const rules = fc.array(
      fc.tuple(name, action, args).map(([n, a, conditions]) => rule([n], a, conditions)),
      { maxLength: 6 },
    );
    fc.assert(
      fc.property(rules, fc.constantFrom("default", "none"), (syscalls, set) => {
        const input = own(syscalls, [set]);
        const plain = [compileBaseFilter(input).bytes, compileFilter(input).bytes];
        const filters = audit(input);
        for (const nr of ["mount", "prlimit64", "ioctl", "clone", "clone3", "socket", "ptrace", "getpid", "setrlimit"].map(
          (n) => numbers[n] ?? 0,
        ))
          for (const a of [0n, 1n, 4n, 16n])
            for (const b of [0n, 4n, 0x5412n]) {
              const call = { arch, nr, args: [a, b, a] };
              expect(heard(filters, call)).toEqual(simulateFilters(plain, call));
            }
      }),
      { numRuns: 60 },
    );
  });

  test("leave calls that are allowed to the kernel", () => {
    const filters = audit(own([]));
    for (const name of ["read", "getppid", "openat", "futex", "execve"])
      expect(simulateFilters([filters.base, filters.profile], { arch, nr: numbers[name] ?? 0 }).action).toBe("allow");
  });

  test("do not hear of answers that stand for an older kernel, or of traps", () => {
    const filters = audit(own([rule(["ptrace"], "trap"), rule(["bpf"], "errno:ENOSYS")]));
    for (const name of ["clone3", "ptrace", "bpf"])
      expect(simulateFilters([filters.base, filters.profile], { arch, nr: numbers[name] ?? 0 }).action).not.toBe("notify");
  });

  test("refuse a second listener, so that nobody answers for the base filter when the first is closed", () => {
    const filters = audit(own([]));
    const ask = (flags: bigint) =>
      simulateFilters([filters.base, filters.profile], { arch, nr: numbers["seccomp"] ?? 0, args: [1n, flags] });
    expect(ask(8n)).toEqual({ action: "errno", data: 16 });
    expect(ask(0xffff_ffff_0000_0008n)).toEqual({ action: "errno", data: 16 });
    expect(ask(1n)).toEqual({ action: "allow", data: 0 });
  });

  test("the base filter alone allows nothing that the plain one refuses", () => {
    const input = own([]);
    const [plain, { base }] = [compileBaseFilter(input).bytes, audit(input)];
    for (const nr of Object.values(numbers))
      for (const a of values) {
        const call = { arch, nr, args: [a, a, a] };
        expect(simulateFilters([base], call).action === "allow", `${nr}`).toBe(simulateFilters([plain], call).action === "allow");
      }
  });

  test("name the rule, and for what no profile can lift the ceiling's", () => {
    const filters = audit(own([rule(["getppid"], "errno:EACCES")]));
    const ruleOf = (nr: number, args: readonly bigint[] = []) =>
      filters.slots[simulateFilters([filters.base, filters.profile], { arch, nr, args }).data]?.rule;
    expect(ruleOf(numbers["ptrace"] ?? 0)).toBe("default#ptrace");
    expect(ruleOf(numbers["getppid"] ?? 0)).toBe("own#getppid");
    expect(ruleOf(numbers["mount"] ?? 0)).toBe("base#mounts");
    expect(ruleOf(numbers["clone"] ?? 0, [0x1000_0000n])).toBe("base#user-namespaces");
    expect(ruleOf(numbers["socket"] ?? 0, [40n])).toBe("default#socket-families");
  });

  test("tell calls apart by numbers, and not by where a pointer leads to", () => {
    const told = (input: FilterInput, name: string) =>
      audit(input).arguments.flatMap(({ syscall, index }) => (syscall === numbers[name] ? [index] : []));
    expect(told(own([]), "prlimit64")).toEqual([0, 1]);
    expect(told(own([], ["strict"]), "sendto")).toEqual([]);
    expect(told(own([rule(["lseek"], "errno:EPERM", [{ index: 1, op: "lt", value: 9 }])]), "lseek")).toEqual([1]);
  });

  test("to learn, hear of every call that is allowed but those that start and end a program", () => {
    const filters = audit(own([]), "learn");
    const slotOf = (name: string) => {
      const { action, data } = simulateFilters([filters.base, filters.profile], { arch, nr: numbers[name] ?? 0 });
      return action === "notify" ? filters.slots[data]?.action : action;
    };
    expect(slotOf("getppid")).toBe("pass");
    expect(slotOf("ptrace")).toBe("errno");
    for (const name of ["read", "write", "execve", "exit_group"]) expect(slotOf(name)).toBe("allow");
    expect(filters.arguments.filter(({ syscall }) => syscall === numbers["socket"]).map(({ index }) => index)).toEqual([0, 2]);
    expect(filters.arguments.filter(({ syscall }) => syscall === numbers["ioctl"]).map(({ index }) => index)).toEqual([1]);
  });

  test("fit the kernel for every built-in profile", () => {
    expect(Object.keys(builtinProfiles).length).toBeGreaterThan(3);
    for (const set of ["default", "strict", "none"])
      for (const purpose of ["audit", "learn"] as const) expect(audit(own([], [set]), purpose).profile.length / 8).toBeLessThan(1200);
  });
});
