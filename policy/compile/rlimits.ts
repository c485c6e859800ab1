import type { LimitName, ResolvedLimits } from "../profile/types.ts";
import type { Mechanism, Rlimit } from "../wire/wire.gen.ts";

/** RLIMIT_* numbers (asm-generic/resource.h), the same on x86_64 and aarch64. */
export const rlimitNumbers = {
  cpu: 0,
  fileSize: 1,
  stack: 3,
  core: 4,
  processes: 6,
  openFiles: 7,
  lockedMemory: 8,
  addressSpace: 9,
  realtimePriority: 14,
} as const;

const unlimited = 0xffff_ffff_ffff_ffffn;
const exactly = (resource: number, value: bigint): Rlimit => ({ resource, soft: value, hard: value });

interface RlimitInput {
  readonly limits: ResolvedLimits;
  readonly mechanisms: Readonly<Record<LimitName, Mechanism>>;
  /** init runs under the program's own id, so the kernel counts it among the program's processes. */
  readonly initCounts: boolean;
}

/**
 * Resource limits, ascending by number, soft = hard so that the program cannot lift them. No limit means as much as the
 * caller's hard limit allows. An open-files limit that is not asked for stays the caller's: programs that walk all
 * possible descriptors take minutes under the kernel's maximum.
 */
export function compileRlimits({ limits, mechanisms, initCounts }: RlimitInput): readonly Rlimit[] {
  const rlimits: Rlimit[] = [];
  if (limits.cpuTime !== null && mechanisms.cpuTime === "rlimit") {
    // Per process and in whole seconds, so only a backstop behind sampling; SIGXCPU first, because it tells who killed.
    const seconds = BigInt(Math.ceil(limits.cpuTime / 1000) + 1);
    rlimits.push({ resource: rlimitNumbers.cpu, soft: seconds, hard: seconds + 1n });
  }
  const plain = (name: "fileSize" | "stack" | "core" | "lockedMemory" | "addressSpace"): Rlimit => {
    const value = limits[name];
    return exactly(rlimitNumbers[name], value === null ? unlimited : BigInt(value));
  };
  rlimits.push(plain("fileSize"), plain("stack"));
  // 1 byte is too little for any core file, and is the one value at which the kernel does not start a core_pattern program
  // (a root process of the host, fed by a hostile crash) either: core(5). The base filter keeps the program from lowering it.
  rlimits.push(limits.core === 0 ? exactly(rlimitNumbers.core, 1n) : plain("core"));
  if (limits.processes !== null && mechanisms.processes === "rlimit")
    rlimits.push(exactly(rlimitNumbers.processes, BigInt(limits.processes + (initCounts ? 1 : 0))));
  if (limits.openFiles !== null) rlimits.push(exactly(rlimitNumbers.openFiles, BigInt(limits.openFiles)));
  rlimits.push(plain("lockedMemory"), plain("addressSpace"));
  // An account may have been given real-time priority; a program under it could starve the machine.
  rlimits.push(exactly(rlimitNumbers.realtimePriority, 0n));
  return rlimits;
}
