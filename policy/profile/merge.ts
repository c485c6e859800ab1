/**
 * The merge rule: objects merge key by key, scalars and lists replace, later wins. One exception keeps tagged unions whole:
 * where `rootfs.kind` changes, the keys that belong to the old kind go. Objects are built by Object.fromEntries, which defines
 * keys and never follows a prototype, so no key of a profile can reach one.
 */
import { formatPath, type PathSegment } from "./path.ts";
import type { Provenance } from "./types.ts";

export type Json = Readonly<Record<string, unknown>>;
export interface Merged {
  readonly value: Json;
  readonly provenance: Provenance;
}
export const emptyMerge: Merged = { value: {}, provenance: {} };

export function isObject(value: unknown): value is Json {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

const own = (object: Json, key: string): unknown => (Object.hasOwn(object, key) ? object[key] : undefined);

const kindKeys: Readonly<Record<string, string>> = { image: "reference", directory: "path" };

function fittingRootfs(base: Json, layer: Json): Json {
  const [before, after] = [own(base, "rootfs"), own(layer, "rootfs")];
  const kind = isObject(after) ? after["kind"] : undefined;
  if (!isObject(before) || typeof kind !== "string" || kind === before["kind"]) return base;
  const foreign = new Set(Object.values(kindKeys).filter((key) => key !== kindKeys[kind]));
  return { ...base, rootfs: Object.fromEntries(Object.entries(before).filter(([key]) => !foreign.has(key))) };
}

function mergeObjects(base: Json, layer: Json): Json {
  const merged = new Map(Object.entries(base));
  for (const [key, value] of Object.entries(layer)) {
    if (value === undefined) continue;
    const before = merged.get(key);
    merged.set(key, isObject(before) && isObject(value) ? mergeObjects(before, value) : value);
  }
  return Object.fromEntries(merged);
}

/** Paths of all scalars and lists of a value. */
function leafPaths(value: Json, path: readonly PathSegment[] = []): readonly string[] {
  return Object.entries(value).flatMap(([key, child]) => {
    if (child === undefined) return [];
    return isObject(child) ? leafPaths(child, [...path, key]) : [formatPath([...path, key])];
  });
}

/** `layer` over `base`, with `origin` noted for all that the layer sets. */
export function mergeLayer(base: Merged, layer: Json, origin: string): Merged {
  const fitted = fittingRootfs(base.value, layer);
  const value = mergeObjects(fitted, layer);
  const set = leafPaths(layer);
  const provenance = new Map(Object.entries(base.provenance));
  // A replaced list has none of its old elements, a rootfs of another kind none of the old one's keys.
  for (const path of provenance.keys()) {
    const owner = path.replace(/\[\d+\]$/, "");
    if (owner !== path && set.includes(owner)) provenance.delete(path);
  }
  if (fitted !== base.value) for (const key of Object.values(kindKeys)) provenance.delete(`rootfs.${key}`);
  for (const path of set) provenance.set(path, origin);
  return { value, provenance: Object.fromEntries(provenance) };
}
