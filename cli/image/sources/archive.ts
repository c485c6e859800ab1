import { open, readFile } from "node:fs/promises";
import { posix } from "node:path";
import { BelljarError } from "../../../policy/errors.ts";
import { quoted } from "../../output/terminal.ts";
import { isDigest, splitDigest } from "../digest.ts";
import { decompress } from "../layer/decompress.ts";
import { defaultLayerLimits } from "../layer/limits.ts";
import { LayerProblem, layerError, shownPath } from "../layer/problem.ts";
import { type TarEntry, tarReader } from "../layer/tar-reader.ts";
import type { Digest } from "../oci-types.ts";
import type { Store } from "../store.ts";
import type { Stage, Staged } from "../store-stage.ts";

/** What an archive of images may cost. It is a stranger's, and all of it goes to the disk before anything is believed. */
export interface ArchiveLimits {
  /** Bytes of the archive when decompressed. */
  readonly maxBytes: number;
  readonly maxEntries: number;
  /** Decompressed by compressed bytes, beyond `ratioFloorBytes`. */
  readonly maxRatio: number;
  readonly ratioFloorBytes: number;
}

const gib = 1024 ** 3;
export const archiveLimits: ArchiveLimits = { maxBytes: 128 * gib, maxEntries: 20_000, maxRatio: 200, ratioFloorBytes: gib };

/** The files of an archive, by name, each in a session of the store. Names of the archive never become paths of ours. */
export interface Archive {
  /** Follows links within the archive; null when there is no such file. */
  find(name: string): Staged | null;
  /** All of a small file. Throws `image-invalid` when it is larger than `maxBytes`. */
  read(name: string, maxBytes: number): Promise<Buffer | null>;
}

/** Links of links: more than `docker save` ever makes. */
const maxLinks = 8;

/** `./blobs//x` and `/blobs/x` are blobs/x; null for what leads out of the archive. */
function normalName(name: string, from = ""): string | null {
  const path = posix
    .normalize(posix.join("/", from, name))
    .slice(1)
    .replace(/\/$/, "");
  const depth = posix.normalize(posix.join(from, name.replace(/^\/+/, "")));
  return path === "" || depth.startsWith("..") ? null : path;
}

/** The digest that the name of a file in an OCI layout promises. */
export function blobDigestOf(name: string): Digest | null {
  const [, algorithm, hex] = /^blobs\/(sha256|sha512)\/([0-9a-f]+)$/.exec(name) ?? [];
  const digest = `${algorithm}:${hex}`;
  return isDigest(digest) ? digest : null;
}

interface Collector {
  readonly files: Map<string, Staged>;
  readonly links: Map<string, string>;
}

type Event = { readonly entry: TarEntry } | { readonly bytes: Buffer; readonly offset: number };

/** A file of the archive on its way into the session. */
interface OpenFile {
  readonly name: string;
  readonly size: number;
  readonly stage: Stage;
}

/** Takes what the tar reader found in one piece of the archive; asynchronous, because it goes to the disk. */
function collector(store: Store, options: { readonly doing: string; readonly limits: ArchiveLimits }) {
  const { doing, limits } = options;
  const files = new Map<string, Staged>();
  const links = new Map<string, string>();
  let open: OpenFile | null = null;

  const refuse = (name: string, reason: string): never => {
    throw new BelljarError("image-invalid", `${doing}: ${shownPath(name)}: ${reason}`);
  };
  const finish = async (): Promise<void> => {
    if (open === null) return;
    const { name, stage } = open;
    open = null;
    const staged = await stage.finish();
    const promised = blobDigestOf(name);
    if (promised !== null && staged.digest !== promised) refuse(name, `has the wrong digest (${staged.digest})`);
    links.delete(name);
    files.set(name, staged);
  };
  const begin = async (entry: TarEntry): Promise<void> => {
    await finish();
    const name = normalName(entry.path);
    if (name === null) return;
    if (entry.type === "symlink" || entry.type === "hardlink") {
      // A symbolic link starts at its own folder, a hard link at the root of the archive.
      const from = entry.type === "hardlink" || entry.linkPath.startsWith("/") ? "" : posix.dirname(name);
      const target = normalName(entry.linkPath, from);
      files.delete(name);
      if (target !== null) links.set(name, target);
    } else if (entry.type === "file") {
      const promised = blobDigestOf(name);
      const stage = await store.stage({
        maxBytes: limits.maxBytes,
        tooLarge: () => new BelljarError("image-invalid", `${doing}: ${shownPath(name)}: is larger than ${limits.maxBytes} bytes`),
        ...(promised === null ? {} : { algorithm: splitDigest(promised).algorithm }),
      });
      open = { name, size: entry.size, stage };
    }
  };
  const write = async (bytes: Buffer, offset: number): Promise<void> => {
    if (open === null) return;
    if (offset !== open.stage.received()) refuse(open.name, "is sparse, which no file of an archive of images is");
    await open.stage.write(bytes);
  };
  return {
    files,
    links,
    take: async (events: readonly Event[]): Promise<void> => {
      for (const event of events) await ("entry" in event ? begin(event.entry) : write(event.bytes, event.offset));
    },
    end: finish,
  };
}

function findIn({ files, links }: Collector, name: string): Staged | null {
  let at = normalName(name);
  for (let followed = 0; at !== null && followed <= maxLinks; followed++) {
    const file = files.get(at);
    if (file !== undefined) return file;
    at = links.get(at) ?? null;
  }
  return null;
}

/**
 * Reads an archive of images, plain or compressed with gzip or zstd, into a session of the store: its order is anybody's, and
 * what a file is for, a later one may tell. Blobs of an OCI layout are checked against their names at once.
 * Throws BelljarError `image-invalid` for what is no archive, damaged or too large.
 */
export async function readArchive(
  store: Store,
  source: AsyncIterable<Buffer>,
  options: { readonly doing: string; readonly limits?: Partial<ArchiveLimits> | undefined },
): Promise<Archive> {
  const { doing } = options;
  const limits = { ...archiveLimits, ...options.limits };
  const into = collector(store, { doing, limits });
  let events: Event[] = [];
  const reader = tarReader(
    { entry: (entry) => events.push({ entry }), data: (bytes, offset) => events.push({ bytes, offset }) },
    { maxEntries: limits.maxEntries, maxHeaderBytes: defaultLayerLimits.maxHeaderBytes },
  );
  try {
    for await (const chunk of decompress(source, limits)) {
      reader.write(chunk);
      const found = events;
      events = [];
      await into.take(found);
    }
    reader.end();
    await into.end();
  } catch (error) {
    throw error instanceof LayerProblem ? layerError(doing, error) : error;
  }
  return {
    find: (name) => findIn(into, name),
    read: async (name, maxBytes) => {
      const file = findIn(into, name);
      if (file === null) return null;
      if (file.size > maxBytes) throw new BelljarError("image-invalid", `${doing}: ${quoted(name)}: is larger than ${maxBytes} bytes`);
      return readFile(file.path);
    },
  };
}

/** The first bytes of a staged file: enough to tell how it is compressed. */
export async function frontOf({ path }: Staged, count = 6): Promise<Buffer> {
  const file = await open(path, "r");
  try {
    const { buffer, bytesRead } = await file.read(Buffer.alloc(count), 0, count, 0);
    return buffer.subarray(0, bytesRead);
  } finally {
    await file.close();
  }
}
