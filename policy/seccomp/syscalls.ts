/** What is known of system calls besides their arguments: numbers, and which of them callers can do without. */
import type { Arch } from "../compile/types.ts";
import { syscallTables } from "./tables.gen.ts";

/** linux/audit.h: what seccomp_data.arch holds. */
export const auditArch = { x86_64: 0xc000003e, aarch64: 0xc00000b7 } as const satisfies Readonly<Record<Arch, number>>;

/** asm/unistd.h: x32 calls carry this bit and the architecture of x86_64. */
export const x32Bit = 0x40000000;

export function syscallNumbers(arch: Arch): Readonly<Record<string, number>> {
  return syscallTables[arch];
}

/** Known on any architecture that we know: a portable profile may name calls that this host lacks. */
export function isSyscallName(name: string): boolean {
  return Object.values(syscallTables).some((table) => Object.hasOwn(table, name));
}

/** Linux 5.1: from here on numbers are the same on every architecture. */
const firstUnifiedNumber = 424;

/** Younger than their architecture, tried first by libc or a language runtime, which then falls back when told ENOSYS. */
const olderWithFallback: ReadonlySet<string> = new Set([
  "copy_file_range",
  "execveat",
  "getrandom",
  "membarrier",
  "memfd_create",
  "pkey_alloc",
  "pkey_free",
  "pkey_mprotect",
  "preadv2",
  "pwritev2",
  "renameat2",
  "rseq",
  "statx",
]);

/** Whether callers of this call know how to live without it (every call since Linux 5.1, and some before). */
export function hasFallback(name: string, arch: Arch): boolean {
  const number = Object.hasOwn(syscallNumbers(arch), name) ? syscallNumbers(arch)[name] : undefined;
  return olderWithFallback.has(name) || (number !== undefined && number >= firstUnifiedNumber);
}
