import { rmSync } from "node:fs";
import { join } from "node:path";
import type { Readable } from "node:stream";
import { digestOf } from "./digest.ts";
import type { LayerIds } from "./layer/ids.ts";
import { isUsable } from "./layer-place.ts";
import { defaultStoreRoot, prepareLayout, type StorePaths, storePaths } from "./layout.ts";
import { type Lease, leaseNames } from "./lease.ts";
import { acquireLock, type Lock } from "./lock.ts";
import { documentLimits, parseJson } from "./manifest-json.ts";
import type { Descriptor, Digest } from "./oci-types.ts";
import { type BlobWriter, blobWriter, hasBlob, putBlob, readBlob, readSmallBlob } from "./store-blobs.ts";
import { readImage, type StoredImage } from "./store-image.ts";
import { listReferences, removeReferences, type StoredReference, setReferences } from "./store-index.ts";
import {
  beginLayer,
  hasLayer,
  type IdWorld,
  type LayerMeta,
  type LayerWriter,
  layerMeta,
  layerName,
  layerPath,
  settleLayers,
} from "./store-layers.ts";
import { contentLock, type Pruned, type PruneOptions, prune } from "./store-prune.ts";
import { findImage, type Resolved, resolveImage } from "./store-resolve.ts";
import { type Session, startSession, sweepSessions } from "./store-session.ts";
import { adoptStaged, type Stage, type Staged, type StageOptions, stageFile } from "./store-stage.ts";
import { type Verified, verify } from "./store-verify.ts";

export type { Lease } from "./lease.ts";

/** Methods that promise content start the work of this process in the store: until `close`, nothing that is there is removed. */
export interface Store {
  readonly paths: StorePaths;
  hasBlob(blob: Digest | Descriptor): Promise<boolean>;
  /** Verified while it is read: believe nothing before the end. */
  readBlob(blob: Digest | Descriptor): Promise<Readable>;
  readBytes(descriptor: Descriptor, maxBytes?: number): Promise<Buffer>;
  /** JSON of a stranger's: size and depth are capped, its shape is for the caller to check. */
  readJson(descriptor: Descriptor, maxBytes?: number): Promise<unknown>;
  blobWriter(descriptor: Descriptor): Promise<BlobWriter>;
  /** Bytes in memory, such as a manifest. */
  putBlob(descriptor: Descriptor, bytes: Uint8Array): Promise<void>;
  /** A file whose digest is known only at its end. */
  stage(options: StageOptions): Promise<Stage>;
  adopt(staged: Staged): Promise<Descriptor>;

  list(): Promise<readonly StoredReference[]>;
  setReference(name: string | null, descriptor: Descriptor): Promise<void>;
  /** All of them or none. */
  setReferences(entries: readonly StoredReference[]): Promise<void>;
  /** By name, digest or the first digits of an id; null when there is none. */
  find(text: string): Promise<Resolved | null>;
  /** The same, with an error `image-not-found` when there is none. */
  resolve(text: string): Promise<Resolved>;
  /** Removes the entries that a condition picks; what they name stays until `prune`. */
  removeReferences(condition: (entry: StoredReference) => boolean): Promise<readonly StoredReference[]>;
  readImage(descriptor: Descriptor, what: string): Promise<StoredImage>;

  hasLayer(chainId: Digest, world?: IdWorld): boolean;
  layerPath(chainId: Digest, world?: IdWorld): string;
  layerMeta(chainId: Digest, world?: IdWorld): Promise<LayerMeta | null>;
  beginLayer(chainId: Digest, world?: IdWorld, ids?: LayerIds): Promise<LayerWriter>;
  /** Brings what was unpacked to the disk; see settleLayers. */
  settleLayers(): Promise<void>;
  /**
   * Pins layers for a running sandbox. null when one of them is not there, or when somebody removes content just now: then call
   * `hold`, unpack what is missing, and lease again before `close`.
   */
  lease(chainIds: readonly Digest[], world?: IdWorld): Promise<Lease | null>;

  /** From now on until `close`, nothing that is there is removed. Waits for somebody who removes. */
  hold(signal?: AbortSignal): Promise<void>;
  /** One at a time, over all processes: that several do not download or unpack the same thing side by side. */
  exclusively<T>(subject: string, action: () => Promise<T>, signal?: AbortSignal): Promise<T>;
  prune(options?: PruneOptions): Promise<Pruned>;
  verify(): Promise<Verified>;
  /** Ends the work: what is unfinished goes, but for parts of blobs. */
  close(): Promise<void>;
}

