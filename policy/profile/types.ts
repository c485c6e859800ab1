/**
 * The profile as written (`Profile`, every key optional, human units) and as resolved (`ResolvedPolicy`, every field
 * present, base units). JSON keys are the contract: docs/profile.md.
 */
export type Comment = { readonly comment?: string };

export type RootfsSpec =
  | { readonly kind: "host"; readonly writable?: boolean; readonly overlay?: OverlaySpec }
  | { readonly kind: "image"; readonly reference: string; readonly writable?: boolean; readonly overlay?: OverlaySpec }
  | { readonly kind: "directory"; readonly path: string; readonly writable?: boolean; readonly overlay?: OverlaySpec };
export type OverlayDriver = "auto" | "kernel" | "fuse-overlayfs" | "copy";
export type OverlaySpec = { readonly driver?: OverlayDriver };

export type MountSpec = Comment &
  (
    | {
        readonly kind: "bind";
        readonly source: string;
        readonly target: string;
        readonly access?: "read-only" | "read-write";
        readonly optional?: boolean;
      }
    | { readonly kind: "tmpfs"; readonly target: string; readonly size?: string | number; readonly inodes?: number; readonly mode?: string }
    | { readonly kind: "mask"; readonly target: string }
    | { readonly kind: "read-only"; readonly target: string }
  );

export const limitNames = [
  "cpuTime",
  "wallTime",
  "memory",
  "processes",
  "output",
  "disk",
  "inodes",
  "openFiles",
  "fileSize",
  "stack",
  "cpus",
  "cpuset",
  "lockedMemory",
  "core",
  "addressSpace",
] as const;
export type LimitName = (typeof limitNames)[number];

/** As written: `"2s"`, `"64M"`, a number of base units, or null for no limit. */
export type LimitsSpec = { readonly [K in LimitName]?: string | number | null } & { readonly required?: readonly LimitName[] };

export type SeccompActionText = string; // "allow" | "errno:NAME" | "kill" | "log" | "trap"
export interface SeccompRuleSpec extends Comment {
  readonly names: readonly string[];
  readonly action: SeccompActionText;
  /** All conditions must hold (AND), several on one argument too. */
  readonly args?: readonly SeccompArgSpec[];
}
export interface SeccompArgSpec {
  readonly index: 0 | 1 | 2 | 3 | 4 | 5;
  readonly op: "eq" | "ne" | "lt" | "le" | "gt" | "ge" | "masked-eq";
  readonly value: number | string; // string: decimal or 0x hex beyond 2^53
  readonly mask?: number | string; // masked-eq: (arg & mask) == value
  /** Bits of the argument that the kernel looks at; default from the table of known 32-bit arguments, else 64. */
  readonly width?: 32 | 64;
}
export interface SeccompSpec {
  /** Name of a built-in rule set: "default", "strict", "none". */
  readonly extends?: string | readonly string[];
  readonly defaultAction?: SeccompActionText;
  readonly audit?: boolean;
  readonly file?: string | null;
  readonly syscalls?: readonly SeccompRuleSpec[];
}

export interface Profile {
  readonly $schema?: string;
  readonly schemaVersion: 1;
  readonly name?: string;
  readonly description?: string;
  readonly extends?: string | readonly string[];
  readonly rootfs?: RootfsSpec;
  readonly scratch?: { readonly storage?: "memory" | "disk" };
  readonly user?: {
    readonly mode?: "single" | "subordinate";
    readonly uid?: number;
    readonly gid?: number;
    readonly map?: "caller" | "isolated";
  };
  readonly namespaces?: Comment & { readonly user?: "deny" | "allow" };
  readonly proc?: "private" | "full" | "none" | "host-read-only";
  readonly sys?: "none" | "private";
  readonly mounts?: readonly MountSpec[];
  readonly process?: {
    readonly workdir?: string;
    readonly env?: Readonly<Record<string, string>>;
    readonly inheritEnv?: readonly string[];
    readonly umask?: string;
    readonly hostname?: string;
    readonly stopSignal?: string | null;
    readonly stopTimeout?: string | number;
  };
  readonly limits?: LimitsSpec;
  readonly seccomp?: SeccompSpec;
  readonly capabilities?: readonly string[];
  readonly landlock?: { readonly required?: boolean };
  readonly network?: Comment & { readonly mode?: "none" | "host" };
  readonly comments?: Readonly<Record<string, string>>;
}

