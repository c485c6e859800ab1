/** Things that filters of others get wrong, and that no other file here is about. In the kernel: test/native/seccomp-agree.test.ts. */
import { describe, expect, test } from "vitest";
import type { ResolvedSeccompRule } from "../../../policy/profile/types.ts";
import { compileAudit } from "../../../policy/seccomp/audit.ts";
import { compileBaseFilter, compileFilter, type FilterInput, simulateFilters, syscallNumbers } from "../../../policy/seccomp/index.ts";
import { outcomes, resolveBaseRules, resolveRules } from "../../../policy/seccomp/rules.ts";
import { auditArch } from "../../../policy/seccomp/syscalls.ts";
import { noRules } from "./interpret.ts";

const arch = "x86_64" as const;
const numbers = syscallNumbers(arch);
const own = (syscalls: readonly Partial<ResolvedSeccompRule>[], seccomp: Partial<FilterInput["seccomp"]> = {}): FilterInput => ({
  ...{ arch, capabilities: [], userNamespaces: "deny" },
  seccomp: {
    ...{ ...noRules, ruleSets: ["default"], ...seccomp },
    syscalls: syscalls.map((rule, i) => ({
      names: [],
      action: "allow",
      args: [],
      comment: null,
      origin: `p#seccomp.syscalls[${i}]`,
      ...rule,
    })),
  },
});

/**
 * What the kernel does when a filter is installed (kernel/seccomp.c, seccomp_is_const_allow): it runs the filter for each number with what it
 * knows then, the number and the architecture, and gives up where anything else is asked for. What is allowed so never reaches a filter again.
 */
function isConstantAllow(bytes: Uint8Array, nr: number): boolean {
  const program = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  let a = 0;
  for (let pc = 0; ; pc++) {
    const [code, jt, jf, k] = [program.getUint16(pc * 8, true), program.getUint8(pc * 8 + 2), program.getUint8(pc * 8 + 3), program.getUint32(pc * 8 + 4, true)]; // biome-ignore format: one line
    switch (code) {
      case 0x20:
        if (k !== 0 && k !== 4) return false;
        a = k === 0 ? nr : auditArch[arch];
        break;
      case 0x06:
        return k === 0x7fff0000;
      case 0x05:
        pc += k;
        break;
      case 0x15:
        pc += a === k ? jt : jf;
        break;
      case 0x25:
        pc += a > k ? jt : jf;
        break;
      case 0x35:
        pc += a >= k ? jt : jf;
        break;
      case 0x45:
        pc += (a & k) !== 0 ? jt : jf;
        break;
      case 0x54:
        a = (a & k) >>> 0;
        break;
      default:
        return false;
    }
  }
}

describe("calls whose answer hangs on no argument stay free of conditions, so that the kernel's bitmap of allowed calls covers them", () => {
  const always = (list: ReturnType<typeof outcomes>): boolean => list.every(({ action }) => action === 0x7fff0000);

  test.each([["default"], ["strict"], ["none"]])("rule set %s", (set) => {
    const input = own([], { ruleSets: [set] });
    const [base, profile] = [compileBaseFilter(input).bytes, compileFilter(input).bytes];
    const [baseRules, rules] = [resolveBaseRules(input), resolveRules(input)];
    let covered = 0;
    for (const [name, nr] of Object.entries(numbers)) {
      expect(isConstantAllow(base, nr), name).toBe(always(outcomes(baseRules, name)));
      expect(isConstantAllow(profile, nr), name).toBe(always(outcomes(rules, name)));
      if (isConstantAllow(base, nr) && isConstantAllow(profile, nr)) covered++;
    }
    expect(covered).toBeGreaterThan(set === "strict" ? 80 : 200);
    for (const name of ["read", "write", "getppid", "futex", "mmap", "close", "clock_gettime"]) {
      const nr = numbers[name] ?? -1;
      expect(isConstantAllow(base, nr) && isConstantAllow(profile, nr), name).toBe(true);
    }
  });
  test("conditions that change nothing are left out", () => {
    const eq = [{ index: 0 as const, op: "eq" as const, value: 1 }];
    const { bytes } = compileFilter(own([{ names: ["getppid"], args: eq }, { names: ["getppid"] }, { names: ["getpid"], args: [{ index: 0, op: "ge", value: 0 }] }])); // biome-ignore format: one line
    expect([isConstantAllow(bytes, numbers["getppid"] ?? -1), isConstantAllow(bytes, numbers["getpid"] ?? -1)]).toEqual([true, true]);
  });
  test("a condition that matters is seen by the test itself (the control)", () => {
    const { bytes } = compileFilter(own([{ names: ["getppid"], action: "errno:EPERM", args: [{ index: 0, op: "eq", value: 1 }] }]));
    expect(isConstantAllow(bytes, numbers["getppid"] ?? -1)).toBe(false);
  });
});

