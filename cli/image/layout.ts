import { randomBytes } from "node:crypto";
import { constants, lstatSync } from "node:fs";
import { link, open, rm } from "node:fs/promises";
import { dirname, join } from "node:path";
import { BelljarError } from "../../policy/errors.ts";
import { makeFolders } from "../host/make-folders.ts";
import { fileError } from "../run/files.ts";
import { splitDigest } from "./digest.ts";
import { mediaTypes } from "./media-types.ts";
import type { Digest } from "./oci-types.ts";
import { checkOwnership, type StorePaths } from "./store-paths.ts";

export { defaultStoreRoot, type StorePaths, storePaths } from "./store-paths.ts";

/** Only a checked digest becomes part of a path. */
export function blobPath(paths: StorePaths, digest: Digest): string {
  const { algorithm, hex } = splitDigest(digest);
  return join(paths.images, "blobs", algorithm, hex);
}

export const storeError = (doing: string, path: string, cause: unknown): BelljarError => fileError("store-failed", doing, path, cause);

/** Runs an action of the file system; what fails is told with the path, as `store-failed`. */
export async function inStore<T>(doing: string, path: string, action: () => Promise<T>): Promise<T> {
  try {
    return await action();
  } catch (error) {
    throw error instanceof BelljarError ? error : storeError(doing, path, error);
  }
}

/** Makes the names in a folder durable: a rename is on the disk only when its folder is. */
export async function syncFolder(path: string): Promise<void> {
  const folder = await open(path, constants.O_RDONLY | constants.O_DIRECTORY);
  try {
    await folder.sync();
  } finally {
    await folder.close();
  }
}

/** A new file with this content, on the disk. Whatever lies there under that name, is replaced. */
async function writeNew(path: string, content: string | Uint8Array): Promise<void> {
  await rm(path, { force: true });
  const file = await open(path, "wx", 0o644);
  try {
    await file.writeFile(content);
    await file.sync();
  } finally {
    await file.close();
  }
}

/** Makes a file that is not there yet, whole or not at all; one that is there stays. */
export async function createFile(path: string, options: { readonly part: string; readonly content: string }): Promise<void> {
  if (lstatSync(path, { throwIfNoEntry: false }) !== undefined) return;
  const { part, content } = options;
  await writeNew(part, content);
  try {
    await link(part, path);
    await syncFolder(dirname(path));
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "EEXIST") throw error;
  } finally {
    await rm(part, { force: true });
  }
}

/** Makes what is missing of a store. Safe while others do the same. Throws BelljarError `store-failed`. */
export async function prepareLayout(paths: StorePaths): Promise<void> {
  const { root } = paths;
  await inStore("opening the image store", root, async () => {
    const fresh = lstatSync(root, { throwIfNoEntry: false }) === undefined;
    makeFolders(root);
    checkOwnership(root);
    const blobs = join(paths.images, "blobs/sha256");
    for (const folder of [paths.images, blobs, paths.layers, paths.partial, paths.sessions, paths.trash, paths.locks]) makeFolders(folder);
    const part = (name: string) => join(root, `${name}.${randomBytes(8).toString("hex")}.new`);
    const empty = { schemaVersion: 2, mediaType: mediaTypes.ociIndex, manifests: [] };
    await createFile(paths.index, { part: part("index.json"), content: `${JSON.stringify(empty)}\n` });
    await createFile(join(paths.images, "oci-layout"), { part: part("oci-layout"), content: '{"imageLayoutVersion":"1.0.0"}\n' });
    if (fresh) await syncFolder(root);
  });
}
