/**
 * Seccomp profiles as Docker, podman and containerd write them (JSON; the fields of the OCI runtime specification's
 * `linux.seccomp` and those that the engines evaluate before: archMap, includes, excludes): read and checked, not yet evaluated.
 * Their readers take null for absent, and so do we; they pass over unknown keys, which we refuse: a misspelt `args`
 * would turn "only if" into "always".
 */
import { readJson } from "../profile/json.ts";
import { formatPath, type PathSegment } from "../profile/path.ts";
import { didYouMean, firstByPath, type Problem, profileError } from "../profile/problems.ts";
import type { SeccompFile } from "../profile/types.ts";
import { quoteValue } from "../units.ts";
import { errnoNumbers, largestErrno } from "./errno.ts";

export interface FileArgument {
  readonly index: 0 | 1 | 2 | 3 | 4 | 5;
  readonly op: FileOperator;
  /** Of SCMP_CMP_MASKED_EQ the mask; `valueTwo` is then what the masked argument has to be. */
  readonly value: bigint;
  readonly valueTwo: bigint;
}
export interface FileCondition {
  readonly caps: readonly string[];
  readonly arches: readonly string[];
  readonly minKernel: string | null;
}
export interface FileRule {
  readonly names: readonly string[];
  readonly action: FileAction;
  /** null: none given. */
  readonly errno: number | null;
  readonly args: readonly FileArgument[];
  readonly includes: FileCondition;
  readonly excludes: FileCondition;
  readonly comment: string | null;
}
export interface FileProfile {
  readonly defaultAction: FileAction;
  readonly defaultErrno: number | null;
  readonly rules: readonly FileRule[];
  /** Fields that mean nothing here, one sentence each. */
  readonly warnings: readonly string[];
}

const operators = {
  SCMP_CMP_NE: "ne",
  SCMP_CMP_LT: "lt",
  SCMP_CMP_LE: "le",
  SCMP_CMP_EQ: "eq",
  SCMP_CMP_GE: "ge",
  SCMP_CMP_GT: "gt",
  SCMP_CMP_MASKED_EQ: "masked-eq",
} as const;
export type FileOperator = (typeof operators)[keyof typeof operators];

/** SCMP_ACT_KILL is libseccomp's older name for killing the thread alone. */
const actions = {
  SCMP_ACT_KILL: "kill-thread",
  SCMP_ACT_KILL_THREAD: "kill-thread",
  SCMP_ACT_KILL_PROCESS: "kill",
  SCMP_ACT_TRAP: "trap",
  SCMP_ACT_ERRNO: "errno",
  SCMP_ACT_TRACE: "trace",
  SCMP_ACT_LOG: "log",
  SCMP_ACT_ALLOW: "allow",
} as const;
export type FileAction = (typeof actions)[keyof typeof actions];

const knownFlags = [
  "SECCOMP_FILTER_FLAG_TSYNC",
  "SECCOMP_FILTER_FLAG_LOG",
  "SECCOMP_FILTER_FLAG_SPEC_ALLOW",
  "SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV",
] as const;

/** Fields of the format that mean nothing here, and why. */
const withoutEffect = {
  flags: "belljar installs its filters in its own way",
  listenerPath: "there is no agent that decides about calls",
  listenerMetadata: "there is no agent that decides about calls",
} as const;

const keys = {
  root: [
    "defaultAction",
    "defaultErrnoRet",
    "defaultErrno",
    "architectures",
    "archMap",
    "syscalls",
    "flags",
    "listenerPath",
    "listenerMetadata",
  ],
  archMap: ["architecture", "subArchitectures"],
  rule: ["name", "names", "action", "errnoRet", "errno", "args", "includes", "excludes"],
  argument: ["index", "value", "valueTwo", "op"],
  condition: ["caps", "arches", "minKernel"],
} as const;
/** Guesses cost time, and nobody reads a hundred. */
const maxGuesses = 20;
/** Allowed anywhere: they change nothing. */
const notes: readonly string[] = ["comment", "$schema"];

/** A place in the file, with what is wrong there going to one list. */
interface Cursor {
  readonly path: readonly PathSegment[];
  readonly value: unknown;
  readonly problems: Problem[];
  /** Source text of numbers that a double cannot hold, by path. */
  readonly exact: ReadonlyMap<string, string>;
}

function problem({ path, problems }: Cursor, message: string): void {
  problems.push({ path: formatPath(path), message });
}

function wrongType(cursor: Cursor, wanted: string): void {
  problem(cursor, `must be ${wanted} (got ${quoteValue(cursor.value)})`);
}

