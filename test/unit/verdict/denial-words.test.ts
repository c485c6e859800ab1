import { expect, test } from "vitest";
import { argumentCondition, argumentWords } from "../../../policy/verdict/denial-arguments.ts";
import { allowingRules, denialWords } from "../../../policy/verdict/denial-words.ts";
import type { Denial } from "../../../policy/verdict/report-types.ts";

const denial = (change: Partial<Denial>): Denial => ({
  ...{ syscall: "ptrace", arguments: null, count: 1, countExact: true, action: "errno:EPERM", rule: "default#ptrace" },
  ...change,
});

test("says which call, how often and by which rule", () => {
  const words = denialWords([
    denial({ arguments: { request: "PTRACE_TRACEME" }, count: 500 }),
    denial({ syscall: "mount", rule: "base#mounts" }),
    denial({ syscall: "bpf", arguments: { cmd: "5" }, count: 7, countExact: false, rule: "default#bpf" }),
    denial({ syscall: "acct" }),
    denial({ syscall: "swapon" }),
  ]);
  expect(words).toBe(
    "ptrace(PTRACE_TRACEME) 500 times by default#ptrace; mount once by base#mounts (of every sandbox); " +
      "bpf(5) about 7 times by default#bpf; 2 more in the report's denials",
  );
});

test("gives rules that allow just that, and none for what no profile lifts", () => {
  expect(allowingRules([denial({ syscall: "mount", rule: "base#mounts" })])).toBeNull();
  const rules = allowingRules([
    denial({ syscall: "socket", arguments: { domain: "AF_NETLINK", protocol: "9" } }),
    denial({ syscall: "ptrace" }),
    denial({ syscall: "ptrace" }),
  ]);
  expect(rules).toEqual([
    {
      names: ["socket"],
      action: "allow",
      args: [
        { index: 0, op: "eq", value: 16 },
        { index: 2, op: "eq", value: 9 },
      ],
      comment: "who needs it",
    },
    { names: ["ptrace"], action: "allow", comment: "who needs it" },
  ]);
});

test.each([
  ["ioctl", 1, 0x5412n],
  ["ioctl", 1, 0xdead_beefn],
  ["clone", 0, 0x1200011n],
  ["clone", 0, 0n],
  ["socket", 2, 7n],
  ["lseek", 3, 5000n],
] as const)("the condition for %s of what is said of argument %i is the value again", (syscall, index, value) => {
  const [name, text] = argumentWords(syscall, index, value);
  const condition = argumentCondition(syscall, { name, text });
  expect([condition?.index, BigInt(condition?.value ?? -1)]).toEqual([index, value]);
});
