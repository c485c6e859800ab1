import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { BelljarError } from "../../policy/errors.ts";
import { inStore, replaceFile, type StorePaths } from "./layout.ts";
import { withLock } from "./lock.ts";
import { descriptorAt, parseDocument } from "./manifest.ts";
import { mediaTypes } from "./media-types.ts";
import type { Descriptor, Digest, ImageIndex } from "./oci-types.ts";

/** An entry of index.json. */
export interface StoredReference {
  /** The full reference ("docker.io/library/alpine:latest"), or whatever another tool wrote; null for an image without a name. */
  readonly name: string | null;
  /** Of the manifest; without the annotation that holds the name. */
  readonly descriptor: Descriptor;
}

/** Image specification, annotations.md: where tools that read layouts look for the name. */
export const refNameAnnotation = "org.opencontainers.image.ref.name";

const what = "reading the index of the image store";
const maxBytes = 16 * 1024 * 1024;

function fromDescriptor(entry: Descriptor): StoredReference {
  const { annotations = {}, ...rest } = entry;
  const { [refNameAnnotation]: name = null, ...others } = annotations;
  return { name, descriptor: Object.keys(others).length === 0 ? rest : { ...rest, annotations: others } };
}

function toDescriptor({ name, descriptor }: StoredReference): Descriptor {
  if (name === null) return descriptor;
  return { ...descriptor, annotations: { ...descriptor.annotations, [refNameAnnotation]: name } };
}

/** Every entry, in the order of the file. Reads without a lock: the file is only ever replaced whole. */
export async function listReferences(paths: StorePaths): Promise<readonly StoredReference[]> {
  const bytes = await inStore(what, paths.index, () => readFile(paths.index));
  if (bytes.length > maxBytes) throw new BelljarError("store-failed", `${what}: is larger than ${maxBytes} bytes`);
  const document = parseDocument(bytes, { what, mediaType: mediaTypes.ociIndex });
  if (document.kind !== "index") throw new BelljarError("store-failed", `${what}: is no index`);
  return document.index.manifests.map(fromDescriptor);
}

/** Changes the list under the lock of the index, and replaces the file if the list has changed. */
export async function changeReferences(
  paths: StorePaths,
  change: (list: readonly StoredReference[]) => readonly StoredReference[],
): Promise<readonly StoredReference[]> {
  return withLock(join(paths.locks, "index"), { mode: "exclusive" }, async () => {
    const before = await listReferences(paths);
    const after = change(before);
    const index: ImageIndex = { schemaVersion: 2, mediaType: mediaTypes.ociIndex, manifests: after.map(toDescriptor) };
    const part = join(paths.root, "index.json.part");
    await inStore("writing the index of the image store", paths.index, () =>
      replaceFile(paths.index, { part, content: `${JSON.stringify(index, null, 2)}\n` }),
    );
    return before;
  });
}

export const isNamed = (name: string) => (entry: StoredReference) => entry.name === name;
const isUntagged = (digest: Digest) => (entry: StoredReference) => entry.name === null && entry.descriptor.digest === digest;

/**
 * Lets a name mean an image, instead of whatever it meant before. A null name keeps an image that has none.
 * The manifest must be in the store already: a name never points to something that is not there.
 */
export async function setReference(paths: StorePaths, name: string | null, descriptor: Descriptor): Promise<void> {
  const entry = { name, descriptor: descriptorAt("naming an image", "descriptor", descriptor) };
  const { annotations: _, ...plain } = entry.descriptor;
  await changeReferences(paths, (list) => {
    // An image that gets a name needs its nameless entry no more; one that has a name gets no nameless entry.
    if (name === null && list.some((one) => one.descriptor.digest === plain.digest)) return list;
    const others = list.filter((one) => (name === null || one.name !== name) && !isUntagged(plain.digest)(one));
    return [...others, { name, descriptor: plain }];
  });
}

/** Removes the entries that a condition picks; returns those that were there. */
export async function removeReferences(
  paths: StorePaths,
  condition: (entry: StoredReference) => boolean,
): Promise<readonly StoredReference[]> {
  const before = await changeReferences(paths, (list) => list.filter((entry) => !condition(entry)));
  return before.filter(condition);
}