function inside(cursor: Cursor, key: PathSegment): Cursor {
  const value = (cursor.value as Record<PathSegment, unknown>)[key];
  return { ...cursor, path: [...cursor.path, key], value: value === null ? undefined : value };
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** False where it is no object. */
function checkObject(cursor: Cursor, known: readonly string[]): boolean {
  if (!isRecord(cursor.value)) {
    wrongType(cursor, "an object");
    return false;
  }
  for (const key of Object.keys(cursor.value)) {
    if (!known.includes(key) && !notes.includes(key))
      problem(inside(cursor, key), `is not a known key${cursor.problems.length < maxGuesses ? didYouMean(key, known) : ""}`);
  }
  return true;
}

function elements(cursor: Cursor): readonly Cursor[] {
  if (cursor.value === undefined) return [];
  if (!Array.isArray(cursor.value)) {
    wrongType(cursor, "a list");
    return [];
  }
  return cursor.value.map((_, index) => inside(cursor, index));
}

function text(cursor: Cursor): string | null {
  if (cursor.value === undefined) return null;
  if (typeof cursor.value === "string") return cursor.value;
  wrongType(cursor, "a string");
  return null;
}

function texts(cursor: Cursor, pattern: RegExp, wanted: string): readonly string[] {
  return elements(cursor).flatMap((element) => {
    if (typeof element.value === "string" && pattern.test(element.value)) return [element.value];
    wrongType(element, wanted);
    return [];
  });
}

/** One of a table's words, `fallback` (and a problem) where it is none. */
function word<T extends string>(cursor: Cursor, table: Readonly<Record<string, T>>, fallback: T): T {
  const { value } = cursor;
  if (value === undefined) problem(cursor, `is missing: one of ${Object.keys(table).join(", ")}`);
  else if (value === "SCMP_ACT_NOTIFY") problem(cursor, '"SCMP_ACT_NOTIFY" asks an agent outside, which belljar has none of');
  else if (typeof value !== "string" || !Object.hasOwn(table, value))
    problem(cursor, `must be one of ${Object.keys(table).join(", ")} (got ${quoteValue(value)})`);
  else return table[value] ?? fallback;
  return fallback;
}

const limit64 = 1n << 64n;

function unsigned64(cursor: Cursor): bigint {
  const { value } = cursor;
  if (value === undefined) return 0n;
  const source = cursor.exact.get(formatPath(cursor.path)) ?? (Number.isSafeInteger(value) ? String(value) : "");
  const number = typeof value === "number" && /^\d+$/.test(source) ? BigInt(source) : limit64;
  if (number < limit64) return number;
  problem(cursor, `must be a whole number from 0 to 2^64-1 (got ${source || quoteValue(value)})`);
  return 0n;
}

/** Both spellings: a number, and podman's name, which is the later one and wins. 0 would tell of a success that never was. */
function errnoOf(cursor: Cursor, { number, name }: { readonly number: string; readonly name: string }): number | null {
  const [numeric, named] = [inside(cursor, number), inside(cursor, name)];
  const written = text(named);
  const fromName = written === null || written === "" ? null : readErrno(written);
  if (fromName !== null && !isErrno(fromName))
    problem(named, `must be the name of an errno, or a number from 1 to ${largestErrno} (got ${quoteValue(written)})`);
  if (numeric.value !== undefined && !isErrno(numeric.value)) wrongType(numeric, `an errno from 1 to ${largestErrno}`);
  return fromName ?? (typeof numeric.value === "number" ? numeric.value : null);
}

/** 0 where it is none. */
function readErrno(written: string): number {
  if (Object.hasOwn(errnoNumbers, written)) return errnoNumbers[written as keyof typeof errnoNumbers];
  return /^\d{1,5}$/.test(written) ? Number(written) : 0;
}

function isErrno(value: unknown): boolean {
  return typeof value === "number" && Number.isInteger(value) && value >= 1 && value <= largestErrno;
}

const syscallName = /^[A-Za-z0-9_]{1,64}$/;
const syscallWords = 'the name of a system call such as "ptrace"';
const scmpArch = /^SCMP_ARCH_[A-Z0-9_]{1,32}$/;
const scmpArchWords = 'an architecture such as "SCMP_ARCH_X86_64"';
const plainWord = /^[A-Za-z0-9_]{1,64}$/;

function argument(cursor: Cursor): readonly FileArgument[] {
  if (!checkObject(cursor, keys.argument)) return [];
  const index = inside(cursor, "index");
  const isIndex = index.value === undefined || [0, 1, 2, 3, 4, 5].includes(index.value as number);
  if (!isIndex) wrongType(index, "from 0 to 5");
  const op = word(inside(cursor, "op"), operators, "eq");
  const [value, valueTwo] = [unsigned64(inside(cursor, "value")), unsigned64(inside(cursor, "valueTwo"))];
  if (op === "masked-eq" && (valueTwo & ~value) !== 0n)
    problem(
      inside(cursor, "valueTwo"),
      "has bits outside the mask (of SCMP_CMP_MASKED_EQ, `value` is the mask): the condition can never hold",
    );
  return [{ index: (index.value ?? 0) as FileArgument["index"], op, value, valueTwo }];
}

function condition(cursor: Cursor): FileCondition {
  const none: FileCondition = { caps: [], arches: [], minKernel: null };
  if (cursor.value === undefined || !checkObject(cursor, keys.condition)) return none;
  const minKernel = inside(cursor, "minKernel");
  const kernel = text(minKernel);
  const isKernel = kernel === null || kernel === "" || /^\d{1,4}\.\d{1,5}(\.\d{1,5})?$/.test(kernel);
  if (!isKernel) wrongType(minKernel, 'a kernel version such as "4.8"');
  return {
    caps: texts(inside(cursor, "caps"), plainWord, 'a capability such as "CAP_SYS_ADMIN"'),
    arches: texts(inside(cursor, "arches"), plainWord, 'an architecture such as "amd64"'),
    minKernel: kernel === "" || !isKernel ? null : kernel,
  };
}

function rule(cursor: Cursor): readonly FileRule[] {
  if (!checkObject(cursor, keys.rule)) return [];
  const [name, names] = [inside(cursor, "name"), inside(cursor, "names")];
  if (name.value === undefined && names.value === undefined) problem(names, "is missing: the system calls that the rule is about");
  const single = name.value === undefined || name.value === "" ? [] : [name];
  if (single.length > 0 && Array.isArray(names.value) && names.value.length > 0) problem(name, 'stands beside "names": use one of them');
  for (const one of single) if (typeof one.value !== "string" || !syscallName.test(one.value)) wrongType(one, syscallWords);
  return [
    {
      names: [...single.flatMap(({ value }) => (typeof value === "string" ? [value] : [])), ...texts(names, syscallName, syscallWords)],
      action: word(inside(cursor, "action"), actions, "kill"),
      errno: errnoOf(cursor, { number: "errnoRet", name: "errno" }),
      args: elements(inside(cursor, "args")).flatMap(argument),
      includes: condition(inside(cursor, "includes")),
      excludes: condition(inside(cursor, "excludes")),
      comment: text(inside(cursor, "comment")) || null,
    },
  ];
}

/** Which ABIs get rules matters to runtimes; here only the native one exists, and every other is refused. */
function checkArchitectures(cursor: Cursor): void {
  const [architectures, archMap] = [inside(cursor, "architectures"), inside(cursor, "archMap")];
  const named = texts(architectures, scmpArch, scmpArchWords);
  for (const entry of elements(archMap)) {
    if (!checkObject(entry, keys.archMap)) continue;
    const architecture = inside(entry, "architecture");
    if (typeof architecture.value !== "string" || !scmpArch.test(architecture.value)) wrongType(architecture, scmpArchWords);
    texts(inside(entry, "subArchitectures"), scmpArch, scmpArchWords);
  }
  if (named.length > 0 && Array.isArray(archMap.value) && archMap.value.length > 0)
    problem(archMap, 'stands beside "architectures": use one of them');
}

function ignored(cursor: Cursor): readonly string[] {
  const flags = elements(inside(cursor, "flags"));
  for (const flag of flags) {
    if (!(knownFlags as readonly unknown[]).includes(flag.value))
      problem(flag, `must be one of ${knownFlags.join(", ")} (got ${quoteValue(flag.value)})`);
  }
  const isSet = (key: string): boolean => (key === "flags" ? flags.length > 0 : Boolean(text(inside(cursor, key))));
  return Object.entries(withoutEffect).flatMap(([key, why]) => (isSet(key) ? [`${key}: no effect: ${why}`] : []));
}

/** @throws BelljarError profile-invalid, with every mistake and its JSON path */
export function parseSeccompFile({ path, text: written }: SeccompFile): FileProfile {
  const exact = new Map<string, string>();
  const json = readJson(written, (at, { source }) => {
    if (/^\d{16,}$/.test(source)) exact.set(formatPath(at), source);
  });
  if (!json.ok) throw profileError(path, json.problems);
  const problems = [...json.problems];
  const root: Cursor = { path: [], value: json.value, problems, exact };
  if (!isRecord(json.value)) throw profileError(path, [{ path: "", message: `must be a JSON object (got ${quoteValue(json.value)})` }]);
  checkObject(root, keys.root);
  checkArchitectures(root);
  const profile: FileProfile = {
    defaultAction: word(inside(root, "defaultAction"), actions, "kill"),
    defaultErrno: errnoOf(root, { number: "defaultErrnoRet", name: "defaultErrno" }),
    rules: elements(inside(root, "syscalls")).flatMap(rule),
    warnings: ignored(root),
  };
  if (problems.length > 0) throw profileError(path, firstByPath(problems));
  return profile;
}