interface Work {
  readonly lock: Lock;
  readonly session: Session;
}

const subjectLocks = 64;

async function startWork(paths: StorePaths, signal?: AbortSignal): Promise<Work> {
  const lock = await acquireLock(contentLock(paths), { mode: "shared", signal });
  try {
    // Whoever held the lock exclusively is gone, so the mark of one that died is stale.
    rmSync(paths.pruning, { force: true });
    await sweepSessions(paths);
    return { lock, session: await startSession(paths) };
  } catch (error) {
    lock.release();
    throw error;
  }
}

/** Opens the image store, which is made when absent. Throws BelljarError `store-failed`. */
export async function openStore(root: string = defaultStoreRoot()): Promise<Store> {
  const paths = storePaths(root);
  await prepareLayout(paths);
  let work: Promise<Work> | null = null;
  const working = (signal?: AbortSignal): Promise<Work> => {
    work ??= startWork(paths, signal).catch((error: unknown) => {
      work = null;
      throw error;
    });
    return work;
  };
  const session = async (): Promise<Session> => (await working()).session;
  const unfinished = new Set<{ abort(): Promise<void> }>();
  const tracked = <T extends { abort(): Promise<void> }>(writer: T): T => {
    unfinished.add(writer);
    return writer;
  };
  const close = async (): Promise<void> => {
    // Those that have come to their end do nothing.
    await Promise.all([...unfinished].map((writer) => writer.abort()));
    unfinished.clear();
    const ending = work;
    work = null;
    if (ending === null) return;
    const { lock, session: open } = await ending;
    await open.close();
    lock.release();
  };
  return {
    paths,
    hasBlob: async (blob) => {
      await working();
      return hasBlob(paths, blob);
    },
    readBlob: (blob) => readBlob(paths, blob),
    readBytes: (descriptor, maxBytes = documentLimits.maxBytes) => readSmallBlob(paths, descriptor, maxBytes),
    readJson: async (descriptor, maxBytes = documentLimits.maxBytes) =>
      parseJson(await readSmallBlob(paths, descriptor, maxBytes), `reading ${descriptor.digest}`, { maxBytes }),
    blobWriter: async (descriptor) => tracked(await blobWriter(paths, await session(), descriptor)),
    putBlob: async (descriptor, bytes) => putBlob(paths, await session(), { descriptor, bytes }),
    stage: async (options) => tracked(await stageFile(await session(), options)),
    adopt: (staged) => adoptStaged(paths, staged),
    list: () => listReferences(paths),
    setReferences: async (entries) => {
      await working();
      await setReferences(paths, entries);
    },
    setReference: async (name, descriptor) => {
      await working();
      await setReferences(paths, [{ name, descriptor }]);
    },
    find: (text) => findImage(paths, text),
    resolve: (text) => resolveImage(paths, text),
    removeReferences: (condition) => removeReferences(paths, condition),
    readImage: (descriptor, what) => readImage(paths, descriptor, what),
    hasLayer: (chainId, world) => hasLayer(paths, chainId, world),
    layerPath: (chainId, world) => layerPath(paths, chainId, world),
    layerMeta: (chainId, world) => layerMeta(paths, chainId, world),
    beginLayer: async (chainId, world, ids) => beginLayer(paths, await session(), { chainId, world, ids }),
    settleLayers: () => settleLayers(paths),
    lease: async (chainIds, world) => {
      const held = work !== null;
      if (held) await work;
      const names = chainIds.map((id) => layerName(id, world));
      return leaseNames(paths, names, { held, isGood: isUsable });
    },
    hold: async (signal) => {
      await working(signal);
    },
    exclusively: async (subject, action, signal) => {
      const number = Number.parseInt(digestOf(subject).slice(-8), 16) % subjectLocks;
      const lock = await acquireLock(join(paths.locks, `subject-${number}`), { mode: "exclusive", signal });
      try {
        return await action();
      } finally {
        lock.release();
      }
    },
    prune: async (options) => {
      // Our own work would keep us waiting.
      await close();
      return prune(paths, options);
    },
    verify: () => verify(paths),
    close,
  };
}
