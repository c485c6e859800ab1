/** From the validator's findings to sentences, and to a copy without what was found, so that the other rules can go on. */
import { quoteValue } from "../units.ts";
import { formatPath, type PathSegment } from "./path.ts";
import { didYouMean, type Problem } from "./problems.ts";
import { knownKeys, knownKinds, type SchemaError, validate } from "./validate.gen.js";

function segmentsOf(pointer: string, value: unknown): readonly PathSegment[] {
  let at = value;
  return pointer
    .split("/")
    .slice(1)
    .map((part) => {
      const key = part.replace(/~1/g, "/").replace(/~0/g, "~");
      const segment = Array.isArray(at) ? Number(key) : key;
      at = valueAt(at, [segment]);
      return segment;
    });
}

export function valueAt(value: unknown, segments: readonly PathSegment[]): unknown {
  return segments.reduce<unknown>((at, segment) => {
    if (typeof at !== "object" || at === null || !Object.hasOwn(at, segment)) return undefined;
    return (at as Record<PathSegment, unknown>)[segment];
  }, value);
}

/** "mounts[0].target" -> "mounts[].target": how the tables of known keys name a place. */
const placeOf = (segments: readonly PathSegment[]): string => formatPath(segments).replace(/\[\d+\]/g, "[]");

const typeWords: Readonly<Record<string, string>> = {
  object: "an object",
  array: "a list",
  string: "a string",
  number: "a number",
  integer: "a whole number",
  boolean: "true or false",
  null: "null",
};
const listed = (words: readonly string[]): string =>
  words.length < 2 ? words.join("") : `${words.slice(0, -1).join(", ")} or ${words[words.length - 1]}`;

function oneOf(values: readonly unknown[], got: unknown): string {
  const names = values.filter((value) => typeof value === "string");
  const shown = values.length > 15 ? "a name that belljar knows" : `one of ${values.map(quoteValue).join(", ")}`;
  return `must be ${shown}${got === undefined ? "" : ` (got ${quoteValue(got)})`}${typeof got === "string" ? didYouMean(got, names) : ""}`;
}

function describe(error: SchemaError, value: unknown): { readonly segments: readonly PathSegment[]; readonly message: string } {
  const { keyword, params } = error;
  const segments = segmentsOf(error.instancePath, value);
  const got = valueAt(value, segments);
  const say = (message: string) => ({ segments, message });
  switch (keyword) {
    case "additionalProperties": {
      const key = String(params["additionalProperty"]);
      return { segments: [...segments, key], message: `is not a known key${didYouMean(key, knownKeys[placeOf(segments)] ?? [])}` };
    }
    case "required":
      return say(`needs the key ${quoteValue(params["missingProperty"])}`);
    case "discriminator":
      return params["error"] === "tag"
        ? say(`needs a "kind": ${oneOf(knownKinds[placeOf(segments)] ?? [], undefined).replace("must be ", "")}`)
        : { segments: [...segments, "kind"], message: oneOf(knownKinds[placeOf(segments)] ?? [], params["tagValue"]) };
    case "type":
      return say(
        `must be ${listed([params["type"]].flat().map((type) => typeWords[String(type)] ?? String(type)))} (got ${quoteValue(got)})`,
      );
    case "enum":
      return say(oneOf(params["allowedValues"] as readonly unknown[], got));
    case "const":
      return say(`must be ${quoteValue(params["allowedValue"])} (got ${quoteValue(got)})`);
    case "minimum":
      return say(`must be at least ${params["limit"]} (got ${quoteValue(got)})`);
    case "maximum":
      return say(`must be at most ${params["limit"]} (got ${quoteValue(got)})`);
    case "minItems":
      return say("must not be empty");
    default:
      return say(`is invalid (${keyword})`);
  }
}

export interface ShapeResult {
  readonly problems: readonly Problem[];
  /** A copy in which everything that is there has the right type; list elements keep their places, bad ones are undefined. */
  readonly rest: Record<string, unknown>;
}

/** Checks keys, types and choices. The values of limits are left to their own readers, which say more. */
export function checkShape(value: unknown): ShapeResult {
  if (typeof value !== "object" || value === null || Array.isArray(value)) {
    return { problems: [{ path: "", message: `must be a JSON object (got ${quoteValue(value)})` }], rest: {} };
  }
  if (validate(value)) return { problems: [], rest: value as Record<string, unknown> };
  const rest = structuredClone(value) as Record<string, unknown>;
  const problems = new Map<string, Problem>();
  for (const error of validate.errors ?? []) {
    const { segments, message } = describe(error, value);
    if (segments[0] === "limits" && segments.length === 2 && segments[1] !== "required" && error.keyword === "type") continue;
    const path = formatPath(segments);
    if (!problems.has(path)) problems.set(path, { path, message });
    // A root without schemaVersion is still worth reading; any other object that lacks a key is not.
    const parent = valueAt(rest, segments.slice(0, -1));
    const last = segments.at(-1);
    if (last !== undefined && typeof parent === "object" && parent !== null) (parent as Record<PathSegment, unknown>)[last] = undefined;
  }
  return { problems: [...problems.values()], rest };
}
