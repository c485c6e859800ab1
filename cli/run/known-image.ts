// What the last run on an image found out about it, so that the next one need neither read nor verify its documents again.
import { statSync } from "node:fs";
import type { ImageFacts } from "../../policy/compile/types.ts";
import { bootId } from "../host/boot-id.ts";
import { readOwnFile, replaceFile } from "../host/cache-home.ts";
import type { LayerIds } from "../image/layer/ids.ts";
import { isThere } from "../image/layer-place.ts";
import { type Lease, leaseNames } from "../image/lease.ts";
import { checkOwnership, defaultStoreRoot, storePaths } from "../image/store-paths.ts";
import { slotPath } from "./slots.ts";

export interface ImageRequest {
  readonly reference: string;
  /** `--user`. */
  readonly user: string | null;
  readonly ids: LayerIds;
}

export interface KnownImage {
  /** Names of its layers (layerName), lowest first. */
  readonly layers: readonly string[];
  /** Of its layers. */
  readonly unsettledSince: number | null;
  readonly facts: ImageFacts;
}

/** Fresh layers are brought to the disk by a run that comes later: by then the kernel has written most of them, and nobody waits for long. */
const settleAfterMs = 60_000;

export const isDue = (unsettledSince: number | null): boolean => unsettledSince !== null && Date.now() - unsettledSince > settleAfterMs;

interface Kept {
  readonly key: string;
  readonly index: string;
  readonly image: KnownImage;
}

const keyOf = ({ reference, user, ids }: ImageRequest, root: string): string =>
  JSON.stringify([globalThis.belljarBuild, root, reference, user, ids]);

/**
 * Identifies the index of a store as it is now: whatever changes it, replaces the file. null: there is none. The boot is part of it, since a layer that
 * was good in this boot can get worse only by a crash of the machine.
 */
export function indexStamp(root: string = defaultStoreRoot()): string | null {
  const status = statSync(storePaths(root).index, { bigint: true, throwIfNoEntry: false });
  return status === undefined ? null : [status.dev, status.ino, status.size, status.mtimeNs, status.ctimeNs, bootId()].join(" ");
}

/** Keeps what was found for the next run that asks for the same. `index`: the stamp from before it was looked up. */
export function keepImage(request: ImageRequest, index: string | null, image: KnownImage): void {
  const key = keyOf(request, defaultStoreRoot());
  const path = slotPath("images", key);
  if (path !== null && index !== null) replaceFile(path, JSON.stringify({ key, index, image } satisfies Kept));
}

function readKept(path: string, key: string): Kept | null {
  try {
    const kept = JSON.parse(readOwnFile(path) ?? "null") as Kept | null;
    return kept?.key === key ? kept : null;
  } catch {
    return null; // damaged
  }
}

/**
 * An image that was run before, while every name in the store means what it meant then: its layers are pinned, its facts known. null where anything
 * must be looked up. Throws BelljarError `store-failed`.
 */
export async function leaseKnownImage(request: ImageRequest): Promise<{ readonly lease: Lease; readonly facts: ImageFacts } | null> {
  const root = defaultStoreRoot();
  const key = keyOf(request, root);
  const path = slotPath("images", key);
  const kept = path === null ? null : readKept(path, key);
  if (kept === null || kept.index !== indexStamp(root) || isDue(kept.image.unsettledSince)) return null;
  checkOwnership(root);
  const lease = await leaseNames(storePaths(root), kept.image.layers, { held: false, isGood: isThere });
  return lease === null ? null : { lease, facts: kept.image.facts };
}
