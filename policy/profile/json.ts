/**
 * Strict JSON. JSON.parse keeps the last of two equal keys and, on Node 20, often names no position; so a scanner goes first:
 * it checks the grammar, refuses duplicate keys (compared after unescaping), `__proto__` and deep nesting, and knows line and
 * column. The value itself comes from JSON.parse.
 */
import { formatPath, type PathSegment } from "./path.ts";
import type { Problem } from "./problems.ts";

export const maxJsonBytes = 1024 * 1024;
export const maxJsonDepth = 32;

export type JsonResult =
  | { readonly ok: true; readonly value: unknown; readonly problems: readonly Problem[] }
  | { readonly ok: false; readonly problems: readonly Problem[] };

interface Container {
  readonly keys: Set<string> | null; // null: an array
  readonly path: readonly PathSegment[];
  at: PathSegment;
}

// The string part is unrolled so that it cannot backtrack: hostile text costs linear time.
// biome-ignore-start lint/suspicious/noControlCharactersInRegex: JSON strings must not hold them
const token =
  /([{}[\],:])|("[^"\\\u0000-\u001f]*(?:\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4})[^"\\\u0000-\u001f]*)*")|-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?|true|false|null/y;
// biome-ignore-end lint/suspicious/noControlCharactersInRegex: JSON strings must not hold them
const space = /[ \t\n\r]*/y;

type Expecting = "value" | "value-or-end" | "key" | "key-or-end" | "colon" | "comma-or-end" | "nothing";
const expectingWords: Readonly<Record<Expecting, string>> = {
  value: "expected a value",
  "value-or-end": 'expected a value or "]"',
  key: "expected a key in double quotes (no comma may stand before a closing brace)",
  "key-or-end": 'expected a key in double quotes or "}"',
  colon: 'expected ":"',
  "comma-or-end": 'expected "," or the closing bracket',
  nothing: "expected nothing more",
};

function position(text: string, offset: number): string {
  const before = text.slice(0, offset);
  return `line ${before.split("\n").length}, column ${offset - before.lastIndexOf("\n")}`;
}

function syntaxWords(text: string, offset: number, expecting: Expecting): string {
  const rest = text.slice(offset, offset + 2);
  if (rest === "") return expecting === "value" && text.trim() === "" ? "the file is empty" : "the text ends too early";
  if (rest === "//" || rest === "/*") return 'JSON has no comments; use the keys "comment" and "comments"';
  if (rest.startsWith("'")) return "strings stand in double quotes";
  if (rest.startsWith('"')) return "a string that does not end, or holds a raw control character or a bad escape";
  if (rest.startsWith("\ufeff")) return "a byte order mark; save the file without it";
  return expectingWords[expecting];
}

/** The lines, from 1, on which the values at these paths ("syscalls[3].action") begin; those that are there. */
export function linesOf(text: string, paths: ReadonlySet<string>): ReadonlyMap<string, number> {
  const lines = new Map<string, number>();
  readJson(text, (at, { offset }) => {
    const path = formatPath(at);
    if (paths.has(path) && !lines.has(path)) lines.set(path, text.slice(0, offset).split("\n").length);
  });
  return lines;
}

/** ES2024, in Node since 20; the type library of this project is a year behind. */
type WellFormedText = string & { isWellFormed(): boolean };

/** Where texts hold half a surrogate pair ("\ud800"): no UTF-8 says that, so nothing can be given to a program or the kernel as it. */
export function illFormedTexts(value: unknown, path: readonly PathSegment[] = []): readonly Problem[] {
  const wrong = (text: string) => !(text as WellFormedText).isWellFormed();
  const problem = (at: readonly PathSegment[]): Problem => ({
    path: formatPath(at),
    message: "holds half a surrogate pair, which is no text",
  });
  if (typeof value === "string") return wrong(value) ? [problem(path)] : [];
  if (typeof value !== "object" || value === null || ArrayBuffer.isView(value)) return [];
  if (Array.isArray(value)) return value.flatMap((element, index) => illFormedTexts(element, [...path, index]));
  return Object.entries(value).flatMap(([key, inner]) => (wrong(key) ? [problem([...path, key])] : illFormedTexts(inner, [...path, key])));
}

