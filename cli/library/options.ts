import type { LimitName } from "../../policy/profile/types.ts";
import type { OutputSink, StdinSource } from "../run/flows.ts";

export interface InputFile {
  readonly content: string | Uint8Array;
  readonly executable?: boolean;
}

export interface VolumeOption {
  /** Host path. */
  readonly source: string;
  /** Absolute path in the sandbox. */
  readonly target: string;
  readonly access?: "read-only" | "read-write";
}

/** Limits by their profile names: `{ cpuTime: "1s", memory: 64 * 2 ** 20, disk: null }`. Numbers are milliseconds, bytes and counts. */
export type Limits = Readonly<Partial<Record<LimitName, string | number | null>>>;

/** Where programs run. Names and values are those of the command's options and of a profile. */
export interface SandboxOptions {
  /** Built-in name, name in the user's profile folder, or a file (with a slash or `.json`). Default: `default`. */
  readonly profile?: string;
  readonly limits?: Limits;
  readonly env?: Readonly<Record<string, string>>;
  /** `UID`, `UID:GID` or a name that the sandbox knows. */
  readonly user?: string;
  readonly volumes?: readonly VolumeOption[];
  readonly network?: "none" | "host";
  /** `host`, or a folder. */
  readonly rootfs?: string;
  /** An OCI image, by name or by id. Without a command, its own command runs. */
  readonly image?: string;
  /** When the image is pulled. Default: `missing`. */
  readonly pull?: "missing" | "always" | "never";
  /** In place of the image's entry point; an empty list for none. */
  readonly entrypoint?: readonly string[];
  /** Any profile field by its path: `{ "process.umask": "077" }`. */
  readonly set?: Readonly<Record<string, unknown>>;
  /**
   * Whose sandboxes runs take where these are just what they would make: `auto`, any run server's (`belljar serve`) that there is when the sandbox
   * is opened; `none`; or the folder of a pool. Default: what the configuration says, else `auto`.
   */
  readonly server?: "auto" | "none" | `/${string}`;
}

/** What {@link Sandbox.open} takes. */
export interface OpenOptions extends SandboxOptions {
  /** Runs at the same time; the others wait, first come, first served. Default: as many as there are CPUs. */
  readonly concurrency?: number;
  /** Runs that may wait; one more is refused with the code `queue-full`. Default: any number. */
  readonly queueLimit?: number;
  /**
   * Sandboxes that are kept ready, each for one run of {@link Sandbox.run}: such a run starts in a fraction of the time. Runs whose limits or
   * options make another sandbox of it (`disk`, `script`) make their own. Default: 0.
   */
  readonly warm?: number;
  /** Ends the wait for an image that is pulled or unpacked. */
  readonly signal?: AbortSignal;
}

/** One program, besides its command. */
export interface ProgramOptions {
  /** Host file to run, by its `#!` line, its format or its extension; shown read-only in /work. The command is then its arguments. */
  readonly script?: string;
  /** Path in /work -> content, copied in before the start. */
  readonly files?: Readonly<Record<string, string | Uint8Array | InputFile>>;
  /** Paths in /work, returned as bytes after the end: regular files only, and no links are followed. */
  readonly outputs?: readonly string[];
  /** Largest file that is returned, in bytes. Default: the disk limit, or 256 MiB. */
  readonly outputMaxBytes?: number;
  /** Before those of the sandbox, one by one. */
  readonly limits?: Limits;
  /** Added to the sandbox's. */
  readonly env?: Readonly<Record<string, string>>;
  /** Puts CPU time, memory and processes over time into the report, one figure of each in this time: `"50ms"`, or milliseconds. */
  readonly sample?: string | number;
  /** Working directory, in the sandbox; relative to /work, which is the default. */
  readonly cwd?: string;
}

export interface EncodingOption {
  /** How captured streams are returned: text (invalid UTF-8 replaced) or bytes. Default: `utf8`. */
  readonly encoding?: "utf8" | "buffer";
}

/** What {@link Sandbox.run} takes. */
export interface SandboxRunOptions extends ProgramOptions, EncodingOption {
  /** What the program reads; without it, an empty input. A source is read no faster than the program reads. */
  readonly stdin?: StdinSource;
  /**
   * Takes stdout as it comes, as bytes; it is then not captured, and not bounded by memory. Nothing more is read until the promise that
   * a function returns is resolved, or a Writable has room: a program that writes faster has to wait. A Writable is not ended.
   */
  readonly onStdout?: OutputSink;
  /** The same for stderr. */
  readonly onStderr?: OutputSink;
  /** Ends the run: its verdict is then `cancelled`. */
  readonly signal?: AbortSignal;
}

/** What {@link run} takes. */
export interface RunOptions extends SandboxOptions, SandboxRunOptions {
  /** Program and arguments, looked up in the sandbox. With `script`: the script's arguments. Never a shell's text. */
  readonly command?: readonly string[];
  readonly limits?: Limits;
  readonly env?: Readonly<Record<string, string>>;
}

/** One of the two programs of {@link Sandbox.interact}. */
export interface InteractProgram extends ProgramOptions {
  readonly command: readonly string[];
  readonly onStderr?: OutputSink;
}

export interface InteractOptions extends EncodingOption {
  /** Ends both. */
  readonly signal?: AbortSignal;
}

export interface CloseOptions {
  /** Ends what runs (its verdict is `cancelled`) and refuses what waits (with the code `closed`), instead of waiting for it. */
  readonly cancel?: boolean;
}
