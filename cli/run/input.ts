/** What one run asks for, whoever asks: the command and the library fill the same form. Host paths are as given, not yet checked. */
export interface Override {
  /** JSON path of the profile field: `limits.memory`. */
  readonly path: string;
  readonly value: unknown;
  /** Who set it, for `explain` and messages: `option --memory`. */
  readonly origin: string;
}

export interface VolumeRequest {
  readonly source: string;
  readonly target: string;
  readonly access: "read-only" | "read-write";
}

export interface FileInRequest {
  readonly hostPath: string;
  /** In the work folder; null: the name of the host file. */
  readonly target: string | null;
}

export interface FileOutRequest {
  readonly source: string;
  /** A file, or an existing folder; null: the same name in the current folder. */
  readonly hostPath: string | null;
}

/** What a sandbox is made for, before any program of it is known. */
export interface SandboxInput {
  readonly profile: string;
  readonly overrides: readonly Override[];
  readonly volumes: readonly VolumeRequest[];
  readonly user: string | null;
  /** In place of the image's; an empty list: none. null: the image's. */
  readonly entrypoint: readonly string[] | null;
  /** When an image is pulled before the run. */
  readonly pull: "missing" | "always" | "never";
}

/** One program in it. */
export interface ProgramInput {
  /** Program and arguments, or with `script` the script's arguments only. */
  readonly command: readonly string[];
  readonly script: string | null;
  /**
   * A relative command with a slash may name a host script. Convenient for a person at a prompt; a library whose caller passes
   * on a stranger's command must not look it up among its own files.
   */
  readonly hostScripts: boolean;
  readonly workdir: string | null;
  /** In order, later wins; values are already looked up. */
  readonly env: readonly (readonly [name: string, value: string])[];
  readonly terminal: boolean;
  readonly filesIn: readonly FileInRequest[];
  readonly filesOut: readonly FileOutRequest[];
  readonly outMaxBytes: number | null;
  readonly stdin: "null" | "pump";
  /** How often figures are taken for the report's samples; 0: never. */
  readonly sampleMs: number;
  /** Streams are collected in memory: an output limit is then always set. */
  readonly capture: boolean;
}

export type RunInput = SandboxInput & ProgramInput;
