import { readdirSync, rmSync, statSync } from "node:fs";
import { join } from "node:path";
import { readOwnBytes, replaceFile } from "../host/cache-home.ts";

/**
 * Compiled filters by content key. A cache may only ever save time: whatever is wrong with it (absent, read-only, full,
 * cut short, somebody else's) means that the filter is compiled again. A file is a magic word, a checksum of all that follows, the key in a line, and what is kept.
 */
const magic = Buffer.from("BJFILTR3", "latin1");
const checksumBytes = 4;
/** Profiles come and go, and each build has keys of its own: the oldest give way. */
const maxKept = 64;

/**
 * FNV-1a: against damage only. Whoever can write here as this user can change this program too. (A digest of Node's would cost every run more than all the
 * rest of reading.)
 */
function checksumOf(bytes: Uint8Array): Buffer {
  const words = new Int32Array(Math.ceil(bytes.length / 4));
  new Uint8Array(words.buffer).set(bytes);
  let hash = 0x811c9dc5 ^ bytes.length;
  // By index: for a code that runs once, an iterator makes this seven times as slow (a millisecond).
  for (let i = 0; i < words.length; i++) hash = Math.imul(hash ^ (words[i] ?? 0), 0x01000193);
  const checksum = Buffer.alloc(checksumBytes);
  checksum.writeInt32LE(hash);
  return checksum;
}

function isKey(key: string): boolean {
  return /^[A-Za-z0-9._-]{16,128}$/.test(key);
}

/** Within the file too: whoever may rename files in the folder, but write none as this user, could else pass one profile's filter off as another's. */
const lineOf = (key: string): Buffer => Buffer.from(`${key}\n`, "latin1");

/** What is kept under that key, or null. Only a whole file of that key is believed, that this user owns and nobody else can write. */
export function readCached(folder: string, key: string): Uint8Array | null {
  const file = isKey(key) ? readOwnBytes(join(folder, key)) : null;
  if (file === null) return null;
  const body = file.subarray(magic.length + checksumBytes);
  const line = lineOf(key);
  if (!file.subarray(0, magic.length).equals(magic) || !body.subarray(0, line.length).equals(line) || body.length === line.length)
    return null;
  if (!checksumOf(body).equals(file.subarray(magic.length, magic.length + checksumBytes))) return null;
  return new Uint8Array(body.subarray(line.length));
}

/** Keeps bytes, durably and all at once; says whether it worked. */
export function writeCached(folder: string, key: string, bytes: Uint8Array): boolean {
  if (!isKey(key)) return false;
  const body = Buffer.concat([lineOf(key), bytes]);
  const kept = replaceFile(join(folder, key), Buffer.concat([magic, checksumOf(body), body]));
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
