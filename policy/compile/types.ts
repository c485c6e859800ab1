/** What the compiler is told besides the policy: facts of the host (probed by cli/host) and the request (options). */
import type { LimitName, OverlayDriver } from "../profile/types.ts";
import type { ExecPlan, SandboxPlan } from "../wire/wire.gen.ts";

export type Arch = "x86_64" | "aarch64";

export interface IdRange {
  readonly start: number;
  readonly count: number;
}

/** Where a per-run cgroup may be made, as found for the calling process. */
export type CgroupFacts =
  | { readonly kind: "none"; readonly reason: string }
  | {
      readonly kind: "cgroup2";
      readonly parent: string;
      readonly controllers: readonly string[];
      /** `parent` is a slice of the user's manager of systemd, which makes a scope in it for each run. */
      readonly scope?: true;
    }
  | {
      readonly kind: "cgroup1";
      readonly hierarchies: readonly { readonly parent: string; readonly controllers: readonly string[]; readonly swap: boolean }[];
    };

/** The host's /usr and what must accompany it (decision 9). Paths are absolute host paths that are also sandbox paths. */
export interface HostRootfsFacts {
  /** "/bin" -> "usr/bin": links of the root directory that point under /usr. */
  readonly links: readonly { readonly path: string; readonly target: string }[];
  /** Real directories outside /usr on hosts that are not usr-merged: bound read-only. */
  readonly directories: readonly string[];
  /** Files and directories of /etc bound read-only (linker cache, alternatives, certificates, time zone, targets of links under /usr). Never credentials. */
  readonly etc: readonly { readonly path: string; readonly kind: "file" | "directory" }[];
  /** Symlinks of /etc that are wanted as links ("/etc/localtime" -> "/usr/share/zoneinfo/UTC"). */
  readonly etcLinks: readonly { readonly path: string; readonly target: string }[];
}

/** The top level of a `--rootfs DIR`. */
export interface DirectoryRootfsFacts {
  readonly path: string;
  readonly entries: readonly { readonly name: string; readonly kind: "directory" | "file" | "symlink"; readonly target: string | null }[];
}

/**
 * A root of layers: an unpacked image, or a writable directory rootfs, whose one layer is the directory. Names and paths are ours;
 * what `config` says is a stranger's.
 */
export interface LayeredRootfsFacts {
  /** Host paths of trees in overlay form, lowest first. */
  readonly layers: readonly string[];
  readonly driver: OverlayMechanism;
  /** Host paths of the programs that some drivers need. */
  readonly fuseOverlayfs: string | null;
  readonly apply: string;
  readonly image: ImageFacts | null;
}

/** How layers become one tree: never "auto", which is decided before. */
export type OverlayMechanism = Exclude<OverlayDriver, "auto">;

export interface ImageFacts {
  /** As the store knows it, and the digest of its manifest: "docker.io/library/debian:12@sha256:…". */
  readonly name: string;
  readonly config: ImageConfig;
  /** Who `config.user`, or the user asked for, is in the image's own passwd and group; null where nobody is named. */
  readonly user: ImageUser | null;
}

export interface ImageUser {
  readonly uid: number;
  readonly gid: number;
  /** Supplementary groups. */
  readonly groups: readonly number[];
}

/** What an image asks for (OCI image specification 1.1, config.md), checked for type only. Absent is empty. */
export interface ImageConfig {
  readonly entrypoint: readonly string[];
  readonly command: readonly string[];
  /** NAME=VALUE. */
  readonly env: readonly string[];
  readonly workdir: string;
  readonly stopSignal: string;
}

/** An empty folder of this run's, and the program that counts what comes into it. Host paths. */
export interface DiskScratchFacts {
  readonly path: string;
  readonly apply: string;
}

/** Limits that a process inherits and can only lower. */
export type CallerLimit = Extract<
  LimitName,
  "cpuTime" | "fileSize" | "stack" | "core" | "processes" | "openFiles" | "lockedMemory" | "addressSpace"
>;

export interface HostFacts {
  readonly arch: Arch;
  readonly pageSize: number;
  readonly uid: number;
  readonly gid: number;
  readonly userName: string;
  readonly subordinate: {
    readonly uids: readonly IdRange[];
    readonly gids: readonly IdRange[];
    readonly newuidmap: string | null;
    readonly newgidmap: string | null;
  };
  /** Ids that no line of /etc/subuid and /etc/subgid touches, to propose; null where there are none or nobody asks. */
  readonly freeSubordinateIds: IdRange | null;
  readonly cgroup: CgroupFacts;
  readonly hostRootfs: HostRootfsFacts | null;
  readonly directoryRootfs: DirectoryRootfsFacts | null;
  /** Where the root is put together from layers. */
  readonly layeredRootfs: LayeredRootfsFacts | null;
  /** Where the scratch space is on disk. */
  readonly diskScratch: DiskScratchFacts | null;
  /** perf_event_open of an own task clock works for this user. */
  readonly perfClock: boolean;
  readonly onlineCpus: readonly number[];
  /** The caller's hard resource limits, in the base units of {@link LimitName}; null: none. */
  readonly callerLimits: Readonly<Record<CallerLimit, number | null>>;
  readonly core: {
    /**
     * What gets a crash in spite of our core limit. socket: core_pattern is "@…" (Linux 6.16), which asks for no limit. program: it is
     * "|…", which only a limit of 1 byte stops, and the caller's hard limit is 0.
     */
    readonly escape: "socket" | "program" | null;
    /** The caller's own core limit is 1 byte, soft and hard: so it is within a sandbox, where it may not be set again. */
    readonly closed: boolean;
  };
}

/** What one run asks for beyond its profile; all host paths absolute. */
export interface RunRequest {
  readonly runId: string;
  readonly command: readonly string[]; // never empty
  readonly cwd: string | null; // -w
  readonly env: readonly (readonly [string, string])[]; // -e, already looked up; later wins
  readonly inherited: Readonly<Record<string, string>>; // values of process.inheritEnv found in the caller's environment
  /** -u, else what the image says; null: the profile's. Groups are supplementary ones, which only mode "subordinate" can give. */
  readonly user: { readonly uid: number; readonly gid: number | null; readonly groups?: readonly number[] } | null;
  readonly terminal: boolean;
  readonly stdin: "null" | "pump";
  /** How often figures are taken for the report's samples; 0: never. */
  readonly sampleMs: number;
  readonly filesIn: readonly { readonly hostPath: string; readonly target: string; readonly mode: number }[]; // target relative to the work folder
  readonly filesOut: readonly { readonly source: string; readonly hostPath: string; readonly maxBytes: number }[];
  /** A host file shown read-only at /work/<name>, and the interpreter argv to put before it (empty: run it itself). */
  readonly script: { readonly hostPath: string; readonly name: string } | null;
}

export interface LaunchPlan {
  readonly sandbox: SandboxPlan;
  readonly exec: ExecPlan;
}

export interface CompileWarning {
  readonly limit: string | null;
  readonly message: string;
}
