/** Architecture tokens (seccomp.h: SCMP_ARCH_*); any other token that libseccomp knows is accepted too. loongarch64, m68k and sh came with 2.6. */
export const arches: {
  /** Stands for the machine's own. */
  readonly native: number;
  readonly x86: number;
  readonly x86_64: number;
  readonly x32: number;
  readonly arm: number;
  readonly aarch64: number;
  readonly loongarch64: number;
  readonly m68k: number;
  readonly mips: number;
  readonly mips64: number;
  readonly mips64n32: number;
  readonly mipsel: number;
  readonly mipsel64: number;
  readonly mipsel64n32: number;
  readonly parisc: number;
  readonly parisc64: number;
  readonly ppc: number;
  readonly ppc64: number;
  readonly ppc64le: number;
  readonly riscv64: number;
  readonly s390: number;
  readonly s390x: number;
  readonly sh: number;
  readonly sheb: number;
};

/** Filter return values (seccomp.h: SCMP_ACT_*). */
export const actions: {
  readonly killProcess: number;
  readonly killThread: number;
  /** SIGSYS, which the program may handle. */
  readonly trap: number;
  /** The call waits until whoever holds Filter.notifyFd() answers it. */
  readonly notify: number;
  /** Allowed, and written to the kernel's audit log. */
  readonly log: number;
  readonly allow: number;
  /** The call fails with this errno. The kernel clamps values above 4095. Throws TypeError outside 0 to 65535. */
  readonly errno: (number: number) => number;
  /** A ptrace tracer is told, with this message; without one the call fails with ENOSYS. */
  readonly trace: (message: number) => number;
};

/** Filter attributes (seccomp.h: SCMP_FLTATR_*). Those that a kernel lacks give EOPNOTSUPP. */
export const attributes: {
  /** Read-only: what the constructor or reset() set. */
  readonly defaultAction: number;
  /** The action for calls of an architecture that the filter does not have; killThread unless set. */
  readonly badArchAction: number;
  /** 1 (the default): load() sets no_new_privs, without which only CAP_SYS_ADMIN may load. */
  readonly noNewPrivs: number;
  /** 1: load() puts all threads of the process under the filter. */
  readonly threadSync: number;
  /** 1: addRule() takes the call number -1, with which tracers skip a call. */
  readonly allowSkipRules: number;
  /** 1: every answer but allow may be written to the kernel's audit log. */
  readonly log: number;
  /** 1: load() leaves speculative store bypass as it is. */
  readonly disableSsbMitigation: number;
  /** 1: a chain ordered by priority; 2: a binary tree, faster for filters of many rules. */
  readonly optimize: number;
  /** 1: the functions that talk to the kernel give its errno instead of ECANCELED. */
  readonly rawReturnCodes: number;
  /** 1: while a notification is being answered, only a fatal signal interrupts its call. libseccomp 2.6, Linux 5.19. */
  readonly waitKillable: number;
};

/** Comparison operators (seccomp.h: SCMP_CMP_*). */
export const operators: {
  readonly ne: number;
  readonly lt: number;
  readonly le: number;
  readonly eq: number;
  readonly ge: number;
  readonly gt: number;
  readonly maskedEq: number;
};

/** Unsigned 64-bit: a safe non-negative integer or a bigint. */
export type Datum = number | bigint;

/** A comparison of the argument number `index`, unsigned and of all 64 bits; maskedEq is `(argument & mask) == value`. */
export type Condition =
  | { readonly index: 0 | 1 | 2 | 3 | 4 | 5; readonly op: "ne" | "lt" | "le" | "eq" | "ge" | "gt"; readonly value: Datum }
  | { readonly index: 0 | 1 | 2 | 3 | 4 | 5; readonly op: "maskedEq"; readonly mask: Datum; readonly value: Datum };

/** What libseccomp refused. */
export class SeccompError extends Error {
  constructor(operation: string, errno: number, systemErrno?: number);
  /** libseccomp's function; `write` for what the descriptor of writeBpf and writePfc refused. */
  readonly operation: string;
  /** Positive. */
  readonly errno: number;
  /** The errno's name, such as `EINVAL`. */
  readonly code: string;
  /** Where libseccomp says only that the kernel refused (ECANCELED): the name of the kernel's errno. */
  readonly systemCode: string | null;
}

/** What the installed libseccomp is too old for; `code` is EOPNOTSUPP. */
export class SeccompUnsupportedError extends SeccompError {
  constructor(operation: string, since: string);
  /** The first version that has it, such as `2.6`. */
  readonly since: string;
}

/**
 * One filter under construction. Its memory goes with the object, or earlier by release(). Methods throw TypeError for values of the wrong kind and for a released filter,
 * SeccompError for what libseccomp refuses.
 */
export class Filter {
  /** seccomp_init: a filter of the native architecture with no rules. */
  constructor(defaultAction: number);
  readonly released: boolean;
  /** seccomp_release, now rather than with the object. Harmless when repeated. */
  release(): void;
  /** seccomp_reset: forgets all rules, attributes and architectures but the native one. */
  reset(defaultAction: number): void;
  /** seccomp_merge: takes over the rules of `other` (no architecture in common), which is released. */
  merge(other: Filter): void;

