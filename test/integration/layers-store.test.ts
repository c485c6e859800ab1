import { randomBytes } from "node:crypto";
import { chmodSync, existsSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { describe, expect } from "vitest";
import { digestOf } from "../../cli/image/digest.ts";
import { blobPath } from "../../cli/image/layout.ts";
import { mediaTypes } from "../../cli/image/media-types.ts";
import type { Descriptor, Digest, ImageConfig, ImageManifest } from "../../cli/image/oci-types.ts";
import { openStore, type Store } from "../../cli/image/store.ts";
import { type UnpackOptions, type UnpackProgress, unpackImage } from "../../cli/image/unpack.ts";
import { needs } from "../helpers/abilities.ts";
import { layerFolder, listTree, paths, single } from "../helpers/layer-tree.ts";
import { archive, device, directory, file } from "../helpers/tar-writer.ts";

interface Image {
  readonly manifest: ImageManifest;
  readonly config: ImageConfig;
}

async function putImage(store: Store, layers: readonly Buffer[], diffIds?: readonly Digest[]): Promise<Image> {
  const blobs: Descriptor[] = [];
  for (const layer of layers) {
    const content = gzipSync(layer);
    const descriptor = { mediaType: mediaTypes.layerTar, digest: digestOf(content), size: content.length };
    await store.putBlob(descriptor, content);
    blobs.push(descriptor);
  }
  const diff_ids = diffIds ?? layers.map((layer) => digestOf(layer));
  return {
    manifest: { schemaVersion: 2, config: blobs[0] as Descriptor, layers: blobs },
    config: { architecture: "amd64", os: "linux", rootfs: { type: "layers", diff_ids } },
  };
}

const first = archive(directory("d", 0o1777), file("d/a", "1", { uid: 5 }), device("dev/null", [1, 3]));
const second = archive(file("d/b", "2", { uid: 6 }), file("d/.wh.a"));

async function newStore(): Promise<Store> {
  return openStore(join(layerFolder(), "store"));
}

const unpack = (store: Store, image: Image, more: Partial<UnpackOptions> = {}) =>
  unpackImage({ store, name: "example:1", ids: single, ...image, ...more });
/** Everything of the store's but blobs and locks, by name. */
const layersIn = (store: Store): readonly string[] =>
  readdirSync(store.paths.layers, { recursive: true, encoding: "utf8" }).filter((name) => name.endsWith("layer.json"));

describe("an image of the store", () => {
  needs("userns", "python3")("is unpacked once; the second time its warnings are the same", async () => {
    const store = await newStore();
    const image = await putImage(store, [first, second]);
    const steps: UnpackProgress[] = [];
    const one = await unpack(store, image, { progress: (step) => steps.push(step) });
    expect(one.layers.map(({ path }) => existsSync(path))).toEqual([true, true]);
    expect(paths(await listTree(one.layers[1]?.path ?? ""))).toEqual(["d", "d/a", "d/b"]);
    expect(one.warnings).toEqual([
      "the owners of 2 files are one: with a single id all files belong to root inside",
      "layer 1: left out 1 device ('dev/null'): no ordinary user can make one",
    ]);
    expect(steps.at(-1)).toEqual({ layer: 1, layers: 2, bytes: null });
    expect(steps.some(({ bytes }) => bytes === first.length)).toBe(true);
    const before = layersIn(store);
    const steps2: UnpackProgress[] = [];
    expect(await unpack(store, image, { progress: (step) => steps2.push(step) })).toEqual(one);
    expect(steps2.every(({ bytes }) => bytes === null)).toBe(true);
    expect(layersIn(store)).toEqual(before);
    await store.close();
  });

  needs("userns", "python3")("asked for by several at once is unpacked once", async () => {
    const store = await newStore();
    const image = await putImage(store, [first, archive(file("big", randomBytes(3_000_000)))]);
    let unpacked = 0;
    const others = await Promise.all(
      [store, ...(await Promise.all([openStore(store.paths.root), openStore(store.paths.root)]))].map(async (each) => {
        const done = await unpack(each, image, {
          progress: ({ bytes }) => {
            if (bytes !== null && bytes > 3_000_000) unpacked++;
          },
        });
        await each.close();
        return done;
      }),
    );
    expect(new Set(others.map((done) => JSON.stringify(done))).size).toBe(1);
    expect(unpacked).toBe(1);
  });

  needs("userns", "python3")(
    "with a layer of another diff_id is refused by both names; the layer below stays good, nothing else is left",
    async () => {
      const store = await newStore();
      const wrong = digestOf("something else");
      const image = await putImage(store, [first, second], [digestOf(first), wrong]);
      await expect(unpack(store, image)).rejects.toMatchObject({
        code: "image-invalid",
        message: expect.stringMatching(
          new RegExp(
            `unpacking 'example:1': layer 2 of 2 \\(${image.manifest.layers[1]?.digest}\\): .*${digestOf(second)} instead of ${wrong}`,
          ),
        ),
      });
      expect(layersIn(store).length).toBe(1);
      expect(store.hasLayer(digestOf(first))).toBe(true);
      await store.close();
      expect(readdirSync(store.paths.root, { recursive: true, encoding: "utf8" }).filter((name) => /layer-|trash\/./.test(name))).toEqual(
        [],
      );
    },
  );

  needs("userns", "python3")("with a damaged blob is refused although the archive inside is whole", async () => {
    const store = await newStore();
    const image = await putImage(store, [first]);
    const path = blobPath(store.paths, image.manifest.layers[0]?.digest as Digest);
    chmodSync(path, 0o600);
    // A gzip header's time is no part of the content.
    const bytes = readFileSync(path);
    bytes[4] = 0x55;
    writeFileSync(path, bytes);
    await expect(unpack(store, image)).rejects.toMatchObject({ code: "image-invalid", message: expect.stringContaining("wrong digest") });
    expect(layersIn(store)).toEqual([]);
    await store.close();
  });

  needs("userns", "python3")("with a blob that the disk has damaged blames the disk, not the image, and takes it out", async () => {
    const store = await newStore();
    const image = await putImage(store, [first, archive(file("big", randomBytes(8_000_000)))]);
    const blob = image.manifest.layers[1] as Descriptor;
    const path = blobPath(store.paths, blob.digest);
    chmodSync(path, 0o600);
    const bytes = readFileSync(path);
    // The decoder ends here, long before the digest is known.
    bytes.fill(0xff, 1000, 2000);
    writeFileSync(path, bytes);
    await expect(unpack(store, image)).rejects.toMatchObject({
      code: "image-invalid",
      message: expect.stringMatching(/reading the image store: .*wrong digest/),
      hint: "pull or load the image again",
    });
    expect(await store.hasBlob(blob)).toBe(false);
    await store.close();
  });

  needs("userns", "python3")("of more layers than can be mounted is refused before any is unpacked", async () => {
    const store = await newStore();
    const image = await putImage(store, Array(501).fill(second));
    await expect(unpack(store, image)).rejects.toMatchObject({
      code: "not-supported",
      message: "unpacking 'example:1': it has 501 layers, more than 500",
    });
    expect(layersIn(store)).toEqual([]);
    await store.close();
  });

  needs("userns", "python3")("whose manifest and configuration differ in their number of layers is refused", async () => {
    const store = await newStore();
    const { manifest, config } = await putImage(store, [first, second], [digestOf(first)]);
    await expect(unpack(store, { manifest, config })).rejects.toMatchObject({
      code: "image-invalid",
      message: expect.stringContaining("the manifest has 2 layers, the configuration 1"),
    });
    await store.close();
  });

  needs("userns", "python3")("cancelled in the middle leaves nothing half-made, and works the next time", async () => {
    const store = await newStore();
    const image = await putImage(store, [archive(...Array.from({ length: 40 }, (_, i) => file(`f${i}`, randomBytes(200_000))))]);
    const abort = new AbortController();
    const cancelled = unpack(store, image, {
      signal: abort.signal,
      progress: ({ bytes }) => {
        if (bytes !== null && bytes > 1_000_000) abort.abort();
      },
    });
    await expect(cancelled).rejects.toMatchObject({ code: "cancelled" });
    expect(layersIn(store)).toEqual([]);
    await expect(unpack(store, image, { signal: abort.signal })).rejects.toMatchObject({ code: "cancelled" });
    expect((await unpack(store, image)).layers.length).toBe(1);
    await store.close();
  });

  needs("userns", "python3")("by a helper that is not there, or dies, is our own failure", async () => {
    const store = await newStore();
    const image = await putImage(store, [first]);
    try {
      for (const [helper, reason] of [
        ["/nonexistent/belljar-apply", "ENOENT"],
        ["/bin/false", "ended with status 1"],
        ["/bin/true", "ended with status 0"],
      ] as const) {
        process.env["BELLJAR_APPLY"] = helper;
        await expect(unpack(store, image)).rejects.toMatchObject({ code: "internal", message: expect.stringContaining(reason) });
      }
    } finally {
      delete process.env["BELLJAR_APPLY"];
    }
    expect(layersIn(store)).toEqual([]);
    await store.close();
  });

  needs("userns", "python3")("without layers is an empty list", async () => {
    const store = await newStore();
    const { manifest, config } = await putImage(store, [first]);
    const none = { manifest: { ...manifest, layers: [] }, config: { ...config, rootfs: { type: "layers" as const, diff_ids: [] } } };
    expect(await unpack(store, none)).toEqual({ layers: [], warnings: [], world: "single" });
    await store.close();
  });
});
