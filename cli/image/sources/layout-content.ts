import { constants } from "node:fs";
import { type FileHandle, open, readFile } from "node:fs/promises";
import { join } from "node:path";
import { BelljarError } from "../../../policy/errors.ts";
import { quoted } from "../../output/terminal.ts";
import { fileError } from "../../run/files.ts";
import { splitDigest } from "../digest.ts";
import { manifestLimits, missingBlob } from "../manifest.ts";
import { documentLimits, refuse } from "../manifest-json.ts";
import type { Descriptor } from "../oci-types.ts";
import type { Store } from "../store.ts";
import type { Staged } from "../store-stage.ts";
import { contentError, tooLong, tooShort, wrongDigest } from "../verified-reader.ts";
import type { Archive } from "./archive.ts";
import { readBytes } from "./input.ts";
import { checkBytes, type LayoutContent } from "./oci-layout.ts";

const blobName = ({ digest }: Descriptor): string => {
  const { algorithm, hex } = splitDigest(digest);
  return `blobs/${algorithm}/${hex}`;
};

/** An OCI archive that has been read into the store's session, where its blobs were verified. */
export function archiveContent(store: Store, archive: Archive, doing: string): LayoutContent {
  const taken = new Set<string>();
  return {
    file: (name) => archive.read(name, manifestLimits.maxLayoutIndexBytes),
    blobSize: async (descriptor) => archive.find(blobName(descriptor))?.size ?? null,
    readBlob: async (descriptor) => {
      const staged = archive.find(blobName(descriptor));
      if (staged === null) throw missingBlob(descriptor, doing);
      return checkBytes(await readFile(staged.path), descriptor, doing);
    },
    prepare: async () => undefined,
    take: async (descriptor) => {
      if (taken.has(descriptor.digest)) return;
      taken.add(descriptor.digest);
      const staged = archive.find(blobName(descriptor));
      if (staged === null) throw missingBlob(descriptor, doing);
      // A link of the archive may lead to a blob of another name.
      if (staged.digest !== descriptor.digest) refuse(doing, `blob ${quoted(descriptor.digest)}: has the wrong digest (${staged.digest})`);
      await store.adopt(staged);
    },
  };
}

/** A regular file of somebody's folder, or null when there is none. A fifo or a device is never waited for. */
async function openRegular(path: string, doing: string): Promise<{ readonly file: FileHandle; readonly size: number } | null> {
  let file: FileHandle;
  try {
    file = await open(path, constants.O_RDONLY | constants.O_NONBLOCK);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return null;
    throw fileError("file-unreadable", doing, path, error);
  }
  const status = await file.stat();
  if (status.isFile()) return { file, size: status.size };
  await file.close();
  throw fileError("file-unreadable", doing, path, "is no regular file");
}

async function readRegular(path: string, options: { readonly doing: string; readonly maxBytes: number }): Promise<Buffer | null> {
  const { doing, maxBytes } = options;
  const opened = await openRegular(path, doing);
  if (opened === null) return null;
  try {
    if (opened.size > maxBytes) throw new BelljarError("image-invalid", `${doing}: ${quoted(path)}: is larger than ${maxBytes} bytes`);
    return await opened.file.readFile();
  } finally {
    await opened.file.close();
  }
}

/** A copy of a blob in the store's session, verified. */
async function copyIn(
  store: Store,
  descriptor: Descriptor,
  options: { readonly path: string; readonly doing: string; readonly signal: AbortSignal | undefined },
): Promise<Staged> {
  const { path, doing, signal } = options;
  const opened = await openRegular(path, doing);
  if (opened === null) throw missingBlob(descriptor, doing);
  const tooLarge = () => contentError(doing, descriptor, tooLong(descriptor.size));
  const stage = await store.stage({ maxBytes: descriptor.size, tooLarge, algorithm: splitDigest(descriptor.digest).algorithm });
  try {
    for await (const chunk of opened.file.createReadStream({ highWaterMark: readBytes, autoClose: false })) {
      if (signal?.aborted) throw new BelljarError("cancelled", `${doing}: cancelled`);
      await stage.write(chunk as Buffer);
    }
    const staged = await stage.finish();
    if (staged.size !== descriptor.size) throw contentError(doing, descriptor, tooShort(staged.size, descriptor.size));
    if (staged.digest !== descriptor.digest) throw contentError(doing, descriptor, wrongDigest(staged.digest));
    return staged;
  } catch (error) {
    throw error instanceof BelljarError ? error : fileError("file-unreadable", doing, path, error);
  } finally {
    await stage.abort();
    await opened.file.close();
  }
}

/** An OCI layout in a folder. Paths are made from checked digests only; everything is verified while it is copied. */
export function folderContent(
  store: Store,
  folder: string,
  options: { readonly doing: string; readonly signal?: AbortSignal | undefined },
): LayoutContent {
  const { doing, signal } = options;
  const pathOf = (descriptor: Descriptor): string => join(folder, blobName(descriptor));
  const staged = new Map<string, Staged>();
  return {
    file: (name) => readRegular(join(folder, name), { doing, maxBytes: manifestLimits.maxLayoutIndexBytes }),
    blobSize: async (descriptor) => {
      const opened = await openRegular(pathOf(descriptor), doing);
      await opened?.file.close();
      return opened?.size ?? null;
    },
    readBlob: async (descriptor) => {
      const bytes = await readRegular(pathOf(descriptor), { doing, maxBytes: documentLimits.maxBytes });
      if (bytes === null) throw missingBlob(descriptor, doing);
      return checkBytes(bytes, descriptor, doing);
    },
    prepare: async (descriptor) => {
      // Copied also where the store has it: what lies there may be damaged.
      if (staged.has(descriptor.digest)) return;
      staged.set(descriptor.digest, await copyIn(store, descriptor, { path: pathOf(descriptor), doing, signal }));
    },
    take: async (descriptor) => {
      const copy = staged.get(descriptor.digest);
      if (copy === undefined) return;
      staged.delete(descriptor.digest);
      await store.adopt(copy);
    },
  };
}
