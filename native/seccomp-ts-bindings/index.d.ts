/** Architecture tokens (seccomp.h: SCMP_ARCH_*). Any other token of libseccomp is accepted as a number too. */
export const arches: {
  readonly native: number;
  readonly x86: number;
  readonly x86_64: number;
  readonly x32: number;
  readonly arm: number;
  readonly aarch64: number;
  readonly riscv64: number;
  readonly ppc64le: number;
  readonly s390x: number;
};

/** Filter return values (seccomp.h: SCMP_ACT_*). */
export const actions: {
  readonly killProcess: number;
  readonly killThread: number;
  readonly trap: number;
  readonly notify: number;
  readonly log: number;
  readonly allow: number;
  /** The call fails with this errno. The kernel clamps values above 4095. Throws TypeError outside 0 to 65535. */
  readonly errno: (number: number) => number;
  readonly trace: (message: number) => number;
};

/** Filter attributes (seccomp.h: SCMP_FLTATR_*). Some need a newer kernel: then EOPNOTSUPP. */
export const attributes: {
  readonly defaultAction: number;
  readonly badArchAction: number;
  readonly noNewPrivs: number;
  readonly threadSync: number;
  readonly allowSkipRules: number;
  readonly log: number;
  readonly disableSsbMitigation: number;
  /** 1: by priority; 2: binary tree. libseccomp 2.5 forgets the default action of a tree without rules. */
  readonly optimize: number;
  readonly rawReturnCodes: number;
};

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

export type Condition =
  | { readonly index: 0 | 1 | 2 | 3 | 4 | 5; readonly op: "ne" | "lt" | "le" | "eq" | "ge" | "gt"; readonly value: Datum }
  | { readonly index: 0 | 1 | 2 | 3 | 4 | 5; readonly op: "maskedEq"; readonly mask: Datum; readonly value: Datum };

/** What libseccomp refused: `operation` is its function, `errno` positive, `code` the errno's name. */
export class SeccompError extends Error {
  constructor(operation: string, errno: number);
  readonly operation: string;
  readonly errno: number;
  readonly code: string;
}

/**
 * One filter under construction. Methods throw TypeError for values of the wrong kind or a released filter, and
 * SeccompError for what libseccomp refuses.
 */
export class Filter {
  /** seccomp_init. */
  constructor(defaultAction: number);
  readonly released: boolean;
  /** seccomp_release, now rather than with the object. Harmless when repeated. */
  release(): void;
  /** seccomp_reset: forgets all rules and architectures but the native one. */
  reset(defaultAction: number): void;
  /** seccomp_merge: takes over the rules of `other` (no architecture in common), which is released. */
  merge(other: Filter): void;
  /** seccomp_arch_add: rules added later apply to it too. */
  addArch(arch: number): void;
  removeArch(arch: number): void;
  hasArch(arch: number): boolean;
  setAttribute(attribute: number, value: number): void;
  getAttribute(attribute: number): number;
  /** seccomp_syscall_priority: 0 to 255, higher is tested earlier. */
  setPriority(syscall: number, priority: number): void;
  /**
   * seccomp_rule_add: all conditions must hold. `syscall` is the native number, or the native pseudo number of a call that
   * this machine lacks, whatever the filter's architectures are: libseccomp translates it by name. It compares 64 bits whatever the kernel reads of an argument, refuses
   * two conditions on one argument (EINVAL) and a rule whose action is the default (EACCES).
   */
  addRule(action: number, syscall: number, conditions?: readonly Condition[], options?: { readonly exact?: boolean }): void;
  /** seccomp_export_bpf: struct sock_filter[] for the kernel. */
  exportBpf(): Uint8Array;
  /** seccomp_export_pfc: the filter as pseudo-code for people. */
  exportPfc(): string;
}

export function version(): { readonly major: number; readonly minor: number; readonly micro: number };
/** seccomp_api_get: what library and kernel support together. */
export function apiLevel(): number;
export function nativeArch(): number;
/** The number of a call; negative pseudo number when this architecture lacks it; null when libseccomp does not know the name. */
export function syscallNumber(arch: number, name: string): number | null;
export function syscallName(arch: number, number: number): string | null;
