import { BelljarError } from "../../policy/errors.ts";
import { quoted } from "../output/terminal.ts";

/** How large and how deep the JSON of an image may be. All of it comes from strangers. */
export const documentLimits = {
  /** What the distribution specification asks every registry to take, and what other clients read at most. */
  maxBytes: 4 * 1024 * 1024,
  /** Real documents are 6 deep. */
  maxDepth: 64,
} as const;

export type JsonObject = Readonly<Record<string, unknown>>;

export const isObject = (value: unknown): value is JsonObject => typeof value === "object" && value !== null && !Array.isArray(value);

/** Refuses what an image says, with the name of the document. */
export function refuse(what: string, reason: string, cause?: unknown): never {
  throw new BelljarError("image-invalid", `${what}: ${reason}`, { cause });
}

const quote = 0x22;
const backslash = 0x5c;

/** Deepest nesting of the JSON in these bytes; found by a scan, since a parser that recurses may not survive it. */
function depthOf(bytes: Uint8Array): number {
  let depth = 0;
  let deepest = 0;
  let inString = false;
  for (let at = 0; at < bytes.length; at++) {
    const byte = bytes[at];
    if (inString) {
      if (byte === backslash) at++;
      else if (byte === quote) inString = false;
    } else if (byte === quote) inString = true;
    else if (byte === 0x7b || byte === 0x5b) deepest = Math.max(deepest, ++depth);
    else if (byte === 0x7d || byte === 0x5d) depth--;
  }
  return deepest;
}

/**
 * Reads JSON that a stranger wrote. Throws BelljarError `image-invalid` when it is too large, nested too deep, not UTF-8 or
 * not JSON. `what` names the document: "reading the manifest of 'alpine'".
 */
export function parseJson(bytes: Uint8Array, what: string, limits: Partial<typeof documentLimits> = {}): unknown {
  const { maxBytes, maxDepth } = { ...documentLimits, ...limits };
  if (bytes.length > maxBytes) refuse(what, `is larger than ${maxBytes} bytes`);
  if (depthOf(bytes) > maxDepth) refuse(what, `is nested deeper than ${maxDepth} levels`);
  let text: string;
  try {
    text = new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch (error) {
    return refuse(what, "is not UTF-8", error);
  }
  try {
    return JSON.parse(text);
  } catch (error) {
    return refuse(what, `is no JSON: ${(error as Error).message}`, error);
  }
}

/** An object of a document, or the refusal of anything else. */
export function objectAt(what: string, path: string, value: unknown): JsonObject {
  return isObject(value) ? value : refuse(what, `${path}: must be an object`);
}

/** Text without NUL, which no path, argument or variable can hold; null when absent (Go programs write null for nothing). */
export function optionalText(what: string, path: string, value: unknown): string | null {
  if (value === undefined || value === null) return null;
  if (typeof value !== "string") return refuse(what, `${path}: must be a string`);
  return value.includes("\0") ? refuse(what, `${path}: holds a NUL character`) : value;
}

export function optionalTexts(what: string, path: string, value: unknown): readonly string[] | null {
  if (value === undefined || value === null) return null;
  if (!Array.isArray(value)) return refuse(what, `${path}: must be a list of strings`);
  return value.map((item, index) => optionalText(what, `${path}[${index}]`, item) ?? refuse(what, `${path}[${index}]: must be a string`));
}

export function optionalTextMap(what: string, path: string, value: unknown): Readonly<Record<string, string>> | null {
  if (value === undefined || value === null) return null;
  const entries = Object.entries(objectAt(what, path, value)).map(([name, text]): [string, string] => {
    // Text of an image that only people read: a NUL does no harm, and another type is none of ours.
    if (typeof text !== "string") return refuse(what, `${path}[${quoted(name)}]: must be a string`);
    return [name, text];
  });
  return Object.fromEntries(entries);
}
