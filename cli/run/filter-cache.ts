import { closeSync, constants, fstatSync, fsyncSync, openSync, readFileSync, renameSync, rmSync, writeSync } from "node:fs";
import { join } from "node:path";
import { makeFolders } from "../host/make-folders.ts";

/**
 * Compiled filters by content key. A cache may only ever save time: whatever is wrong with it (absent, read-only, full,
 * cut short, somebody else's) means that the filter is compiled again.
 */
const magic = Buffer.from("BJFILTR2", "latin1");
const checksumBytes = 4;
/** Four filters, of which the kernel takes at most 4096 instructions of 8 bytes (BPF_MAXINSNS), and words about their rules. */
const maxBytes = 4 * 4096 * 8 + 512 * 1024;

/**
 * FNV-1a: against damage only. Whoever can write here as this user can change this program too. (A digest of Node's would cost every run more than all the
 * rest of reading.)
 */
function checksumOf(bytes: Uint8Array): Buffer {
  const words = new Uint32Array(Math.ceil(bytes.length / 4));
  new Uint8Array(words.buffer).set(bytes);
  let hash = 0x811c9dc5 ^ bytes.length;
  for (const word of words) hash = Math.imul(hash ^ word, 0x01000193);
  const checksum = Buffer.alloc(checksumBytes);
  checksum.writeInt32LE(hash);
  return checksum;
}

function isKey(key: string): boolean {
  return /^[A-Za-z0-9._-]{16,128}$/.test(key);
}

/** What is kept under that key, or null. Only a file that this user owns and nobody else can write is believed, and only if its checksum is right. */
export function readCached(folder: string, key: string): Uint8Array | null {
  if (!isKey(key)) return null;
  let descriptor: number | null = null;
  try {
    descriptor = openSync(join(folder, key), constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
    const status = fstatSync(descriptor);
    const foreign = status.uid !== process.getuid?.() || (status.mode & 0o022) !== 0;
    if (!status.isFile() || foreign || status.size > magic.length + checksumBytes + maxBytes) return null;
    const file = readFileSync(descriptor);
    const bytes = file.subarray(magic.length + checksumBytes);
    if (!file.subarray(0, magic.length).equals(magic) || bytes.length === 0) return null;
    if (!checksumOf(bytes).equals(file.subarray(magic.length, magic.length + checksumBytes))) return null;
    return new Uint8Array(bytes);
  } catch {
    return null;
  } finally {
    if (descriptor !== null) closeSync(descriptor);
  }
}

function removeQuietly(path: string): void {
  try {
    rmSync(path, { force: true });
  } catch {
    // `force` forgives absence only: a folder that is none is as good as absent here.
  }
}

/** Keeps bytes by temporary name, fsync and rename; says whether it worked. */
export function writeCached(folder: string, key: string, bytes: Uint8Array): boolean {
  if (!isKey(key)) return false;
  const part = join(folder, `.${key}.${process.pid}`);
  let descriptor: number | null = null;
  try {
    makeFolders(folder);
    descriptor = openSync(part, constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL | constants.O_NOFOLLOW, 0o600);
    const file = Buffer.concat([magic, checksumOf(bytes), bytes]);
    for (let done = 0; done < file.length; ) done += writeSync(descriptor, file, done);
    fsyncSync(descriptor);
    renameSync(part, join(folder, key));
    return true;
  } catch {
    removeQuietly(part);
    return false;
  } finally {
    if (descriptor !== null) closeSync(descriptor);
  }
}
