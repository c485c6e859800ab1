import { randomBytes } from "node:crypto";
import { chmod, lstat, readdir, readFile, rename, rmdir, unlink } from "node:fs/promises";
import { join } from "node:path";
import type { LayerIds } from "./layer/ids.ts";
import type { StorePaths } from "./layout.ts";

/** Below PATH_MAX, with room for one more name. */
const maxPathBytes = 3500;

const isGone = (error: unknown): boolean => ["ENOENT", "ENOTDIR"].includes((error as NodeJS.ErrnoException).code ?? "");

/** Names are bytes: an image may hold some that are no UTF-8. */
const joinBytes = (folder: Buffer, name: Buffer): Buffer => Buffer.concat([folder, Buffer.from("/"), name]);

async function quietly(action: Promise<unknown>): Promise<void> {
  try {
    await action;
  } catch (error) {
    // Somebody else removes the same.
    if (!isGone(error)) throw error;
  }
}

/** Entries of a folder, which is made readable and writable first: images hold folders of mode 0555 and 0000. */
async function entriesOf(path: Buffer): Promise<readonly Buffer[]> {
  await quietly(chmod(path, 0o700));
  try {
    return await readdir(path, { encoding: "buffer" });
  } catch (error) {
    if (isGone(error)) return [];
    throw error;
  }
}

async function removeFolder(path: Buffer, aside: () => Buffer): Promise<void> {
  for (const name of await entriesOf(path)) {
    const child = joinBytes(path, name);
    const status = await lstat(child).catch((error: unknown) => {
      if (isGone(error)) return null;
      throw error;
    });
    if (status === null) continue;
    if (!status.isDirectory()) await quietly(unlink(child));
    else if (child.length < maxPathBytes) await removeFolder(child, aside);
    else {
      // Too deep for a path: continue from a shallow place.
      const moved = aside();
      await quietly(chmod(child, 0o700));
      await quietly(rename(child, moved));
      await removeFolder(moved, aside);
    }
  }
  await quietly(rmdir(path));
}

/**
 * Removes a tree of ours that nobody else changes, whatever its modes, names and depth. Follows no link.
 * Throws what the file system says when something is not this user's to remove.
 */
export async function removeTree(path: string, options: { readonly trash: string }): Promise<void> {
  const status = await lstat(path).catch((error: unknown) => {
    if (isGone(error)) return null;
    throw error;
  });
  if (status === null) return;
  if (!status.isDirectory()) return quietly(unlink(path));
  const aside = () => Buffer.from(join(options.trash, randomBytes(8).toString("hex")));
  await removeFolder(Buffer.from(path), aside);
}

/** Beside the unpacked files of a layer: whose they are, so that whoever finds them can remove them. */
export const idsName = "ids.json";

/** null where nothing was unpacked: the ids are written before the first file is, and a process may die while it writes them. */
async function notedIds(folder: string): Promise<LayerIds | null> {
  const text = await readFile(join(folder, idsName), "utf8").catch((error: unknown) => {
    if (isGone(error)) return "";
    throw error;
  });
  try {
    return JSON.parse(text) as LayerIds;
  } catch {
    return null;
  }
}

/** Files of subordinate ids are removed as root of such a user namespace; nobody else may. */
async function removeForeign(folder: string): Promise<void> {
  const ids = await notedIds(folder);
  if (ids?.kind !== "subordinate") return;
  const { removeUnpacked } = await import("./layer/helper.ts");
  await removeUnpacked(join(folder, "diff"), ids);
}

/** A layer, or the session of a process that was unpacking some. */
async function removeDiscarded(path: string, trash: string): Promise<void> {
  const names = await readdir(path).catch(() => []);
  for (const folder of [path, ...names.filter((name) => name.startsWith(layerPrefix)).map((name) => join(path, name))])
    await removeForeign(folder);
  await removeTree(path, { trash });
}

/** Of the folders in which a session unpacks layers. */
export const layerPrefix = "layer-";

/**
 * Takes something out of the store at once, by rename, and then removes it. What a process that dies in between leaves in the
 * trash, or what cannot be removed now, the next one tries again. Returns the reason why something stays there, or null.
 */
export async function discard(paths: StorePaths, path: string): Promise<string | null> {
  let trash = path;
  if (!path.startsWith(`${paths.trash}/`)) {
    trash = join(paths.trash, randomBytes(8).toString("hex"));
    try {
      await rename(path, trash);
    } catch (error) {
      if (isGone(error)) return null;
      throw error;
    }
  }
  try {
    await removeDiscarded(trash, paths.trash);
    return null;
  } catch (error) {
    return (error as Error).message;
  }
}