describe("a listener decides nothing", () => {
  const values = [0n, 1n, 2n, 16n, 0x5412n, 0x1_0000_5412n, 0x1000_0000n, 0xffff_ffff_ffff_ffffn];
  const rules = own([{ names: ["clone3", "ptrace"], action: "allow" }, { names: ["openat"], action: "kill", args: [{ index: 1, op: "lt", value: 4096 }] }]); // biome-ignore format: one line

  test.each([["audit"], ["learn"]] as const)("what may pass is settled by the filters before it hears of a call: %s", (purpose) => {
    const filters = compileAudit(rules, purpose);
    if (filters === null) throw new Error("too large");
    const plain = [compileBaseFilter(rules).bytes, compileFilter(rules).bytes];
    if (purpose === "audit") expect(filters.slots.filter(({ action }) => action === "pass")).toEqual([]);
    for (const nr of Object.values(numbers)) {
      for (const value of values) {
        const call = { arch, nr, args: [value, value, value] };
        const heard = simulateFilters([filters.base, filters.profile], call);
        if (heard.action !== "notify") continue;
        // The supervisor lets a call go on by its slot alone: only where the plain filters allow it with these very registers.
        const passes = filters.slots[heard.data]?.action === "pass";
        expect(passes, `${nr} ${value}`).toBe(simulateFilters(plain, call).action === "allow");
      }
    }
  });
});

describe("what can never be meant is said when the profile loads", () => {
  const warnings = (...syscalls: readonly Partial<ResolvedSeccompRule>[]) => compileFilter(own(syscalls)).warnings;

  test("contradictions between rules, with both of their places", () => {
    expect(warnings({ names: ["ptrace"], action: "kill" }, { names: ["ptrace"] })).toEqual([
      "p#seccomp.syscalls[1]: never applies to ptrace: p#seccomp.syscalls[0] conflicts and comes first",
    ]);
  });
  test("conditions that exclude each other by range", () => {
    for (const [a, b] of [[{ op: "lt", value: 5 }, { op: "gt", value: 9 }], [{ op: "eq", value: 3 }, { op: "ge", value: 4 }], [{ op: "le", value: 3 }, { op: "masked-eq", value: 4, mask: 4 }]] as const) // biome-ignore format: one line
      expect(warnings({ names: ["socket"], args: [{ index: 0, ...a }, { index: 0, ...b }] }), `${a.op} ${b.op}`).toEqual([
        "p#seccomp.syscalls[0]: never applies to socket: its conditions contradict each other",
      ]); // biome-ignore format: one line
  });
  test("a rule that wider ones before it leave nothing to", () => {
    const narrow = { names: ["socket"], action: "kill", args: [{ index: 0 as const, op: "eq" as const, value: 3 }] };
    expect(warnings({ names: ["socket"], args: [{ index: 0, op: "lt", value: 10 }] }, narrow)).toEqual([
      "p#seccomp.syscalls[1]: never applies to socket: rules before it decide every such call",
    ]);
  });
});
