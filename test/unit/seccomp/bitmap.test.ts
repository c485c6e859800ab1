/**
 * The kernel answers calls from a bitmap, without running a filter, where every filter allows them whatever their arguments are (Linux 5.11,
 * seccomp_is_const_allow): a filter must not look at the arguments of calls that programs make all the time.
 */
import { describe, expect, test } from "vitest";
import type { Arch } from "../../../policy/compile/types.ts";
import { loadBuiltin } from "../../../policy/profile/builtin.ts";
import { resolveProfile } from "../../../policy/profile/index.ts";
import { opcode } from "../../../policy/seccomp/assembler.ts";
import { compileFilters } from "../../../policy/seccomp/filters.ts";
import { auditArch, syscallNumbers } from "../../../policy/seccomp/syscalls.ts";

/** What a program does in its loops. */
const hot = [
  ...["read", "write", "pread64", "pwrite64", "readv", "writev", "lseek", "openat", "close", "fstat", "newfstatat", "statx", "getdents64"],
  ...[
    "mmap",
    "munmap",
    "mprotect",
    "madvise",
    "brk",
    "futex",
    "sched_yield",
    "epoll_pwait",
    "ppoll",
    "clock_nanosleep",
    "getppid",
    "getpid",
  ],
  ...["rt_sigaction", "rt_sigprocmask", "rt_sigreturn", "sendto", "recvfrom", "pipe2", "dup3", "getrandom", "fsync", "ftruncate"],
];

/** As the kernel does: with the number and the architecture known, and nothing else. */
function isConstantAllow(bytes: Uint8Array, call: { readonly arch: Arch; readonly nr: number }): boolean {
  const program = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  let accumulator = 0;
  for (let at = 0; ; at += 8) {
    const k = program.getUint32(at + 4, true);
    const jump = (taken: boolean): number => program.getUint8(at + (taken ? 2 : 3)) * 8;
    switch (program.getUint16(at, true)) {
      case opcode.load:
        if (k > 4) return false;
        accumulator = k === 0 ? call.nr : auditArch[call.arch];
        break;
      case opcode.and:
        accumulator = (accumulator & k) >>> 0;
        break;
      case opcode.jump:
        at += k * 8;
        break;
      case opcode.equal:
        at += jump(accumulator === k);
        break;
      case opcode.greater:
        at += jump(accumulator > k);
        break;
      case opcode.greaterOrEqual:
        at += jump(accumulator >= k);
        break;
      case opcode.anyBit:
        at += jump((accumulator & k) !== 0);
        break;
      case opcode.return:
        return k === 0x7fff0000;
      default:
        return false;
    }
  }
}

/** Under strict there is nothing to send to but the other half of a pair, which wakes a loop: its address is looked at. */
const cold: Readonly<Record<string, readonly string[]>> = { strict: ["sendto"] };

const profiles = ["default", "judge", "compile", "strict", "image", "unlimited"];

describe.each(["x86_64", "aarch64"] as const)("on %s", (arch) => {
  const numbers = syscallNumbers(arch);
  test.each(profiles)("%s answers hot calls from the kernel's bitmap, audited or not", (name) => {
    const load = (wanted: string) => {
      const found = loadBuiltin(wanted);
      if (found === null) throw new Error(wanted);
      return found;
    };
    const { policy } = resolveProfile(name, { load, overrides: [] });
    const input = { arch, seccomp: policy.seccomp, capabilities: policy.capabilities, userNamespaces: policy.namespaces.user };
    const { base, profile, audit } = compileFilters(input, "audit");
    const slow = (filters: readonly Uint8Array[]) =>
      hot.filter(
        (call) => !cold[name]?.includes(call) && !filters.every((bytes) => isConstantAllow(bytes, { arch, nr: numbers[call] ?? -1 })),
      );
    expect(slow([base, profile])).toEqual([]);
    expect(slow([audit?.base ?? base, audit?.profile ?? profile])).toEqual([]);
    // The control: a call with a condition runs the filters.
    expect(isConstantAllow(base, { arch, nr: numbers["ioctl"] ?? -1 })).toBe(false);
  });
});
