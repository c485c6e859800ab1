import { BelljarError } from "../../policy/errors.ts";
import { illFormedTexts, nearestName } from "../../policy/profile/index.ts";
import { type LimitName, limitNames } from "../../policy/profile/types.ts";
import { quoted } from "../output/terminal.ts";

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

/** What {@link run} takes. Names and values are those of the command's options and of a profile. */
export interface RunOptions {
  /** Built-in name, name in the user's profile folder, or a file (with a slash or `.json`). Default: `default`. */
  readonly profile?: string;
  /** Program and arguments, looked up in the sandbox. With `script`: the script's arguments. Never a shell's text. */
  readonly command?: readonly string[];
  /** Host file to run, by its `#!` line, its format or its extension; shown read-only in /work. */
  readonly script?: string;
  /** What the program reads; without it, an empty input. */
  readonly stdin?: string | Uint8Array;
  /** How stdout and stderr are returned: text (invalid UTF-8 replaced) or bytes. Default: `utf8`. */
  readonly encoding?: "utf8" | "buffer";
  /** Limits by their profile names: `{ cpuTime: "1s", memory: 64 * 2 ** 20, disk: null }`. */
  readonly limits?: Readonly<Partial<Record<LimitName, string | number | null>>>;
  /** Path in /work -> content, copied in before the start. */
  readonly files?: Readonly<Record<string, string | Uint8Array | InputFile>>;
  /** Paths in /work, returned as bytes after the end. */
  readonly outputs?: readonly string[];
  /** Largest file that is returned, in bytes. Default: the disk limit. */
  readonly outputMaxBytes?: number;
  readonly env?: Readonly<Record<string, string>>;
  readonly workdir?: string;
  /** `UID`, `UID:GID` or a name that the sandbox knows. */
  readonly user?: string;
  readonly volumes?: readonly VolumeOption[];
  readonly network?: "none" | "host";
  /** `host`, or a folder. */
  readonly rootfs?: string;
  /** An OCI image, by name or by id. Without `command`, its own command runs. */
  readonly image?: string;
  /** When the image is pulled. Default: `missing`. */
  readonly pull?: "missing" | "always" | "never";
  /** In place of the image's entry point; an empty list for none. */
  readonly entrypoint?: readonly string[];
  /** Any profile field by its path: `{ "process.umask": "077" }`. */
  readonly set?: Readonly<Record<string, unknown>>;
  /** Puts CPU time, memory and processes over time into the report, one figure of each in this time: `"50ms"`, or milliseconds. */
  readonly sample?: string | number;
  /** Ends the run: its verdict is then `cancelled`. */
  readonly signal?: AbortSignal;
}

type Check = (value: unknown) => string | null;

const isObject = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === "object" && value !== null && !Array.isArray(value) && !ArrayBuffer.isView(value);
const isContent = (value: unknown) => typeof value === "string" || value instanceof Uint8Array;

const text: Check = (value) => (typeof value === "string" && value !== "" && !value.includes("\0") ? null : "must be a non-empty string");
const texts: Check = (value) =>
  Array.isArray(value) && value.every((word) => typeof word === "string" && !word.includes("\0"))
    ? null
    : "must be an array of strings without NUL characters";
const oneOf =
  (...words: readonly string[]): Check =>
  (value) =>
    words.includes(value as string) ? null : `must be one of ${words.join(", ")}`;
const object: Check = (value) => (isObject(value) ? null : "must be an object");

const limits: Check = (value) => {
  if (!isObject(value)) return "must be an object";
  const unknown = Object.keys(value).find((name) => !(limitNames as readonly string[]).includes(name));
  if (unknown === undefined) return null;
  const guess = nearestName(unknown, limitNames);
  return `${quoted(unknown)} is no limit${guess === null ? "" : `; did you mean '${guess}'?`}`;
};
const files: Check = (value) => {
  const whole = isObject(value) && Object.values(value).every((file) => isContent(file) || (isObject(file) && isContent(file["content"])));
  return whole ? null : "must map paths to strings, bytes or { content, executable }";
};
const env: Check = (value) => {
  if (!isObject(value)) return "must be an object";
  const wrong = Object.entries(value).find(
    ([name, given]) => name === "" || name.includes("=") || typeof given !== "string" || `${name}${given}`.includes("\0"),
  );
  return wrong === undefined ? null : `${quoted(wrong[0])} must be a name without '=' and have a string as value`;
};
const volumes: Check = (value) => {
  const whole =
    Array.isArray(value) &&
    value.every((volume) => {
      if (!isObject(volume)) return false;
      const {
        source,
        target,
        access = "read-only",
      } = volume as { readonly source?: unknown; readonly target?: unknown; readonly access?: unknown };
      return text(source) === null && text(target) === null && ["read-only", "read-write"].includes(access as string);
    });
  return whole ? null : 'must be an array of { source, target, access?: "read-only" | "read-write" }';
};
const size: Check = (value) => (Number.isSafeInteger(value) && (value as number) > 0 ? null : "must be a positive whole number of bytes");

const checks = {
  profile: text,
  command: texts,
  script: text,
  stdin: (value) => (isContent(value) ? null : "must be a string or bytes"),
  encoding: oneOf("utf8", "buffer"),
  limits,
  files,
  outputs: texts,
  outputMaxBytes: size,
  env,
  workdir: text,
  user: text,
  volumes,
  network: oneOf("none", "host"),
  rootfs: text,
  image: text,
  pull: oneOf("missing", "always", "never"),
  entrypoint: texts,
  set: object,
  sample: (value) => (typeof value === "string" || typeof value === "number" ? null : "must be a duration, as text or in milliseconds"),
  signal: (value) => (value instanceof AbortSignal ? null : "must be an AbortSignal"),
} as const satisfies Readonly<Record<keyof RunOptions, Check>>;

const usage = (message: string, hint?: string) => new BelljarError("usage", `reading options: ${message}`, { hint });

/** Refuses unknown names and wrong types, whatever the compiler let pass. Throws BelljarError `usage`. */
export function checkOptions(options: unknown): asserts options is RunOptions {
  if (!isObject(options)) throw usage("run() takes one object of options");
  for (const [name, value] of Object.entries(options)) {
    if (!Object.hasOwn(checks, name)) {
      const guess = nearestName(name, Object.keys(checks));
      throw usage(`${quoted(name)}: unknown option`, guess === null ? undefined : `did you mean '${guess}'?`);
    }
    const problem = value === undefined ? null : checks[name as keyof RunOptions](value);
    if (problem !== null) throw usage(`'${name}': ${problem}`);
    const [illFormed] = name === "signal" ? [] : illFormedTexts(value, [name]);
    if (illFormed !== undefined) throw usage(`${quoted(illFormed.path)}: ${illFormed.message}`);
  }
  const { command, script, image, rootfs } = options as RunOptions;
  if (image !== undefined && rootfs !== undefined) throw usage("'image' and 'rootfs' both say what to run on: leave out one of them");
  if (script === undefined && image === undefined && (command === undefined || command.length === 0 || command[0] === "")) {
    throw usage("'command': nothing to run", 'run({ command: ["echo", "hello"] })');
  }
}
