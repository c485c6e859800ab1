import { BelljarError } from "../../policy/errors.ts";
import { quoted } from "../output/terminal.ts";
import { chainIds } from "./digest.ts";
import type { StorePaths } from "./layout.ts";
import { checkRunnable, type ImageDocument, manifestLimits, missingBlob, parseDocument } from "./manifest.ts";
import { checkLayers, parseConfig } from "./manifest-config.ts";
import { documentLimits } from "./manifest-json.ts";
import { isImageConfig } from "./media-types.ts";
import type { Descriptor, Digest, ImageConfig, ImageManifest } from "./oci-types.ts";
import { again, hasBlob, readSmallBlob } from "./store-blobs.ts";

export interface StoredImage {
  /** Of the manifest. */
  readonly descriptor: Descriptor;
  readonly manifest: ImageManifest;
  readonly config: ImageConfig;
  /** Of its layers, lowest first. */
  readonly chainIds: readonly Digest[];
}

/** Reads an index or a manifest of the store, verified. Throws `image-invalid`. */
export async function readDocument(paths: StorePaths, descriptor: Descriptor, what: string): Promise<ImageDocument> {
  if (!(await hasBlob(paths, descriptor))) throw missingBlob(descriptor, what, again);
  const bytes = await readSmallBlob(paths, descriptor, documentLimits.maxBytes);
  return parseDocument(bytes, { what, mediaType: descriptor.mediaType || null });
}

export async function readConfig(paths: StorePaths, manifest: ImageManifest, what: string): Promise<ImageConfig> {
  if (!(await hasBlob(paths, manifest.config))) throw missingBlob(manifest.config, what, again);
  return parseConfig(await readSmallBlob(paths, manifest.config, documentLimits.maxBytes), `${what}: its configuration`);
}

/** Reads an image that can be run: manifest and configuration, checked against each other. Throws `image-invalid`. */
export async function readImage(paths: StorePaths, descriptor: Descriptor, what: string): Promise<StoredImage> {
  const document = await readDocument(paths, descriptor, what);
  if (document.kind === "index")
    throw new BelljarError("image-invalid", `${what}: is an index of several images, which another tool has put here`, {
      hint: "pull the image with belljar, which takes the one for this machine",
    });
  const { manifest } = document;
  checkRunnable(manifest, what);
  const config = await readConfig(paths, manifest, what);
  checkLayers(manifest, config, what);
  return { descriptor, manifest, config, chainIds: chainIds(config.rootfs.diff_ids) };
}

/** What an entry of the index keeps alive. */
export interface Reached {
  readonly blobs: Map<Digest, Descriptor>;
  readonly chainIds: Set<Digest>;
}

async function reachManifest(
  paths: StorePaths,
  manifest: ImageManifest,
  options: { readonly into: Reached; readonly what: string },
): Promise<void> {
  const { into, what } = options;
  for (const blob of [manifest.config, ...manifest.layers]) into.blobs.set(blob.digest, blob);
  if (!isImageConfig(manifest.config.mediaType)) return;
  const config = await readConfig(paths, manifest, what);
  for (const id of chainIds(config.rootfs.diff_ids)) into.chainIds.add(id);
}

/**
 * Adds everything that a descriptor leads to. Throws when a document on the way cannot be read: what it names is unknown then.
 * Only of an index that another tool wrote may images be missing, which are those for other machines.
 */
export async function reach(
  paths: StorePaths,
  descriptor: Descriptor,
  options: { readonly into: Reached; readonly depth?: number },
): Promise<void> {
  const { into, depth = 0 } = options;
  const what = `reading image ${quoted(descriptor.digest)}`;
  if (depth > manifestLimits.maxIndexDepth) throw new BelljarError("image-invalid", `${what}: indexes are nested too deep`);
  if (into.blobs.has(descriptor.digest)) return;
  const document = await readDocument(paths, descriptor, what);
  into.blobs.set(descriptor.digest, descriptor);
  if (document.kind === "manifest") return reachManifest(paths, document.manifest, { into, what });
  for (const child of document.index.manifests) {
    if (await hasBlob(paths, child)) await reach(paths, child, { into, depth: depth + 1 });
  }
}
