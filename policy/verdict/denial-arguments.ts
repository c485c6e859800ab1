/** Names for the numbers that system calls take. Only registers: what a pointer leads to may change before anybody looks. */
import type { SeccompArgSpec } from "../profile/types.ts";

export interface Argument {
  readonly name: string;
  readonly kind: "value" | "flags" | "plain";
  readonly words?: Readonly<Record<string, bigint>>;
}

// include/uapi/linux/sched.h
const namespaceFlags = {
  CLONE_VM: 0x100n,
  CLONE_FS: 0x200n,
  CLONE_FILES: 0x400n,
  CLONE_SIGHAND: 0x800n,
  CLONE_PTRACE: 0x2000n,
  CLONE_VFORK: 0x4000n,
  CLONE_THREAD: 0x10000n,
  CLONE_NEWNS: 0x20000n,
  CLONE_SYSVSEM: 0x40000n,
  CLONE_SETTLS: 0x80000n,
  CLONE_PARENT_SETTID: 0x100000n,
  CLONE_CHILD_CLEARTID: 0x200000n,
  CLONE_UNTRACED: 0x800000n,
  CLONE_CHILD_SETTID: 0x1000000n,
  CLONE_NEWCGROUP: 0x2000000n,
  CLONE_NEWUTS: 0x4000000n,
  CLONE_NEWIPC: 0x8000000n,
  CLONE_NEWUSER: 0x10000000n,
  CLONE_NEWPID: 0x20000000n,
  CLONE_NEWNET: 0x40000000n,
  CLONE_IO: 0x80000000n,
} as const;

// include/linux/socket.h
const families = {
  AF_UNIX: 1n,
  AF_INET: 2n,
  AF_AX25: 3n,
  AF_IPX: 4n,
  AF_INET6: 10n,
  AF_KEY: 15n,
  AF_NETLINK: 16n,
  AF_PACKET: 17n,
  AF_RDS: 21n,
  AF_CAN: 29n,
  AF_TIPC: 30n,
  AF_BLUETOOTH: 31n,
  AF_ALG: 38n,
  AF_VSOCK: 40n,
  AF_KCM: 41n,
  AF_SMC: 43n,
  AF_XDP: 44n,
} as const;

// include/uapi/linux/ptrace.h, prctl.h, personality.h, asm-generic/ioctls.h
const ptraceRequests = {
  PTRACE_TRACEME: 0n,
  PTRACE_PEEKTEXT: 1n,
  PTRACE_PEEKDATA: 2n,
  PTRACE_POKETEXT: 4n,
  PTRACE_POKEDATA: 5n,
  PTRACE_CONT: 7n,
  PTRACE_ATTACH: 16n,
  PTRACE_DETACH: 17n,
  PTRACE_SEIZE: 0x4206n,
} as const;
const prctlOptions = {
  PR_SET_PDEATHSIG: 1n,
  PR_GET_DUMPABLE: 3n,
  PR_SET_DUMPABLE: 4n,
  PR_SET_NAME: 15n,
  PR_GET_NAME: 16n,
  PR_GET_SECCOMP: 21n,
  PR_SET_SECCOMP: 22n,
  PR_CAPBSET_READ: 23n,
  PR_TASK_PERF_EVENTS_DISABLE: 31n,
  PR_TASK_PERF_EVENTS_ENABLE: 32n,
  PR_SET_MM: 35n,
  PR_SET_CHILD_SUBREAPER: 36n,
  PR_SET_NO_NEW_PRIVS: 38n,
  PR_GET_NO_NEW_PRIVS: 39n,
  PR_SET_THP_DISABLE: 41n,
  PR_CAP_AMBIENT: 47n,
  PR_SET_VMA: 0x53564d41n,
} as const;
const personalities = { ADDR_NO_RANDOMIZE: 0x40000n, READ_IMPLIES_EXEC: 0x400000n } as const;
const requests = {
  TCGETS: 0x5401n,
  TCSETS: 0x5402n,
  TCSETSW: 0x5403n,
  TCSETSF: 0x5404n,
  TIOCSCTTY: 0x540en,
  TIOCGPGRP: 0x540fn,
  TIOCSPGRP: 0x5410n,
  TIOCSTI: 0x5412n,
  TIOCGWINSZ: 0x5413n,
  TIOCSWINSZ: 0x5414n,
  FIONREAD: 0x541bn,
  TIOCLINUX: 0x541cn,
  FIONBIO: 0x5421n,
  TIOCGPTN: 0x80045430n,
  TIOCSPTLCK: 0x40045431n,
  FIONCLEX: 0x5450n,
  FIOCLEX: 0x5451n,
  FICLONE: 0x40049409n,
} as const;

