import { createHash } from "node:crypto";
import { readdirSync, rmSync, statSync } from "node:fs";
import { join } from "node:path";
import { readOwnBytes, replaceFile } from "../host/cache-home.ts";

/**
 * Compiled filters by content key. A cache may only ever save time: whatever is wrong with it (absent, read-only, full,
 * cut short, somebody else's) means that the filter is compiled again.
 */
const magic = Buffer.from("BJFILTR2", "latin1");
const digestBytes = 32;
/** Profiles come and go, and each build has keys of its own: the oldest give way. */
const maxKept = 64;

/** Of the key too: whoever may rename files in the folder could else pass one profile's filter off as another's. */
const digestOf = (key: string, bytes: Uint8Array) => createHash("sha256").update(`${key}\n`).update(bytes).digest();

function isKey(key: string): boolean {
  return /^[A-Za-z0-9._-]{16,128}$/.test(key);
}

/** What is kept under that key, or null. Only a file that this user owns and nobody else can write is believed, and only if its digest is right. */
export function readCached(folder: string, key: string): Uint8Array | null {
  const file = isKey(key) ? readOwnBytes(join(folder, key)) : null;
  if (file === null) return null;
  const bytes = file.subarray(magic.length + digestBytes);
  if (!file.subarray(0, magic.length).equals(magic) || bytes.length === 0) return null;
  return digestOf(key, bytes).equals(file.subarray(magic.length, magic.length + digestBytes)) ? new Uint8Array(bytes) : null;
}

/** Keeps bytes, durably and all at once; says whether it worked. */
export function writeCached(folder: string, key: string, bytes: Uint8Array): boolean {
  if (!isKey(key)) return false;
  const kept = replaceFile(join(folder, key), Buffer.concat([magic, digestOf(key, bytes), bytes]));
  if (kept) prune(folder);
  return kept;
}

function prune(folder: string): void {
  try {
    const names = readdirSync(folder);
    if (names.length <= maxKept) return;
    const byAge = names
      .map((name) => ({ path: join(folder, name), changedMs: statSync(join(folder, name)).mtimeMs }))
      .sort((a, b) => b.changedMs - a.changedMs);
    for (const { path } of byAge.slice(maxKept)) rmSync(path, { force: true });
  } catch {
    // Another run prunes at the same time, or what lies there is no file: the next one tries again.
  }
}
