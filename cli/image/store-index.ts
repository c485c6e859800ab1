import { constants } from "node:fs";
import { open, readFile, rename, rm, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { BelljarError } from "../../policy/errors.ts";
import { inStore, type StorePaths, syncFolder } from "./layout.ts";
import { withLock } from "./lock.ts";
import { descriptorAt, manifestLimits, parseDocument } from "./manifest.ts";
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
const { maxLayoutIndexBytes: maxBytes, maxManifests } = manifestLimits;

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
  const document = parseDocument(bytes, { what, mediaType: mediaTypes.ociIndex, maxBytes });
  if (document.kind !== "index") throw new BelljarError("store-failed", `${what}: is no index`);
  return document.index.manifests.map(fromDescriptor);
}

/** What could not be read again is not written: without its index, the store is lost to every command. */
function checkRoom(content: string, count: number): void {
  const refuse = (reason: string): never => {
    throw new BelljarError("store-failed", `writing the index of the image store: would hold more than ${reason}`, {
      hint: "remove images: belljar image rm IMAGE...",
    });
  };
  if (count > maxManifests) refuse(`${maxManifests} names`);
  if (Buffer.byteLength(content) > maxBytes) refuse(`${maxBytes} bytes`);
}

/**
 * Replaces the index whole: temporary name, fsync, rename, fsync of the folder. A file of its size stays behind as room for the next one, so that on a
 * full disk images can still be removed. The caller holds the lock of the index.
 */
async function replaceIndex(paths: StorePaths, content: string): Promise<void> {
  const part = join(paths.root, "index.json.part");
  const file = await open(part, constants.O_WRONLY | constants.O_CREAT | constants.O_NOFOLLOW, 0o644);
  try {
    await file.writeFile(content);
    await file.truncate(Buffer.byteLength(content));
    await file.sync();
  } finally {
    await file.close();
  }
  await rename(part, paths.index);
  await syncFolder(dirname(paths.index));
  await writeFile(part, content).catch(() => rm(part, { force: true }));
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
    const content = `${JSON.stringify(index, null, 2)}\n`;
    if (after.length >= before.length) checkRoom(content, after.length);
    await inStore("writing the index of the image store", paths.index, () => replaceIndex(paths, content));
    return before;
  });
}

export const isNamed = (name: string) => (entry: StoredReference) => entry.name === name;
const isUntagged = (digest: Digest) => (entry: StoredReference) => entry.name === null && entry.descriptor.digest === digest;

/** One more name in a list, instead of what the name meant before. */
function withReference(list: readonly StoredReference[], { name, descriptor }: StoredReference): readonly StoredReference[] {
  const { annotations: _, ...plain } = descriptor;
  // An image that gets a name needs its nameless entry no more; one that has a name gets no nameless entry.
  if (name === null && list.some((one) => one.descriptor.digest === plain.digest)) return list;
  const others = list.filter((one) => (name === null || one.name !== name) && !isUntagged(plain.digest)(one));
  return [...others, { name, descriptor: plain }];
}

/**
 * Lets names mean images, instead of whatever they meant before: all of them or, when that fails, none. A null name keeps an image that has none.
 * The manifests must be in the store already: a name never points to something that is not there.
 */
export async function setReferences(paths: StorePaths, entries: readonly StoredReference[]): Promise<void> {
  const checked = entries.map(({ name, descriptor }) => ({ name, descriptor: descriptorAt("naming an image", "descriptor", descriptor) }));
  await changeReferences(paths, (list) => checked.reduce(withReference, list));
}

/** Removes the entries that a condition picks; returns those that were there. */
export async function removeReferences(
  paths: StorePaths,
  condition: (entry: StoredReference) => boolean,
): Promise<readonly StoredReference[]> {
  const before = await changeReferences(paths, (list) => list.filter((entry) => !condition(entry)));
  return before.filter(condition);
}