/** Told of the start of each value, outer ones first; `source` is the text of a number, string or word, or the opening bracket. */
export type OnValue = (path: readonly PathSegment[], at: { readonly offset: number; readonly source: string }) => void;

/** Reads one JSON text. Problems other than syntax (duplicate keys) come beside the value, so that all can be told at once. */
export function readJson(text: string, onValue?: OnValue): JsonResult {
  if (text.length > maxJsonBytes) {
    return { ok: false, problems: [{ path: "", message: `is larger than ${maxJsonBytes / 1024} KiB` }] };
  }
  const problems: Problem[] = [];
  const stack: Container[] = [];
  let expecting: Expecting = "value";
  let offset = 0;
  const fail = (message: string): JsonResult => ({
    ok: false,
    problems: [{ path: "", message: `is not valid JSON: ${message} (${position(text, offset)})` }],
  });
  const afterValue = (): Expecting => (stack.length === 0 ? "nothing" : "comma-or-end");

  for (;;) {
    space.lastIndex = offset;
    space.test(text);
    offset = space.lastIndex;
    if (offset === text.length && expecting === "nothing") break;
    token.lastIndex = offset;
    const match = token.exec(text);
    if (match === null) return fail(syntaxWords(text, offset, expecting));
    const [whole, punctuation, string] = match;
    const top = stack.at(-1);
    const wantsValue = expecting === "value" || expecting === "value-or-end";
    if (onValue !== undefined && wantsValue && (punctuation === undefined || punctuation === "{" || punctuation === "["))
      onValue(top === undefined ? [] : [...top.path, top.at], { offset, source: whole });

    if (string !== undefined && (expecting === "key" || expecting === "key-or-end") && top?.keys) {
      const key = JSON.parse(string) as string;
      const path = formatPath([...top.path, key]);
      if (key === "__proto__") problems.push({ path, message: 'the key "__proto__" is not allowed' });
      if (top.keys.has(key)) problems.push({ path, message: `is given twice (again in ${position(text, offset)})` });
      top.keys.add(key);
      top.at = key;
      expecting = "colon";
    } else if (punctuation === undefined && wantsValue) {
      expecting = afterValue();
    } else if ((punctuation === "{" || punctuation === "[") && wantsValue) {
      if (stack.length === maxJsonDepth) return fail(`nested deeper than ${maxJsonDepth} levels`);
      const object = punctuation === "{";
      stack.push({ keys: object ? new Set() : null, path: top === undefined ? [] : [...top.path, top.at], at: 0 });
      expecting = object ? "key-or-end" : "value-or-end";
    } else if (punctuation === "}" && top?.keys && (expecting === "comma-or-end" || expecting === "key-or-end")) {
      stack.pop();
      expecting = afterValue();
    } else if (punctuation === "]" && top?.keys === null && (expecting === "comma-or-end" || expecting === "value-or-end")) {
      stack.pop();
      expecting = afterValue();
    } else if (punctuation === "," && expecting === "comma-or-end" && top !== undefined) {
      if (typeof top.at === "number") top.at += 1;
      expecting = top.keys ? "key" : "value";
    } else if (punctuation === ":" && expecting === "colon") {
      expecting = "value";
    } else {
      return fail(syntaxWords(text, offset, expecting));
    }
    offset += whole.length;
  }
  const value = JSON.parse(text) as unknown;
  // Text that came as UTF-8 has it from an escape or not at all.
  if (/\\u[dD][89a-fA-F]/.test(text)) problems.push(...illFormedTexts(value));
  return { ok: true, value, problems };
}
