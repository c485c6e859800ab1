import { Writable } from "node:stream";
import { BelljarError } from "../../policy/errors.ts";
import { illFormedTexts, nearestName } from "../../policy/profile/index.ts";
import { limitNames } from "../../policy/profile/types.ts";
import { quoted } from "../output/terminal.ts";
import type {
  CloseOptions,
  InteractOptions,
  InteractProgram,
  OpenOptions,
  ProgramOptions,
  RunOptions,
  SandboxOptions,
  SandboxRunOptions,
} from "./options.ts";

type Check = (value: unknown) => string | null;

/** Each is three processes. */
const maxWarm = 1024;

const isObject = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === "object" && value !== null && !Array.isArray(value) && !ArrayBuffer.isView(value);
const isContent = (value: unknown) => typeof value === "string" || value instanceof Uint8Array;
const isSource = (value: unknown) => typeof value === "object" && value !== null && Symbol.asyncIterator in value;

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
const count =
  (least: number): Check =>
  (value) =>
    value === Number.POSITIVE_INFINITY || (Number.isSafeInteger(value) && (value as number) >= least)
      ? null
      : `must be a whole number from ${least} on, or Infinity`;
const warm: Check = (value) =>
  Number.isSafeInteger(value) && (value as number) >= 0 && (value as number) <= maxWarm
    ? null
    : `must be a whole number from 0 to ${maxWarm}`;
const server: Check = (value) =>
  value === "auto" || value === "none" || (text(value) === null && (value as string).startsWith("/"))
    ? null
    : "must be auto, none or the absolute path of a pool's folder";
const sample: Check = (value) =>
  typeof value === "string" || typeof value === "number" ? null : "must be a duration, as text or in milliseconds";
const sink: Check = (value) =>
  typeof value === "function" || value instanceof Writable ? null : "must be a function that takes bytes, or a Writable";
const signal: Check = (value) => (value instanceof AbortSignal ? null : "must be an AbortSignal");

type Checks<Options> = Readonly<Record<keyof Options, Check>>;

const encoding = oneOf("utf8", "buffer");
const ofSandbox = {
  profile: text,
  limits,
  env,
  user: text,
  volumes,
  network: oneOf("none", "host"),
  rootfs: text,
  image: text,
  pull: oneOf("missing", "always", "never"),
  entrypoint: texts,
  set: object,
  server,
} as const satisfies Checks<SandboxOptions>;
const ofProgram = {
  script: text,
  files,
  outputs: texts,
  outputMaxBytes: size,
  limits,
  env,
  cwd: text,
  sample,
} as const satisfies Checks<ProgramOptions>;
const stdin: Check = (value) =>
  isContent(value) || isSource(value) ? null : "must be a string, bytes, a Readable or an async iterable of them";
const ofRun = { ...ofProgram, stdin, encoding, signal, onStdout: sink, onStderr: sink } as const satisfies Checks<SandboxRunOptions>;

const forms = {
  "run()": { ...ofSandbox, ...ofRun, command: texts } as const satisfies Checks<RunOptions>,
  "Sandbox.open()": {
    ...ofSandbox,
    concurrency: count(1),
    queueLimit: count(0),
    warm,
    signal,
  } as const satisfies Checks<OpenOptions>,
  "sandbox.run()": ofRun,
  "sandbox.interact()": { encoding, signal } as const satisfies Checks<InteractOptions>,
  "a program of sandbox.interact()": { ...ofProgram, command: texts, onStderr: sink } as const satisfies Checks<InteractProgram>,
  "sandbox.close()": {
    cancel: (value) => (typeof value === "boolean" ? null : "must be true or false"),
  } as const satisfies Checks<CloseOptions>,
} as const;

interface FormOptions {
  readonly "run()": RunOptions;
  readonly "Sandbox.open()": OpenOptions;
  readonly "sandbox.run()": SandboxRunOptions;
  readonly "sandbox.interact()": InteractOptions;
  readonly "a program of sandbox.interact()": InteractProgram;
  readonly "sandbox.close()": CloseOptions;
}

const usage = (message: string, hint?: string) => new BelljarError("usage", `reading options: ${message}`, { hint });

/** These are no data: nothing in them is a text of ours. */
const opaque: readonly string[] = ["signal", "onStdout", "onStderr"];
const isOpaque = (name: string, value: unknown): boolean => opaque.includes(name) || (name === "stdin" && isSource(value));

/** Refuses unknown names and wrong types, whatever the compiler let pass. Throws BelljarError `usage`. */
export function checkOptions<Form extends keyof FormOptions>(form: Form, options: unknown): FormOptions[Form] {
  if (!isObject(options)) throw usage(`${form} takes one object of options`);
  const checks: Readonly<Record<string, Check>> = forms[form];
  for (const [name, value] of Object.entries(options)) {
    const check = Object.hasOwn(checks, name) ? checks[name] : undefined;
    if (check === undefined) {
      const guess = nearestName(name, Object.keys(checks));
      throw usage(`${quoted(name)}: unknown option of ${form}`, guess === null ? undefined : `did you mean '${guess}'?`);
    }
    const problem = value === undefined ? null : check(value);
    if (problem !== null) throw usage(`'${name}': ${problem}`);
    const [illFormed] = isOpaque(name, value) ? [] : illFormedTexts(value, [name]);
    if (illFormed !== undefined) throw usage(`${quoted(illFormed.path)}: ${illFormed.message}`);
  }
  return options as unknown as FormOptions[Form];
}

/** What to run on is said once. */
export function checkRoot({ image, rootfs }: SandboxOptions): void {
  if (image !== undefined && rootfs !== undefined) throw usage("'image' and 'rootfs' both say what to run on: leave out one of them");
}

/** A command as it is given apart from options. An image may have one of its own, and a script is one. */
export function checkCommand(command: unknown, { optional }: { readonly optional: boolean }): readonly string[] {
  const problem = texts(command);
  if (problem !== null) throw usage(`'command': ${problem}`);
  const words = command as readonly string[];
  const [illFormed] = illFormedTexts(words, ["command"]);
  if (illFormed !== undefined) throw usage(`${quoted(illFormed.path)}: ${illFormed.message}`);
  if (!optional && (words.length === 0 || words[0] === "")) throw usage("'command': nothing to run", 'for example ["echo", "hello"]');
  return words;
}