  /** seccomp_arch_add: rules added later apply to it too. */
  addArch(arch: number): void;
  /** seccomp_arch_remove. */
  removeArch(arch: number): void;
  /** seccomp_arch_exist. */
  hasArch(arch: number): boolean;

  /** seccomp_attr_set. */
  setAttribute(attribute: number, value: number): void;
  /** seccomp_attr_get. */
  getAttribute(attribute: number): number;

  /** seccomp_syscall_priority: 0 to 255, higher is tested earlier. */
  setPriority(syscall: number, priority: number): void;
  /**
   * seccomp_rule_add_array, with `exact` seccomp_rule_add_exact_array, which refuses to approximate. All conditions must hold. `syscall` is the native number, or the native
   * pseudo number of a call that this machine lacks, whatever the filter's architectures are: libseccomp translates it by name. It refuses two conditions on one argument
   * (EINVAL) and a rule whose action is the default (EACCES).
   */
  addRule(action: number, syscall: number, conditions?: readonly Condition[], options?: { readonly exact?: boolean }): void;

  /** seccomp_transaction_start: until the commit, rules can be taken back together. libseccomp 2.6. */
  startTransaction(): void;
  /** seccomp_transaction_commit. */
  commitTransaction(): void;
  /** seccomp_transaction_reject. */
  rejectTransaction(): void;

  /** seccomp_precompute: generates the program now, so that load() and the exports need not. libseccomp 2.6. */
  precompute(): void;
  /** seccomp_export_bpf: struct sock_filter[] for the kernel, in this machine's byte order. */
  exportBpf(): Uint8Array;
  /** seccomp_export_pfc: the filter as pseudo-code for people. */
  exportPfc(): string;
  /** exportBpf() to a descriptor, all of it or a SeccompError of the operation `write`. */
  writeBpf(fd: number): void;
  /** exportPfc() to a descriptor. */
  writePfc(fd: number): void;

  /** seccomp_load: puts the calling thread under the filter, for ever; with attributes.threadSync all threads of the process. */
  load(): void;
  /** seccomp_notify_fd: the descriptor of the process's first loaded filter with actions.notify, else null. It belongs to libseccomp: resetState() closes it. */
  notifyFd(): number | null;
}

/** seccomp_version: of the library found at run time. */
export function version(): { readonly major: number; readonly minor: number; readonly micro: number };
/** seccomp_api_get: what library and kernel support together. */
export function apiLevel(): number;
/** seccomp_api_set: forces that level, for the whole process. For tests. */
export function setApiLevel(level: number): void;
/** seccomp_reset without a filter: the library forgets what it knows of the kernel, and closes the notification descriptor; the API level stays. Notifications are unsupported (EOPNOTSUPP) until a filter with actions.notify is made anew. */
export function resetState(): void;
/** seccomp_arch_native. */
export function nativeArch(): number;
/** seccomp_arch_resolve_name: `x86_64` to its token; null for a name that libseccomp does not know. */
export function archByName(name: string): number | null;
/** seccomp_syscall_resolve_name_arch: the number; a negative pseudo number when this architecture lacks the call; null when libseccomp does not know the name. */
export function syscallNumber(arch: number, name: string): number | null;
/** seccomp_syscall_resolve_name_rewrite: the same, but a call that this architecture multiplexes (socketcall, ipc) gives its multiplexer's number. */
export function syscallNumberRewritten(arch: number, name: string): number | null;
/** seccomp_syscall_resolve_num_arch. */
export function syscallName(arch: number, number: number): string | null;

/** A call that waits for an answer (struct seccomp_notif). */
export interface Notification {
  /** What the answer goes to; never used again for another call. */
  readonly id: bigint;
  /** As the listener's pid namespace sees it; 0 when it does not. */
  readonly pid: number;
  readonly flags: number;
  readonly syscall: number;
  readonly arch: number;
  readonly instructionPointer: bigint;
  /** All six, whatever the call takes. */
  readonly args: readonly bigint[];
}

/** The answer: a return value, an errno (1 to 4095), or that the kernel shall run the call. */
export type NotificationResponse = { readonly id: bigint } & (
  | { readonly value: number | bigint; readonly errno?: undefined; readonly continue?: undefined }
  | { readonly errno: number; readonly value?: undefined; readonly continue?: undefined }
  | { readonly continue: true; readonly value?: undefined; readonly errno?: undefined }
);

/**
 * seccomp_notify_receive, on a listener of this or another process. Blocks the thread for at most `timeoutMs` (default 0; -1: no limit), and gives null when no
 * call came or its caller is gone again. Throws SeccompError EPIPE when nobody is left under the filter. One reader a descriptor.
 */
export function receiveNotification(fd: number, options?: { readonly timeoutMs?: number }): Notification | null;
/** seccomp_notify_respond. Throws SeccompError with the systemCode ENOENT (or, for an instant, EINPROGRESS) when the caller no longer waits. */
export function respondNotification(fd: number, response: NotificationResponse): void;
/** seccomp_notify_id_valid: whether the caller still waits. To be asked after opening anything of `/proc/<pid>`, whose number may be another process's by then. */
export function isNotificationValid(fd: number, id: bigint): boolean;
