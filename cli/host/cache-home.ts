import { closeSync, constants, fstatSync, fsyncSync, openSync, readFileSync, renameSync, rmSync, writeSync } from "node:fs";
import { dirname, join } from "node:path";
import { makeFolders } from "./make-folders.ts";

/** $XDG_CACHE_HOME/belljar, else ~/.cache/belljar; null without a home. */
export function cacheHome(environment: Readonly<Record<string, string | undefined>>): string | null {
  const { XDG_CACHE_HOME: configured, HOME: home } = environment as { readonly XDG_CACHE_HOME?: string; readonly HOME?: string };
  if (configured?.startsWith("/")) return join(configured, "belljar");
  return home?.startsWith("/") ? join(home, ".cache/belljar") : null;
}

const maxBytes = 1024 * 1024;

/** A cache file that is this user's own and that nobody else can write; null for anything else. */
export function readOwnBytes(path: string): Buffer | null {
  let descriptor: number | null = null;
  try {
    descriptor = openSync(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
    const status = fstatSync(descriptor);
    if (!status.isFile() || status.uid !== process.getuid?.() || (status.mode & 0o022) !== 0 || status.size > maxBytes) return null;
    return readFileSync(descriptor);
  } catch {
    return null;
  } finally {
    if (descriptor !== null) closeSync(descriptor);
  }
}

/** The same as text. */
export const readOwnFile = (path: string): string | null => readOwnBytes(path)?.toString("utf8") ?? null;

/** Replaces a file by temporary name, fsync and rename; says whether it worked, since a cache may only ever save time. */
export function replaceFile(path: string, content: string | Uint8Array): boolean {
  const part = `${path}.${process.pid}`;
  let descriptor: number | null = null;
  try {
    makeFolders(dirname(path));
    descriptor = openSync(part, constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL | constants.O_NOFOLLOW, 0o600);
    const bytes = typeof content === "string" ? Buffer.from(content, "utf8") : content;
    for (let done = 0; done < bytes.length; ) done += writeSync(descriptor, bytes, done);
    fsyncSync(descriptor);
    renameSync(part, path);
    return true;
  } catch {
    if (descriptor !== null) removeQuietly(part);
    return false;
  } finally {
    if (descriptor !== null) closeSync(descriptor);
  }
}

function removeQuietly(path: string): void {
  try {
    rmSync(path, { force: true });
  } catch {
    // `belljar gc` finds it by the process id in its name
  }
}
