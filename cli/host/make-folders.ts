import { mkdirSync, statSync } from "node:fs";
import { dirname } from "node:path";

const isFolder = (path: string): boolean => statSync(path, { throwIfNoEntry: false })?.isDirectory() ?? false;

function makeOne(path: string): NodeJS.ErrnoException | null {
  try {
    mkdirSync(path, { mode: 0o700 });
    return null;
  } catch (error) {
    return isFolder(path) ? null : (error as NodeJS.ErrnoException);
  }
}

/**
 * Makes a private folder and those above it that are missing. Not mkdir's `recursive`: where a file system says ENOENT to every new folder, as /proc does,
 * Node goes up and down for ever (seen on 20.20). Throws the error of mkdir.
 */
export function makeFolders(path: string): void {
  const first = makeOne(path);
  if (first === null) return;
  if (first.code !== "ENOENT" || dirname(path) === path) throw first;
  makeFolders(dirname(path));
  const second = makeOne(path);
  if (second !== null) throw second;
}
