import { lstat, readdir } from "node:fs/promises";
import { join } from "node:path";
import { pipeline } from "node:stream/promises";
import { BelljarError } from "../../policy/errors.ts";
import { quoted } from "../output/terminal.ts";
import { blobPath, inStore, type StorePaths } from "./layout.ts";
import type { Digest } from "./oci-types.ts";
import { readBlob } from "./store-blobs.ts";
import { type Reached, reach } from "./store-image.ts";
import { listReferences } from "./store-index.ts";
import { layerProblem, listLayers } from "./store-layers.ts";
import { listBlobs } from "./store-prune.ts";

export interface Problem {
  /** An image by name or digest, or a place in the store. */
  readonly where: string;
  readonly problem: string;
}

export interface Verified {
  readonly images: number;
  readonly blobs: number;
  readonly layers: number;
  /** Bytes read and hashed. */
  readonly bytes: number;
  readonly problems: readonly Problem[];
}

const what = "verifying the image store";

/** null when the content has the digest that is its name. */
async function blobProblem(paths: StorePaths, digest: Digest): Promise<string | null> {
  try {
    await pipeline(await readBlob(paths, digest), async (source: AsyncIterable<Buffer>) => {
      for await (const _ of source);
    });
    return null;
  } catch (error) {
    if (error instanceof BelljarError && error.code === "image-invalid")
      return `${error.message.slice(error.message.lastIndexOf(": ") + 2)}; taken out: pull or load the image again`;
    throw error;
  }
}

async function verifyImages(paths: StorePaths, note: (where: string, problem: string) => void): Promise<number> {
  const references = await listReferences(paths);
  for (const { name, descriptor } of references) {
    const where = name ?? descriptor.digest;
    const into: Reached = { blobs: new Map(), chainIds: new Set() };
    try {
      await reach(paths, descriptor, { into });
    } catch (error) {
      if (!(error instanceof BelljarError)) throw error;
      note(where, error.message);
      continue;
    }
    for (const blob of into.blobs.values()) {
      const status = await lstat(blobPath(paths, blob.digest)).catch(() => null);
      if (status === null) note(where, `blob ${quoted(blob.digest)} is missing`);
      else if (status.size !== blob.size) note(where, `blob ${quoted(blob.digest)} has ${status.size} bytes instead of ${blob.size}`);
    }
  }
  return references.length;
}

/**
 * Checks all that the store holds: each blob against its digest (what has another is taken out, as by every reader), each image for all it names, each unpacked layer for being
 * whole. What dead processes have left is no problem: it is never used. Throws BelljarError `store-failed` for what cannot be read.
 */
export async function verify(paths: StorePaths): Promise<Verified> {
  const problems: Problem[] = [];
  const note = (where: string, problem: string): void => {
    problems.push({ where, problem });
  };
  return inStore(what, paths.root, async () => {
    const images = await verifyImages(paths, note);
    const blobs = await listBlobs(paths);
    let bytes = 0;
    for (const { name, digest } of blobs) {
      if (digest === null) {
        note(name, "is no blob");
        continue;
      }
      bytes += (await lstat(join(paths.root, name)).catch(() => null))?.size ?? 0;
      const problem = await blobProblem(paths, digest);
      if (problem !== null) note(name, problem);
    }
    const layers = await listLayers(paths);
    for (const layer of layers) {
      const problem = layerProblem(paths, layer);
      if (problem !== null) note(layer.name, problem);
    }
    for (const name of await readdir(paths.images))
      if (!["oci-layout", "index.json", "blobs"].includes(name)) note(join("images", name), "is not belljar's");
    return { images, blobs: blobs.length, layers: layers.length, bytes, problems };
  });
}
