import { randomBytes } from "node:crypto";
import { chmod, lstat, readdir, rename, rmdir, unlink } from "node:fs/promises";
import { join } from "node:path";
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

/**
 * Takes something out of the store at once, by rename, and then removes it; a process that dies in between leaves it in the
 * trash, which the next one empties.
 */
export async function discard(paths: StorePaths, path: string): Promise<void> {
  let trash = path;
  if (!path.startsWith(`${paths.trash}/`)) {
    trash = join(paths.trash, randomBytes(8).toString("hex"));
    try {
      await rename(path, trash);
    } catch (error) {
      if (isGone(error)) return;
      throw error;
    }
  }
  await removeTree(trash, { trash: paths.trash });
}
