import type { Hash } from "node:crypto";
import { constants, lstatSync, rmSync } from "node:fs";
import { type FileHandle, open, rename, rm } from "node:fs/promises";
import { join } from "node:path";
import { type Readable, Writable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { BelljarError } from "../../policy/errors.ts";
import { digestFrom, hashFor, splitDigest } from "./digest.ts";
import { blobPath, inStore, type StorePaths, storeError } from "./layout.ts";
import type { Descriptor, Digest } from "./oci-types.ts";
import { partPrefix, type Session } from "./store-session.ts";
import { chunkBytes, ended, fileSink, moveToBlobs, sizeOf, stopped, writing } from "./store-stage.ts";
import { contentError, tooLong, tooShort, verifier, wrongDigest } from "./verified-reader.ts";

export interface BlobWriter {
  /** Bytes that are there already, from an attempt that was broken off; write from there on. Equal to the size when none is missing. */
  readonly offset: number;
  readonly stream: Writable;
  /** After the stream has ended: checks size and digest, and makes the blob part of the store, durably. Throws `image-invalid` and forgets it all. */
  commit(): Promise<void>;
  /** Keeps what has come so far for a later attempt, unless told otherwise. */
  abort(options?: { readonly keep: boolean }): Promise<void>;
}

const reading = "reading the image store";

/** Whether a blob is there, of the right size when that is known. Its content is verified whenever it is read. */
export async function hasBlob(paths: StorePaths, blob: Digest | Descriptor): Promise<boolean> {
  const size = await sizeOf(blobPath(paths, typeof blob === "string" ? blob : blob.digest));
  return size !== null && (typeof blob === "string" || size === blob.size);
}

/** The remedy for what is missing or damaged. */
export const again = { hint: "pull or load the image again" };

/**
 * Takes a file whose content is not what its name says out of the store, so that it counts as missing and the next pull or load brings it again;
 * unless somebody has done that already. Synchronous: it is done before the reader hears of it.
 */
function forget(path: string, inode: bigint): void {
  try {
    if (lstatSync(path, { bigint: true }).ino === inode) rmSync(path);
  } catch {
    // It stays, and is found again by whoever reads it next.
  }
}

/**
 * The content of a blob, verified while it is read: the stream ends with the error `image-invalid` when digest or size is
 * another. A blob of another digest is no longer there then. Throws `image-invalid` when there is no such blob.
 */
export async function readBlob(paths: StorePaths, blob: Digest | Descriptor): Promise<Readable> {
  const expected = typeof blob === "string" ? { digest: blob, size: null } : { digest: blob.digest, size: blob.size };
  const path = blobPath(paths, expected.digest);
  let file: FileHandle;
  try {
    file = await open(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") throw contentError(reading, expected, "is missing", again);
    throw storeError(reading, path, error);
  }
  const { ino } = await file.stat({ bigint: true });
  const source = file.createReadStream({ highWaterMark: chunkBytes });
  const verified = verifier(reading, expected, { ...again, onWrongDigest: () => forget(path, ino) });
  source.on("error", (error) => verified.destroy(error));
  verified.on("close", () => source.destroy());
  return source.pipe(verified);
}

/** All of a small blob. Throws `image-invalid` when it is larger than `maxBytes`, before anything is read. */
export async function readSmallBlob(paths: StorePaths, descriptor: Descriptor, maxBytes: number): Promise<Buffer> {
  if (descriptor.size > maxBytes) throw contentError(reading, descriptor, `is larger than ${maxBytes} bytes`);
  const chunks: Buffer[] = [];
  for await (const chunk of await readBlob(paths, descriptor)) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks);
}

const doneWriter = (size: number): BlobWriter => {
  const stream = new Writable({
    write: (_chunk, _encoding, done) => done(new BelljarError("internal", `${writing}: the blob is there already`)),
  });
  stream.on("error", () => undefined);
  return { offset: size, stream, commit: async () => undefined, abort: () => stopped(stream) };
};

/** Starts or continues to write a blob whose descriptor is known. Two writers of one blob do not meet: each has a file of its own. */
export async function blobWriter(paths: StorePaths, session: Session, descriptor: Descriptor): Promise<BlobWriter> {
  if (await hasBlob(paths, descriptor)) return doneWriter(descriptor.size);
  const { algorithm, hex } = splitDigest(descriptor.digest);
  const kept = join(paths.partial, `${algorithm}-${hex}`);
  const path = session.newPath(`${partPrefix}${algorithm}-${hex}.`);
  return inStore(writing, path, async () => {
    // By rename, so that of two processes only one continues it.
    await rename(kept, path).catch((error: NodeJS.ErrnoException) => {
      if (error.code !== "ENOENT") throw error;
    });
    const file = await open(path, constants.O_RDWR | constants.O_CREAT | constants.O_NOFOLLOW, 0o644);
    const hash = hashFor(descriptor.digest);
    const size = (await file.stat()).size;
    const offset = size <= descriptor.size ? size : 0;
    if (offset === 0) await file.truncate(0);
    else
      for await (const chunk of file.createReadStream({ autoClose: false, start: 0, end: offset - 1, highWaterMark: chunkBytes }))
        hash.update(chunk as Buffer);
    return writerOf(paths, { file, path, kept, hash, offset, descriptor });
  });
}

interface OpenPart {
  readonly file: FileHandle;
  readonly path: string;
  readonly kept: string;
  readonly hash: Hash;
  readonly offset: number;
  readonly descriptor: Descriptor;
}

function writerOf(paths: StorePaths, part: OpenPart): BlobWriter {
  const { file, path, kept, hash, offset, descriptor } = part;
  const limit = { bytes: descriptor.size, error: () => contentError(writing, descriptor, tooLong(descriptor.size)) };
  const { stream, written } = fileSink(file, { path, hash, position: offset, limit });
  let over = false;
  const abort = async ({ keep }: { readonly keep: boolean }): Promise<void> => {
    if (over) return;
    over = true;
    await stopped(stream);
    const have = written();
    // What was written in part is cut off: only whole chunks have been hashed.
    if (keep) await file.truncate(have).catch(() => undefined);
    await file.close();
    if (keep && have > 0) await inStore(writing, kept, () => rename(path, kept));
    else await rm(path, { force: true });
  };
  const check = async (): Promise<void> => {
    if (offset < descriptor.size || stream.errored) await ended(stream);
    const have = written();
    if (have !== descriptor.size) throw contentError(writing, descriptor, tooShort(have, descriptor.size));
    const found = digestFrom(hash, splitDigest(descriptor.digest).algorithm);
    if (found !== descriptor.digest) throw contentError(writing, descriptor, wrongDigest(found));
  };
  return {
    offset,
    stream,
    abort: (options = { keep: true }) => abort(options),
    commit: async () => {
      try {
        await check();
        await inStore(writing, path, () => file.sync());
      } catch (error) {
        await abort({ keep: false });
        throw error;
      }
      over = true;
      await stopped(stream);
      await file.close();
      await moveToBlobs(paths, path, descriptor.digest);
    },
  };
}

/** Makes bytes in memory a blob: manifests and configurations of our own making, or verified. */
export async function putBlob(
  paths: StorePaths,
  session: Session,
  options: { readonly descriptor: Descriptor; readonly bytes: Uint8Array },
): Promise<void> {
  const { descriptor, bytes } = options;
  // What lies there may be damaged: then reading takes it out.
  if (await hasBlob(paths, descriptor))
    await readSmallBlob(paths, descriptor, descriptor.size).catch((error: unknown) => {
      if (!(error instanceof BelljarError) || error.code !== "image-invalid") throw error;
    });
  const writer = await blobWriter(paths, session, descriptor);
  try {
    if (writer.offset < descriptor.size) await pipeline([bytes.subarray(writer.offset)], writer.stream);
    await writer.commit();
  } catch (error) {
    await writer.abort({ keep: false });
    throw error;
  }
}
