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
  pendingSignals: 11,
  messageQueues: 12,
  realtimePriority: 14,
} as const;

const unlimited = 0xffff_ffff_ffff_ffffn;
const exactly = (resource: number, value: bigint): Rlimit => ({ resource, soft: value, hard: value });

interface RlimitInput {
  readonly limits: ResolvedLimits;
  readonly mechanisms: Readonly<Record<LimitName, Mechanism>>;
  /** init runs under the program's own id, so the kernel counts it among the program's processes. */
  readonly initCounts: boolean;
  /** The caller's core limit is what ours would be. */
  readonly coreIsClosed: boolean;
}

/**
 * The kernel charges both to the user that made the namespace as well, so a program could use up what the caller has on the whole
 * host. Queued signals and POSIX timers count; ordinary signals arrive beyond the limit too, without their details. Language
 * runtimes hold a few. The second is the kernel's own default for a user (MQ_BYTES_MAX).
 */
const pendingSignals = 1024n;
const messageQueueBytes = 819_200n;

/**
 * Resource limits, ascending by number, soft = hard so that the program cannot lift them. No limit means as much as the
 * caller's hard limit allows. An open-files limit that is not asked for stays the caller's: programs that walk all
 * possible descriptors take minutes under the kernel's maximum.
 */
export function compileRlimits({ limits, mechanisms, initCounts, coreIsClosed }: RlimitInput): readonly Rlimit[] {
  const rlimits: Rlimit[] = [];
  if (limits.cpuTime !== null && (mechanisms.cpuTime === "rlimit" || mechanisms.cpuTime === "perf")) {
    // Per process and in whole seconds, so only a backstop; SIGXCPU first, because it tells who killed. Behind a perf clock too: the
    // kernel takes it from a process that executes a file which it may not read (perf_event_exit_task in begin_new_exec).
    const seconds = BigInt(Math.ceil(limits.cpuTime / 1000) + 1);
    rlimits.push({ resource: rlimitNumbers.cpu, soft: seconds, hard: seconds + 1n });
  } else {
    // A lower soft limit of the caller's would end single processes before the limit of the run.
    rlimits.push(exactly(rlimitNumbers.cpu, unlimited));
  }
  const plain = (name: "fileSize" | "stack" | "core" | "lockedMemory" | "addressSpace"): Rlimit => {
    const value = limits[name];
    return exactly(rlimitNumbers[name], value === null ? unlimited : BigInt(value));
  };
  rlimits.push(plain("fileSize"), plain("stack"));
  // 1 byte is too little for any core file, and is the one value at which the kernel does not start a core_pattern program
  // (a root process of the host, fed by a hostile crash) either: core(5). The base filter keeps the program from lowering it.
  if (limits.core !== 0) rlimits.push(plain("core"));
  else if (!coreIsClosed) rlimits.push(exactly(rlimitNumbers.core, 1n));
  if (limits.processes !== null && mechanisms.processes === "rlimit")
    rlimits.push(exactly(rlimitNumbers.processes, BigInt(limits.processes + (initCounts ? 1 : 0))));
  if (limits.openFiles !== null) rlimits.push(exactly(rlimitNumbers.openFiles, BigInt(limits.openFiles)));
  rlimits.push(plain("lockedMemory"), plain("addressSpace"));
  rlimits.push(exactly(rlimitNumbers.pendingSignals, pendingSignals), exactly(rlimitNumbers.messageQueues, messageQueueBytes));
  // An account may have been given real-time priority; a program under it could starve the machine.
  rlimits.push(exactly(rlimitNumbers.realtimePriority, 0n));
  return rlimits;
}
