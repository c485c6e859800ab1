import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { onTestFinished } from "vitest";
import { digestOf } from "../../../../cli/image/digest.ts";
import { mediaTypes } from "../../../../cli/image/media-types.ts";
import type { Descriptor, Digest } from "../../../../cli/image/oci-types.ts";
import { openStore, type Store } from "../../../../cli/image/store.ts";
import { removeTree } from "../../../../cli/image/store-remove.ts";

export function temporaryFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), "belljar-store-"));
  onTestFinished(async () => {
    await removeTree(folder, { trash: tmpdir() });
    rmSync(folder, { recursive: true, force: true });
  });
  return folder;
}

/** A store of its own for one test, closed when it ends. */
export async function temporaryStore(root = join(temporaryFolder(), "belljar")): Promise<Store> {
  const store = await openStore(root);
  onTestFinished(() => store.close());
  return store;
}

export const bytesOf = (value: unknown): Buffer => Buffer.from(typeof value === "string" ? value : JSON.stringify(value));
export const descriptorOf = (content: Uint8Array, mediaType = "application/octet-stream"): Descriptor => ({
  mediaType,
  digest: digestOf(content),
  size: content.length,
});

/** Writes a blob in one piece. */
export async function put(store: Store, content: Uint8Array, mediaType?: string): Promise<Descriptor> {
  const descriptor = descriptorOf(content, mediaType);
  await store.putBlob(descriptor, content);
  return descriptor;
}

export async function readAll(source: Readable): Promise<Buffer> {
  const chunks: Buffer[] = [];
  for await (const chunk of source) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks);
}

export const pour = (content: Uint8Array, target: NodeJS.WritableStream): Promise<void> => pipeline(Readable.from([content]), target);

export interface SmallImage {
  readonly manifest: Descriptor;
  readonly config: Descriptor;
  readonly layers: readonly Descriptor[];
  readonly diffIds: readonly Digest[];
}

/** An image whose layers are these bytes, uncompressed. */
export async function putImage(store: Store, layers: readonly string[]): Promise<SmallImage> {
  const contents = layers.map((text) => Buffer.from(text));
  const diffIds = contents.map((content) => digestOf(content));
  const config = await put(
    store,
    bytesOf({ architecture: "amd64", os: "linux", rootfs: { type: "layers", diff_ids: diffIds } }),
    mediaTypes.ociConfig,
  );
  const stored: Descriptor[] = [];
  for (const content of contents) stored.push(await put(store, content, mediaTypes.layerTar));
  const manifest = await put(store, bytesOf({ schemaVersion: 2, config, layers: stored }), mediaTypes.ociManifest);
  return { manifest, config, layers: stored, diffIds };
}