const flagsArgument: Argument = { name: "flags", kind: "flags", words: namespaceFlags };
const domain: Argument = { name: "domain", kind: "value", words: families };

const known: Readonly<Record<string, Readonly<Record<number, Argument>>>> = {
  bpf: { 0: { name: "cmd", kind: "plain" } },
  clone: { 0: flagsArgument },
  fcntl: { 1: { name: "cmd", kind: "plain" } },
  ioctl: { 1: { name: "request", kind: "value", words: requests } },
  ioprio_set: { 0: { name: "which", kind: "plain" }, 1: { name: "who", kind: "plain" } },
  keyctl: { 0: { name: "operation", kind: "plain" } },
  personality: { 0: { name: "persona", kind: "flags", words: personalities } },
  prctl: { 0: { name: "option", kind: "value", words: prctlOptions } },
  prlimit64: { 0: { name: "pid", kind: "plain" }, 1: { name: "resource", kind: "plain" } },
  ptrace: { 0: { name: "request", kind: "value", words: ptraceRequests } },
  setns: { 1: { name: "nstype", kind: "flags", words: namespaceFlags } },
  setpriority: { 0: { name: "which", kind: "plain" }, 1: { name: "who", kind: "plain" } },
  socket: { 0: domain, 1: { name: "type", kind: "plain" }, 2: { name: "protocol", kind: "plain" } },
  socketpair: { 0: domain },
  unshare: { 0: flagsArgument },
};

/** What is known of an argument; undefined: it has a number and no name. */
export const argumentOf = (syscall: string, index: number): Argument | undefined => known[syscall]?.[index];

function number(value: bigint): string {
  return value < 4096n ? String(value) : `0x${value.toString(16)}`;
}

/** `CLONE_NEWUSER|CLONE_NEWNS|0x11`. */
function flagWords(value: bigint, words: Readonly<Record<string, bigint>>): string {
  const set = Object.entries(words).filter(([, bit]) => (value & bit) === bit);
  const rest = set.reduce((left, [, bit]) => left & ~bit, value);
  return [...set.map(([name]) => name), ...(rest !== 0n || set.length === 0 ? [number(rest)] : [])].join("|");
}

/** The argument's name, and its value in words where there are any. */
export function argumentWords(syscall: string, index: number, value: bigint): readonly [name: string, words: string] {
  const argument = argumentOf(syscall, index);
  if (argument === undefined) return [`arg${index}`, number(value)];
  const words = argument.words ?? {};
  if (argument.kind === "flags") return [argument.name, flagWords(value, words)];
  return [argument.name, Object.entries(words).find(([, one]) => one === value)?.[0] ?? number(value)];
}

/** The way back: the condition that holds for just such a call. */
export function argumentCondition(
  syscall: string,
  { name, text }: { readonly name: string; readonly text: string },
): SeccompArgSpec | null {
  const named = Object.entries(known[syscall] ?? {}).find(([, argument]) => argument.name === name);
  const index = named === undefined ? Number(/^arg([0-5])$/.exec(name)?.[1] ?? Number.NaN) : Number(named[0]);
  if (Number.isNaN(index)) return null;
  const words = named?.[1].words ?? {};
  const value = text.split("|").reduce((sum, word) => sum | (words[word] ?? BigInt(word)), 0n);
  const written = number(value);
  return { index: index as SeccompArgSpec["index"], op: "eq", value: /^\d+$/.test(written) ? Number(written) : written };
}
