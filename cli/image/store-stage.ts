import { createHash, type Hash } from "node:crypto";
import { type FileHandle, lstat, open, rename, rm } from "node:fs/promises";
import { dirname } from "node:path";
import { Writable } from "node:stream";
import { BelljarError } from "../../policy/errors.ts";
import { makeFolders } from "../host/make-folders.ts";
import { type DigestAlgorithm, digestFrom, splitDigest } from "./digest.ts";
import { blobPath, inStore, type StorePaths, storeError, syncFolder } from "./layout.ts";
import type { Descriptor, Digest } from "./oci-types.ts";
import type { Session } from "./store-session.ts";

/** A finished file of a session, not yet part of the store. */
export interface Staged {
  readonly path: string;
  readonly digest: Digest;
  readonly size: number;
}

export interface Stage {
  /** Bytes taken so far. */
  received(): number;
  /** Returns when there is room for more. The bytes must not be changed afterwards. Throws when there are too many. */
  write(bytes: Uint8Array): Promise<void>;
  finish(): Promise<Staged>;
  /** Does nothing to a finished one. */
  abort(): Promise<void>;
}

export interface StageOptions {
  readonly maxBytes: number;
  readonly tooLarge: () => Error;
  /** Of the digest that is computed; default sha256. */
  readonly algorithm?: DigestAlgorithm;
}

export const writing = "writing to the image store";
export const chunkBytes = 1024 * 1024;

/** Size in bytes of a regular file, null when there is none. */
export async function sizeOf(path: string): Promise<number | null> {
  try {
    const status = await lstat(path);
    return status.isFile() ? status.size : null;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return null;
    throw storeError("reading the image store", path, error);
  }
}

/** A stream into a file that counts and hashes; `limit` is the largest number of bytes, with the error for one more. */
export function fileSink(
  file: FileHandle,
  options: {
    readonly path: string;
    readonly hash: Hash;
    readonly position: number;
    readonly limit: { readonly bytes: number; readonly error: () => Error } | null;
  },
): { readonly stream: Writable; readonly written: () => number } {
  const { path, hash, limit } = options;
  let position = options.position;
  const stream = new Writable({
    highWaterMark: 4 * chunkBytes,
    write(chunk: Buffer, _encoding, done) {
      if (limit !== null && position + chunk.length > limit.bytes) {
        done(limit.error());
        return;
      }
      hash.update(chunk);
      writeAll(file, chunk, position).then(
        () => {
          position += chunk.length;
          done();
        },
        (error: unknown) => done(storeError(writing, path, error)),
      );
    },
  });
  // Errors reach whoever pipes into the stream; this keeps one that comes later from ending the process.
  stream.on("error", () => undefined);
  return { stream, written: () => position };
}

async function writeAll(file: FileHandle, chunk: Uint8Array, position: number): Promise<void> {
  for (let done = 0; done < chunk.length; ) {
    const { bytesWritten } = await file.write(chunk, done, chunk.length - done, position + done);
    done += bytesWritten;
  }
}

export async function ended(stream: Writable): Promise<void> {
  if (stream.errored) throw stream.errored;
  if (!stream.writableFinished) throw new BelljarError("internal", `${writing}: committed before the stream has ended`);
}

export async function stopped(stream: Writable): Promise<void> {
  if (stream.closed) return;
  await new Promise((resolve) => {
    stream.once("close", resolve);
    stream.destroy();
  });
}

/** Moves a finished file to its place among the blobs. It must be on the disk already. */
export async function moveToBlobs(paths: StorePaths, path: string, digest: Digest): Promise<void> {
  const target = blobPath(paths, digest);
  await inStore(writing, target, async () => {
    if (splitDigest(digest).algorithm !== "sha256") makeFolders(dirname(target));
    await rename(path, target);
    await syncFolder(dirname(target));
  });
}

/** Starts a file of a session whose digest is not known yet; never more than `maxBytes`. */
export async function stageFile(session: Session, options: StageOptions): Promise<Stage> {
  const { algorithm = "sha256", maxBytes, tooLarge } = options;
  const path = session.newPath("staged-");
  const file = await inStore(writing, path, () => open(path, "wx", 0o644));
  const hash = createHash(algorithm);
  let received = 0;
  let over = false;
  // One write is on its way while the next bytes are read and hashed.
  let pending: Promise<void> = Promise.resolve();
  return {
    received: () => received,
    write: async (bytes) => {
      if (received + bytes.length > maxBytes) throw tooLarge();
      await pending;
      const position = received;
      pending = inStore(writing, path, () => writeAll(file, bytes, position));
      pending.catch(() => undefined); // told by the next call
      hash.update(bytes);
      received += bytes.length;
    },
    finish: async () => {
      await pending;
      over = true;
      await file.close();
      return { path, digest: digestFrom(hash, algorithm), size: received };
    },
    abort: async () => {
      if (over) return;
      over = true;
      await pending.catch(() => undefined);
      await file.close();
      await rm(path, { force: true });
    },
  };
}

/** Makes a staged file a blob, durably. The name must be the digest of its content: that is the caller's to have checked. */
export async function adoptStaged(paths: StorePaths, staged: Staged): Promise<Descriptor> {
  const { path, digest, size } = staged;
  // Also over a blob that is there, which may be damaged; whoever reads that one goes on reading it.
  await inStore(writing, path, async () => {
    const file = await open(path, "r+");
    try {
      await file.sync();
    } finally {
      await file.close();
    }
  });
  await moveToBlobs(paths, path, digest);
  return { mediaType: "", digest, size };
}
