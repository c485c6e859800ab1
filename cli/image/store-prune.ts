import { lstat, readdir, rm, unlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { BelljarError } from "../../policy/errors.ts";
import { quoted } from "../output/terminal.ts";
import { digestAlgorithms, isDigest } from "./digest.ts";
import { blobPath, inStore, type StorePaths } from "./layout.ts";
import { acquireLock, type Lock } from "./lock.ts";
import type { Digest } from "./oci-types.ts";
import { type Reached, reach } from "./store-image.ts";
import { listReferences, removeReferences } from "./store-index.ts";
import { layerName, listLayers } from "./store-layers.ts";
import { discard } from "./store-remove.ts";
import { livePins, sweepSessions } from "./store-session.ts";

export interface PruneOptions {
  /** Images without a name go too. */
  readonly untagged?: boolean;
  /** Unfinished blobs go too, which a later pull could continue; default. */
  readonly partial?: boolean;
  /** How long to wait for those who add images. */
  readonly waitMs?: number;
}

export interface Pruned {
  readonly blobs: readonly Digest[];
  /** Unpacked layers, by their place in the store. */
  readonly layers: readonly string[];
  /** Layers that nothing names any more, and that a running sandbox uses. */
  readonly inUse: readonly string[];
  /** Digests of images without a name. */
  readonly images: readonly Digest[];
  /** Unfinished blobs of attempts that were broken off. */
  readonly partialBlobs: number;
  /** What dead processes had left. */
  readonly deadSessions: number;
  /** Why something that is no longer part of the store is still on the disk. */
  readonly problems: readonly string[];
  /** Of blobs and unfinished blobs. */
  readonly freedBytes: number;
}

const doing = "removing from the image store";
const strayMs = 3_600_000;

/** Who adds or reads content holds this shared; who removes some, exclusively. */
export const contentLock = (paths: StorePaths): string => join(paths.locks, "content");

async function exclusively(paths: StorePaths, waitMs: number): Promise<Lock> {
  const signal = AbortSignal.timeout(Math.max(1, waitMs));
  try {
    return await acquireLock(contentLock(paths), { mode: "exclusive", signal });
  } catch (error) {
    if (!(error instanceof BelljarError) || error.code !== "cancelled") throw error;
    throw new BelljarError("store-failed", `${doing}: another process is adding or reading images`, {
      cause: error,
      hint: "try again when it has ended: belljar image prune",
    });
  }
}

/** Every blob in the store. */
export async function listBlobs(paths: StorePaths): Promise<readonly { readonly name: string; readonly digest: Digest | null }[]> {
  const found: { name: string; digest: Digest | null }[] = [];
  for (const algorithm of digestAlgorithms) {
    const names = await readdir(join(paths.images, "blobs", algorithm)).catch((error: NodeJS.ErrnoException) => {
      if (error.code === "ENOENT") return [];
      throw error;
    });
    for (const name of names) {
      const digest = `${algorithm}:${name}`;
      found.push({ name: join("images/blobs", algorithm, name), digest: isDigest(digest) ? digest : null });
    }
  }
  return found;
}

/** Everything that the index leads to. Removing goes by this, so anything unreadable stops it. */
async function everythingReached(paths: StorePaths): Promise<Reached> {
  const into: Reached = { blobs: new Map(), chainIds: new Set() };
  for (const { name, descriptor } of await listReferences(paths)) {
    try {
      await reach(paths, descriptor, { into });
    } catch (error) {
      if (!(error instanceof BelljarError)) throw error;
      const image = name ?? descriptor.digest;
      throw new BelljarError("store-failed", `${doing}: ${quoted(image)} is damaged: ${error.message}`, {
        cause: error,
        hint: `pull or load it again, or remove it: belljar image rm ${image}`,
      });
    }
  }
  return into;
}

const sizeOf = async (path: string): Promise<number> => (await lstat(path).catch(() => null))?.size ?? 0;

async function pruneBlobs(
  paths: StorePaths,
  reached: Reached,
): Promise<{ readonly blobs: readonly Digest[]; readonly freedBytes: number }> {
  const blobs: Digest[] = [];
  let freedBytes = 0;
  for (const { digest } of await listBlobs(paths)) {
    if (digest === null || reached.blobs.has(digest)) continue;
    freedBytes += await sizeOf(blobPath(paths, digest));
    await unlink(blobPath(paths, digest));
    blobs.push(digest);
  }
  return { blobs, freedBytes };
}

interface PrunedLayers {
  readonly layers: readonly string[];
  readonly inUse: readonly string[];
  readonly problems: readonly string[];
}

async function pruneLayers(paths: StorePaths, reached: Reached): Promise<PrunedLayers> {
  const layers: string[] = [];
  const inUse: string[] = [];
  const problems: string[] = [];
  const pins = await livePins(paths);
  for (const { name, chainId, world } of await listLayers(paths)) {
    if (chainId !== null && reached.chainIds.has(chainId)) continue;
    if (chainId !== null && pins.has(layerName(chainId, world))) {
      inUse.push(name);
      continue;
    }
    const problem = await discard(paths, join(paths.root, name));
    if (problem !== null) problems.push(problem);
    layers.push(name);
  }
  return { layers, inUse, problems };
}

async function prunePartial(paths: StorePaths): Promise<{ readonly partialBlobs: number; readonly partialBytes: number }> {
  let partialBytes = 0;
  const names = await readdir(paths.partial);
  for (const name of names) {
    partialBytes += await sizeOf(join(paths.partial, name));
    await rm(join(paths.partial, name), { force: true });
  }
  for (const name of await readdir(paths.root)) {
    const path = join(paths.root, name);
    const status = name.endsWith(".new") ? await lstat(path).catch(() => null) : null;
    if (status !== null && Date.now() - status.mtimeMs > strayMs) await rm(path, { force: true });
  }
  return { partialBlobs: names.length, partialBytes };
}

/**
 * Removes what nothing names: blobs, unpacked layers that no running sandbox uses, what broken attempts have left.
 * Throws BelljarError `store-failed` when others are at work for too long, or when a damaged image hides what it needs.
 */
export async function prune(paths: StorePaths, options: PruneOptions = {}): Promise<Pruned> {
  const { untagged = false, partial = true, waitMs = 10_000 } = options;
  const lock = await exclusively(paths, waitMs);
  try {
    return await inStore(doing, paths.root, async () => {
      // From here on, a sandbox that starts looks twice; those that have started have pinned their layers.
      await writeFile(paths.pruning, "");
      const images = untagged ? await removeReferences(paths, ({ name }) => name === null) : [];
      const reached = await everythingReached(paths);
      const { layers, inUse, problems: layerProblems } = await pruneLayers(paths, reached);
      // After the layers, so that what could not be removed of them is tried again, and told.
      const { sessions: deadSessions, problems } = await sweepSessions(paths);
      const { blobs, freedBytes } = await pruneBlobs(paths, reached);
      const { partialBlobs, partialBytes } = partial ? await prunePartial(paths) : { partialBlobs: 0, partialBytes: 0 };
      return {
        blobs,
        layers,
        inUse,
        images: images.map(({ descriptor }) => descriptor.digest),
        partialBlobs,
        deadSessions,
        problems: [...new Set([...layerProblems, ...problems])],
        freedBytes: freedBytes + partialBytes,
      };
    });
  } finally {
    await rm(paths.pruning, { force: true });
    lock.release();
  }
}
