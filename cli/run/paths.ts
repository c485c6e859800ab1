import { posix, resolve } from "node:path";
import { BelljarError } from "../../policy/errors.ts";
import { quoted } from "../output/terminal.ts";

/** Where files are copied into and out of; the plan's work folder. */
export const workFolder = "/work";

/**
 * A host path as the plan wants it: absolute, without `.`, `..` and double slashes. Links are not followed here. The current
 * folder, which may have been deleted, is asked for only where a relative path needs it. Throws BelljarError `usage`.
 */
export function absoluteHostPath(path: string): string {
  if (path.includes("\0")) throw new BelljarError("usage", `checking paths: ${quoted(path)}: a path cannot contain a NUL character`);
  try {
    return resolve(path);
  } catch (cause) {
    throw new BelljarError("usage", `checking paths: ${quoted(path)}: is relative, and the current folder has been deleted`, {
      cause,
      hint: "change to a folder that exists, or write an absolute path",
    });
  }
}

/**
 * A place in the work folder, as a path relative to it. Both `a/b` and `/work/a/b` are understood.
 * Throws BelljarError `usage` where the path leaves the work folder or names the folder itself.
 */
export function workPath(path: string, doing: string): string {
  const full = posix.resolve(workFolder, path);
  if (path.includes("\0") || path.endsWith("/") || !full.startsWith(`${workFolder}/`)) {
    throw new BelljarError("usage", `${doing}: ${quoted(path)}: must name a file beneath ${workFolder}`);
  }
  return full.slice(workFolder.length + 1);
}
