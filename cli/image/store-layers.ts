import { statSync } from "node:fs";
import { mkdir, readdir, readFile, rename, rm, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { bootId } from "../host/boot-id.ts";
import { makeFolders } from "../host/make-folders.ts";
import { isDigest, splitDigest } from "./digest.ts";
import type { LayerIds } from "./layer/ids.ts";
import { isStale, isThere, isUsable, metaName, unsettledName } from "./layer-place.ts";
import { inStore, type StorePaths, syncFolder } from "./layout.ts";
import { syncFileSystem, withLock } from "./lock.ts";
import type { Digest } from "./oci-types.ts";
import { discard, idsName, layerPrefix } from "./store-remove.ts";
import type { Session } from "./store-session.ts";

/** Layers unpacked under different id maps have different owners: each map has a folder of its own. */
export type IdWorld = string;
export const singleId: IdWorld = "single";

/** What is noted beside an unpacked layer. */
export interface LayerMeta {
  readonly chainId: Digest;
  readonly [note: string]: unknown;
}

export interface LayerWriter {
  /** An empty folder, to be filled. */
  readonly path: string;
  /** Makes it the layer. When another process was faster, theirs stays. */
  commit(meta: Readonly<Record<string, unknown>>): Promise<void>;
  abort(): Promise<void>;
}

const writing = "unpacking into the image store";

/** Path of a layer relative to the store's root: what sessions pin. */
export function layerName(chainId: Digest, world: IdWorld = singleId): string {
  if (!/^[a-z0-9-]{1,80}$/.test(world)) throw new TypeError("not a name of an id world");
  const { algorithm, hex } = splitDigest(chainId);
  return join("layers", world, `${algorithm}-${hex}`);
}

/** The unpacked files of a layer, whether they are there or not. */
export function layerPath(paths: StorePaths, chainId: Digest, world: IdWorld = singleId): string {
  return join(paths.root, layerName(chainId, world), "diff");
}

/** Whether a layer is unpacked, whole. Synchronous: every run asks for every layer. */
export function hasLayer(paths: StorePaths, chainId: Digest, world: IdWorld = singleId): boolean {
  return isUsable(join(paths.root, layerName(chainId, world)));
}

/** What was noted when a layer was unpacked; null when it is not there. */
export async function layerMeta(paths: StorePaths, chainId: Digest, world: IdWorld = singleId): Promise<LayerMeta | null> {
  const path = join(paths.root, layerName(chainId, world), metaName);
  try {
    return JSON.parse(await readFile(path, "utf8")) as LayerMeta;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return null;
    throw error;
  }
}

/** false when something is there already. */
async function renameUnlessThere(from: string, to: string): Promise<boolean> {
  try {
    await rename(from, to);
    return true;
  } catch (error) {
    if (["ENOTEMPTY", "EEXIST"].includes((error as NodeJS.ErrnoException).code ?? "")) return false;
    throw error;
  }
}

/** Moves a finished layer to its place; false when there is one already that can be used. */
async function place(paths: StorePaths, from: string, to: string): Promise<boolean> {
  makeFolders(dirname(to));
  // A folder replaces no other one that holds something. Whether it is on the disk after a crash does not matter: nothing leads to it yet.
  if (await renameUnlessThere(from, to)) return true;
  // Under a lock, so that nobody takes the fresh layer of another for the stale one that both saw.
  return withLock(join(paths.locks, "layers"), { mode: "exclusive" }, async () => {
    if (isThere(to) && !isStale(to)) return false;
    await discard(paths, to);
    await rename(from, to);
    return true;
  });
}

/** Begins to unpack a layer in a folder of the session. Where `ids` are subordinate, they are noted first: without them nobody could remove the files. */
export async function beginLayer(
  paths: StorePaths,
  session: Session,
  layer: { readonly chainId: Digest; readonly world?: IdWorld | undefined; readonly ids?: LayerIds | undefined },
): Promise<LayerWriter> {
  const { chainId, world = singleId, ids = { kind: "single" } } = layer;
  const target = join(paths.root, layerName(chainId, world));
  const folder = session.newPath(layerPrefix);
  const path = join(folder, "diff");
  await inStore(writing, folder, async () => {
    await mkdir(folder, { mode: 0o700 });
    await writeFile(join(folder, idsName), JSON.stringify(ids));
    await mkdir(path, { mode: 0o755 });
  });
  return {
    path,
    abort: async () => {
      await discard(paths, folder);
    },
    commit: (meta) =>
      inStore(writing, target, async () => {
        await writeFile(join(folder, unsettledName), bootId(), { flag: "wx" });
        await writeFile(join(folder, metaName), `${JSON.stringify({ ...meta, chainId }, null, 2)}\n`, { flag: "wx" });
        // Both names are on the disk before the layer has its own. A mark that a crash has emptied says as much as one of another boot.
        await syncFolder(folder);
        if (!(await place(paths, folder, target))) await discard(paths, folder);
      }),
  };
}

export interface ListedLayer {
  /** Relative to the store's root. */
  readonly name: string;
  readonly world: IdWorld;
  /** null for a folder that is no layer's. */
  readonly chainId: Digest | null;
}

export async function listLayers(paths: StorePaths): Promise<readonly ListedLayer[]> {
  const found: ListedLayer[] = [];
  for (const world of await readdir(paths.layers)) {
    for (const name of await readdir(join(paths.layers, world))) {
      const digest = name.replace("-", ":");
      found.push({ name: join("layers", world, name), world, chainId: isDigest(digest) ? digest : null });
    }
  }
  return found;
}

/** What is wrong with a layer, or null. */
export function layerProblem(paths: StorePaths, { name, chainId }: ListedLayer): string | null {
  const folder = join(paths.root, name);
  if (chainId === null) return "is no layer";
  if (!isThere(folder)) return "has no notes";
  if (statSync(join(folder, "diff"), { throwIfNoEntry: false })?.isDirectory() !== true) return "has no files";
  return isStale(folder) ? "was unpacked before the machine stopped unexpectedly" : null;
}

/**
 * Brings the files of freshly unpacked layers to the disk, with one call for all of them (an fsync for each file would take
 * several times as long as unpacking). Until then they are good as long as the machine runs.
 */
export async function settleLayers(paths: StorePaths): Promise<void> {
  const marks = (await listLayers(paths)).map(({ name }) => join(paths.root, name, unsettledName));
  const fresh = marks.filter((mark) => statSync(mark, { throwIfNoEntry: false }) !== undefined && !isStale(dirname(mark)));
  if (fresh.length === 0) return;
  await syncFileSystem(paths.root);
  for (const mark of fresh) await rm(mark, { force: true });
}