export type ResolvedMount =
  | {
      readonly kind: "bind";
      readonly source: string;
      readonly target: string;
      readonly access: "read-only" | "read-write";
      readonly optional: boolean;
      readonly comment: string | null;
    }
  | {
      readonly kind: "tmpfs";
      readonly target: string;
      readonly sizeBytes: number;
      readonly inodes: number | null;
      readonly mode: number;
      readonly comment: string | null;
    }
  | { readonly kind: "mask"; readonly target: string; readonly comment: string | null }
  | { readonly kind: "read-only"; readonly target: string; readonly comment: string | null };

/**
 * Base units: milliseconds (cpuTime, wallTime), bytes (memory, output, disk, fileSize, stack, lockedMemory, core,
 * addressSpace), counts (processes, inodes, openFiles), CPUs as a fraction (cpus), a Linux CPU list (cpuset).
 * null = no limit. `stack` null = unlimited.
 */
export type ResolvedLimits = { readonly [K in Exclude<LimitName, "cpuset">]: number | null } & { readonly cpuset: string | null };

export interface ResolvedSeccompRule {
  readonly names: readonly string[];
  readonly action: SeccompActionText;
  readonly args: readonly SeccompArgSpec[];
  readonly comment: string | null;
  /** Where the rule stands: "FILE#seccomp.syscalls[2]" or "default#ptrace" for rule sets; used in reports. */
  readonly origin: string;
}
/** A profile in Docker's format, which takes the place of rule sets. */
export interface SeccompFile {
  readonly path: string;
  readonly text: string;
}
export interface ResolvedSeccomp {
  readonly ruleSets: readonly string[]; // built-in rule sets, in order; later wins
  readonly defaultAction: SeccompActionText | null; // null: as the last rule set says
  readonly audit: boolean;
  readonly file: SeccompFile | null;
  readonly syscalls: readonly ResolvedSeccompRule[]; // the profile's own rules, they win over rule sets
}

export interface ResolvedPolicy {
  readonly schemaVersion: 1;
  readonly name: string;
  readonly description: string;
  readonly rootfs:
    | { readonly kind: "host"; readonly writable: boolean; readonly overlay: OverlayDriver }
    | { readonly kind: "image"; readonly reference: string; readonly writable: boolean; readonly overlay: OverlayDriver }
    | { readonly kind: "directory"; readonly path: string; readonly writable: boolean; readonly overlay: OverlayDriver };
  readonly scratch: { readonly storage: "memory" | "disk" };
  readonly user: {
    readonly mode: "single" | "subordinate";
    readonly uid: number;
    readonly gid: number;
    readonly map: "caller" | "isolated";
  };
  readonly namespaces: { readonly user: "deny" | "allow" };
  readonly proc: "private" | "full" | "none" | "host-read-only";
  readonly sys: "none" | "private";
  readonly mounts: readonly ResolvedMount[];
  readonly process: {
    readonly workdir: string;
    readonly env: Readonly<Record<string, string>>;
    readonly inheritEnv: readonly string[];
    readonly umask: number;
    readonly hostname: string;
    /** Number of the signal that a cancelled program gets first; null: it is killed at once. */
    readonly stopSignal: number | null;
    /** Milliseconds between the two. */
    readonly stopTimeout: number;
  };
  readonly limits: ResolvedLimits;
  readonly required: readonly LimitName[];
  readonly seccomp: ResolvedSeccomp;
  readonly capabilities: readonly string[]; // "CAP_NET_RAW"
  readonly landlock: { readonly required: boolean };
  readonly network: { readonly mode: "none" | "host" };
}

/** For each JSON path ("limits.memory"): the file (or "built-in:default", "option --memory") that set it. */
export type Provenance = Readonly<Record<string, string>>;
