/** Random rule sets and calls, with values where filters go wrong. */
import fc from "fast-check";
import type { Arch } from "../../../policy/compile/types.ts";
import type { ResolvedSeccompRule, SeccompArgSpec } from "../../../policy/profile/types.ts";
import { argumentWidth } from "../../../policy/seccomp/arguments.ts";
import { errnoNumbers } from "../../../policy/seccomp/errno.ts";
import type { Question } from "./interpret.ts";

const arch: fc.Arbitrary<Arch> = fc.constantFrom("x86_64", "aarch64");
// Of every width, close together and far apart in number, and present on both architectures.
export const names = [
  "ioctl",
  "lseek",
  "mmap",
  "fchmodat",
  "fchmod",
  "personality",
  "socket",
  "prctl",
  "clone",
  "futex",
  "prlimit64",
  "statx",
  "mremap",
];
export const operators = ["eq", "ne", "lt", "le", "gt", "ge", "masked-eq"] as const satisfies readonly SeccompArgSpec["op"][];
const action = fc.constantFrom("allow", "errno:EPERM", "errno:ENOSYS", "errno:4095", "kill", "log", "trap");

/** Values at and around the borders of the halves, where two-word comparisons go wrong. */
const interesting = fc.oneof(
  fc.constantFrom(0n, 1n, 2n, 0x5412n, 0xffffn, 0x10000n, 0x7fffffffn, 0x80000000n, 0xfffffffen, 0xffffffffn),
  fc.constantFrom(0x100000000n, 0x100000001n, 0xffffffff00000000n, 0x8000000000000000n, 0xffffffffffffffffn),
  fc.bigInt({ min: 0n, max: (1n << 64n) - 1n }),
);

/** A condition on an argument of that call. */
export function argSpec(name: string): fc.Arbitrary<SeccompArgSpec> {
  return fc
    .record({
      index: fc.constantFrom(0, 1, 2, 3, 4, 5),
      op: fc.constantFrom(...operators),
      value: interesting,
      mask: interesting,
      width: fc.constantFrom(undefined, undefined, undefined, 32, 64),
    })
    .map(({ index, op, value, mask, width }) => {
      const bits = width ?? argumentWidth(name, index);
      const narrow = (number: bigint): string => `0x${BigInt.asUintN(bits, number).toString(16)}`;
      const written = { index, op, value: narrow(op === "masked-eq" ? value & mask : value) } as SeccompArgSpec;
      return {
        ...written,
        ...(op === "masked-eq" ? { mask: narrow(mask) } : {}),
        ...(width === undefined ? {} : { width: width as 32 | 64 }),
      };
    });
}

const rule = fc.constantFrom(...names).chain((name) =>
  fc.record({
    names: fc.constant([name]),
    action,
    args: fc.array(argSpec(name), { maxLength: 4 }),
    comment: fc.constant(null),
  }),
);

export const question: fc.Arbitrary<Question> = fc.record({
  arch,
  capabilities: fc.constantFrom([], ["CAP_SYS_ADMIN"], ["CAP_NET_RAW"]),
  userNamespaces: fc.constantFrom("deny" as const, "allow" as const),
  seccomp: fc.record({
    audit: fc.constant(false),
    file: fc.constant(null),
    ruleSets: fc.constantFrom<readonly string[]>(["none"], ["default"], ["strict"], ["strict", "default"], ["default", "strict"]),
    defaultAction: fc.option(action),
    syscalls: fc
      .array(rule, { minLength: 1, maxLength: 12 })
      .map((rules) => rules.map((each, i): ResolvedSeccompRule => ({ ...each, origin: `p.json#seccomp.syscalls[${i}]` }))),
  }),
});

export function answerFor(text: string): { action: string; data: number } {
  if (text === "kill") return { action: "kill_process", data: 0 };
  const [word = "", errno] = text.split(":");
  if (errno === undefined) return { action: word, data: 0 };
  return { action: "errno", data: errnoNumbers[errno as keyof typeof errnoNumbers] ?? Number(errno) };
}

/** Values that the rules compare with, their neighbours, and each of them with junk in every higher half. */
export function argumentsFor(seccomp: Question["seccomp"]): fc.Arbitrary<bigint> {
  const compared = seccomp.syscalls.flatMap(({ args }) => args.flatMap(({ value, mask }) => [BigInt(value), BigInt(mask ?? 0)]));
  const near = compared.flatMap((value) => [value, value + 1n, value - 1n, value ^ (1n << 16n), value ^ (1n << 32n), value ^ (1n << 63n)]);
  return fc.oneof(
    fc.constantFrom(...near, 0n).map((value) => BigInt.asUintN(64, value)),
    interesting,
  );
}
