/** Values from options: over the merged profile, one by one, each blamed for what it breaks. */
import { BelljarError } from "../errors.ts";
import { isObject, type Json, type Merged, mergeLayer } from "./merge.ts";
import { coversPath, formatPath, type PathSegment, parsePath, type SetSegment } from "./path.ts";
import { valueAt } from "./shape.ts";
import { limitNames } from "./types.ts";

export interface Override {
  /** "limits.memory", "process.env.LANG", "mounts[0].access", "mounts[+]" (one more). */
  readonly path: string;
  readonly value: unknown;
  /** "option --memory": named in errors and provenance. */
  readonly origin: string;
}

const usage = (message: string): BelljarError => new BelljarError("usage", message);

function nest(segments: readonly PathSegment[], value: unknown): Json {
  return segments.reduceRight<unknown>((inner, key) => Object.fromEntries([[key, inner]]), value) as Json;
}

/** A copy of `value` with `replacement` at `segments`; lists on the way are copied, objects merged as everywhere. */
function replaceWithin(value: unknown, segments: readonly PathSegment[], replacement: unknown): unknown {
  const [head, ...rest] = segments;
  if (head === undefined) return replacement;
  const inner = replaceWithin(valueAt(value, [head]), rest, replacement);
  if (Array.isArray(value)) return value.map((element, index) => (index === head ? inner : element));
  return { ...(isObject(value) ? value : {}), ...Object.fromEntries([[head, inner]]) };
}

/** `[+]` becomes the index behind the last; an index must be that of an element. */
function settle(merged: Json, override: Override): readonly PathSegment[] {
  const wrong = (message: string): BelljarError => usage(`${override.origin.replace(/^option /, "")}: ${override.path}: ${message}`);
  const parsed: readonly SetSegment[] | null = parsePath(override.path);
  if (parsed === null) throw wrong("is not a path");
  const settled: PathSegment[] = [];
  for (const segment of parsed) {
    if (typeof segment === "string") {
      if (segment === "__proto__") throw wrong('the key "__proto__" is not allowed');
      settled.push(segment);
      continue;
    }
    const at = valueAt(merged, settled);
    const last = typeof segment === "object";
    if (!Array.isArray(at) && !(last && at === undefined)) throw wrong(`${formatPath(settled)} is not a list`);
    const length = Array.isArray(at) ? at.length : 0;
    if (!last && segment >= length) throw wrong(`${formatPath(settled)} has ${length} elements; [+] adds one`);
    settled.push(last ? length : segment);
  }
  if (["extends", "schemaVersion", "$schema", "name"].includes(String(settled[0]))) throw wrong("cannot be set by an option");
  return settled;
}

export interface AppliedOverride {
  readonly path: string;
  readonly origin: string;
}

/** Applies one override. What it makes invalid shows when the whole is checked; see {@link blame}. */
export function applyOverride(merged: Merged, override: Override): { readonly merged: Merged; readonly applied: AppliedOverride } {
  const segments = settle(merged.value, override);
  const path = formatPath(segments);
  const applied = { path, origin: override.origin };
  const isLimit = segments[0] === "limits" && (limitNames as readonly unknown[]).includes(segments[1]);
  const value = isLimit && (override.value === "none" || override.value === "null") ? null : override.value;
  const firstIndex = segments.findIndex((segment) => typeof segment === "number");
  if (firstIndex === -1) return { merged: mergeLayer(merged, nest(segments, value), override.origin), applied };

  const listPath = segments.slice(0, firstIndex);
  const before = (valueAt(merged.value, listPath) as readonly unknown[] | undefined) ?? [];
  const index = segments[firstIndex] as number;
  const grown = index === before.length ? [...before, undefined] : before;
  const list = replaceWithin(grown, segments.slice(firstIndex), value);
  const owner = formatPath(listPath);
  const next = mergeLayer(merged, nest(listPath, list), override.origin);
  const elements = Object.entries(merged.provenance).filter(([at]) => coversPath(owner, at));
  const provenance = {
    ...next.provenance,
    ...Object.fromEntries(elements),
    [formatPath(segments.slice(0, firstIndex + 1))]: override.origin,
  };
  return { merged: { value: next.value, provenance }, applied };
}

/** The origin to blame for a problem at `path`: the last override that touched it, or null. */
export function blame(path: string, applied: readonly AppliedOverride[]): string | null {
  return applied.findLast((one) => coversPath(one.path, path) || coversPath(path, one.path))?.origin ?? null;
}
