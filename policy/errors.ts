/** Stable codes of everything that can go wrong on our side. Documented in docs/errors.md. */
export const errorCodes = [
  "usage", // bad option or argument
  "profile-not-found",
  "profile-unreadable",
  "profile-invalid", // syntax, schema, cycle, contradiction
  "config-invalid", // a configuration file of belljar itself
  "limit-unenforceable", // a required limit has no mechanism on this host
  "guard-unavailable", // a required guard (namespaces, Landlock, seccomp) is refused by this host
  "rootfs-invalid",
  "not-supported", // this build or host cannot do what was asked
  "file-unreadable", // an input file of the caller
  "file-unwritable", // a report or output destination
  "root-refused", // started by root without an account to become
  "launcher-failed", // the launcher could not be started or died
  "sandbox-failed", // a step of the launcher failed
  "command-not-found", // no such program in the sandbox
  "start-failed", // the program is there but could not be started
  "image-reference", // not a reference to an image
  "image-not-found", // neither in the store nor where it was looked for
  "image-invalid", // wrong digest, size, media type or content: hostile or damaged
  "registry-failed", // unreachable, broken or lying registry
  "registry-denied", // the registry wants other credentials
  "store-failed", // the image store cannot be read or written, or is busy
  "stream-failed", // a source or sink of the library's caller
  "queue-full", // a library's sandbox has as many runs waiting as it may
  "closed", // a library's sandbox takes no more runs
  "cancelled",
  "internal",
] as const;
export type ErrorCode = (typeof errorCodes)[number];

export interface BelljarErrorOptions {
  readonly hint?: string | undefined;
  readonly cause?: unknown;
}

/** The one error class: what went wrong on our side, never what the program did. */
export class BelljarError extends Error {
  readonly code: ErrorCode;
  readonly hint: string | null;
  constructor(code: ErrorCode, message: string, options: BelljarErrorOptions = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.name = "BelljarError";
    this.code = code;
    this.hint = options.hint ?? null;
  }
}
