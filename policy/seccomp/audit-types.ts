/** What the audit filters consist of; apart from their compiler, which a warm run does not load. */

/** audit: hear of what is refused. learn: of what is allowed, too. */
export type AuditPurpose = "audit" | "learn";

/** What the supervisor does about a notification that carries this slot's number. */
export interface AuditSlot {
  readonly action: "errno" | "kill" | "pass";
  /** For `errno`: the number. */
  readonly error: number;
  /** In the profile's words: `errno:EPERM`. */
  readonly outcome: string;
  /** `default#ptrace`, `FILE#seccomp.syscalls[2]`. */
  readonly rule: string;
}

/** Notifications of the call with different values of the argument are counted apart. */
export interface AuditArgument {
  readonly syscall: number;
  readonly index: number;
  readonly mask: bigint;
}

export interface AuditFilters {
  /** Goes beneath `profile` in the place of the base filter, and has no listener. */
  readonly base: Uint8Array;
  readonly profile: Uint8Array;
  readonly slots: readonly AuditSlot[];
  readonly arguments: readonly AuditArgument[];
}
