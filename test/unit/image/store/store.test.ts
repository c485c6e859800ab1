import { execFileSync } from "node:child_process";
import { chmodSync, existsSync, mkdirSync, readdirSync, readFileSync, symlinkSync, utimesSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { chainIds, digestOf } from "../../../../cli/image/digest.ts";
import { blobPath } from "../../../../cli/image/layout.ts";
import type { Digest } from "../../../../cli/image/oci-types.ts";
import type { Store } from "../../../../cli/image/store.ts";
import { removeReferences } from "../../../../cli/image/store-index.ts";
import { removeTree } from "../../../../cli/image/store-remove.ts";
import { bytesOf, descriptorOf, pour, put, putImage, temporaryFolder, temporaryStore } from "./fixtures.ts";

const names = async (store: Store) => (await store.list()).map(({ name }) => name);
const remove = (store: Store, name: string) => removeReferences(store.paths, (entry) => entry.name === name);

async function unpack(store: Store, chainId: Digest, text = "file"): Promise<string> {
  const layer = await store.beginLayer(chainId);
  writeFileSync(join(layer.path, "f"), text);
  await layer.commit({ note: "test" });
  return store.layerPath(chainId);
}

describe("references", () => {
  test("a name means the last image that it was given to", async () => {
    const store = await temporaryStore();
    const one = await putImage(store, ["1"]);
    const two = await putImage(store, ["2"]);
    await store.setReference("docker.io/library/a:latest", one.manifest);
    await store.setReference("docker.io/library/b:latest", one.manifest);
    await store.setReference("docker.io/library/a:latest", {
      ...two.manifest,
      annotations: { hostile: "x", "org.opencontainers.image.ref.name": "y" },
    });
    expect(await store.list()).toEqual([
      { name: "docker.io/library/b:latest", descriptor: one.manifest },
      { name: "docker.io/library/a:latest", descriptor: two.manifest },
    ]);
    const { manifests } = JSON.parse(readFileSync(store.paths.index, "utf8")) as { readonly manifests: readonly unknown[] };
    expect(manifests[1]).toEqual({ ...two.manifest, annotations: { "org.opencontainers.image.ref.name": "docker.io/library/a:latest" } });
  });
  test("an image without a name is kept until it gets one", async () => {
    const store = await temporaryStore();
    const { manifest } = await putImage(store, ["1"]);
    await store.setReference(null, manifest);
    await store.setReference(null, manifest);
    expect(await names(store)).toEqual([null]);
    await store.setReference("a", manifest);
    expect(await names(store)).toEqual(["a"]);
    await store.setReference(null, manifest);
    expect(await names(store)).toEqual(["a"]);
  });
  test("a hundred at once are all there", async () => {
    const store = await temporaryStore();
    const stores = [store, await temporaryStore(store.paths.root), await temporaryStore(store.paths.root)];
    const { manifest } = await putImage(store, ["1"]);
    await Promise.all(Array.from({ length: 100 }, (_, n) => stores[n % 3]?.setReference(`n${n}`, manifest)));
    expect(new Set(await names(store)).size).toBe(100);
  }, 30_000);
  test("more than can be read again are not written", async () => {
    const store = await temporaryStore();
    const { manifest } = await putImage(store, ["1"]);
    const names = (from: number, count: number) =>
      Array.from({ length: count }, (_, at) => ({ name: `h/${"x".repeat(200)}:${from + at}`, descriptor: manifest }));
    await store.setReferences(names(0, 9_999));
    const full = { code: "store-failed", message: expect.stringContaining("more than 10000 names") };
    await expect(store.setReferences(names(9_999, 2))).rejects.toMatchObject(full);
    await store.setReference("last", manifest);
    await expect(store.setReference("one more", manifest)).rejects.toMatchObject(full);
    await store.setReference("last", manifest);
    expect(await store.list()).toHaveLength(10_000);
    expect(readFileSync(store.paths.index).length).toBeGreaterThan(4 * 1024 * 1024);
    await remove(store, "last");
    const large = { ...manifest, artifactType: "x".repeat(17 * 1024 * 1024) };
    await expect(store.setReference("large", large)).rejects.toMatchObject({ code: "store-failed" });
    expect(await store.list()).toHaveLength(9_999);
  });
  test("a hostile index is refused, not believed", async () => {
    const store = await temporaryStore();
    writeFileSync(store.paths.index, JSON.stringify({ schemaVersion: 2, manifests: [{ mediaType: "x", digest: "sha256:../x", size: 1 }] }));
    await expect(store.list()).rejects.toMatchObject({ code: "image-invalid" });
    await expect(store.prune()).rejects.toMatchObject({ code: "image-invalid" });
  });
});

describe("layers", () => {
  const id = digestOf("layer");
  test("are there after commit, with their notes, and not before", async () => {
    const store = await temporaryStore();
    const layer = await store.beginLayer(id);
    writeFileSync(join(layer.path, "f"), "x");
    expect(store.hasLayer(id)).toBe(false);
    await layer.commit({ note: 1 });
    expect(store.hasLayer(id)).toBe(true);
    expect(await store.layerMeta(id)).toEqual({ note: 1, chainId: id });
    expect(readFileSync(join(store.layerPath(id), "f"), "utf8")).toBe("x");
    expect(store.hasLayer(id, "sub-1")).toBe(false);
    expect(() => store.hasLayer(id, "../x")).toThrow(TypeError);
  });
  test("abandoned ones leave nothing; of two that are the same the first stays", async () => {
    const store = await temporaryStore();
    const [first, second, third] = [await store.beginLayer(id), await store.beginLayer(id), await store.beginLayer(id)];
    for (const [text, layer] of [
      ["1", first],
      ["2", second],
    ] as const)
      writeFileSync(join(layer.path, "f"), text);
    await first.commit({});
    await second.commit({});
    await third.abort();
    expect(readFileSync(join(store.layerPath(id), "f"), "utf8")).toBe("1");
    await store.close();
    expect(readdirSync(store.paths.sessions)).toEqual([]);
    expect(readdirSync(store.paths.trash)).toEqual([]);
  });
  test("what an earlier boot did not bring to the disk is unpacked again", async () => {
    const store = await temporaryStore();
    await unpack(store, id, "old");
    const mark = join(store.layerPath(id), "../unsettled");
    writeFileSync(mark, "another boot");
    expect(store.hasLayer(id)).toBe(false);
    expect((await store.verify()).problems).toMatchObject([{ problem: "was unpacked before the machine stopped unexpectedly" }]);
    await unpack(store, id, "new");
    expect(readFileSync(join(store.layerPath(id), "f"), "utf8")).toBe("new");
    await store.settleLayers();
    expect(existsSync(mark)).toBe(false);
    expect(store.hasLayer(id)).toBe(true);
  });
});

describe("removing", () => {
  test("what no name leads to, and nothing else", async () => {
    const store = await temporaryStore();
    const kept = await putImage(store, ["base", "kept"]);
    const gone = await putImage(store, ["base", "gone"]);
    await store.setReference("kept", kept.manifest);
    await store.setReference("gone", gone.manifest);
    const layers = [...new Set([...chainIds(kept.diffIds), ...chainIds(gone.diffIds)])];
    for (const layer of layers) await unpack(store, layer);
    await remove(store, "gone");
    const pruned = await store.prune();
    expect(new Set(pruned.blobs)).toEqual(new Set([gone.manifest.digest, gone.config.digest, gone.layers[1]?.digest]));
    expect(pruned.layers).toEqual([`layers/single/${chainIds(gone.diffIds)[1]?.replace(":", "-")}`]);
    expect(pruned.freedBytes).toBe(gone.manifest.size + gone.config.size + 4);
    expect(await store.verify()).toMatchObject({ images: 1, blobs: 4, layers: 2, problems: [] });
    expect(existsSync(store.paths.pruning)).toBe(false);
  });
  test("images without a name only when asked", async () => {
    const store = await temporaryStore();
    const { manifest } = await putImage(store, ["1"]);
    await store.setReference(null, manifest);
    expect((await store.prune()).blobs).toEqual([]);
    expect((await store.prune({ untagged: true })).images).toEqual([manifest.digest]);
    expect(await store.verify()).toMatchObject({ images: 0, blobs: 0 });
  });
  test("never what a running sandbox uses", async () => {
    const store = await temporaryStore();
    const id = digestOf("used");
    await unpack(store, id);
    await unpack(store, digestOf("unused"));
    const lease = await store.lease([id]);
    expect(lease?.paths).toEqual([store.layerPath(id)]);
    const { layers, inUse } = await store.prune();
    expect({ layers: layers.length, inUse }).toEqual({ layers: 1, inUse: [`layers/single/${id.replace(":", "-")}`] });
    expect(store.hasLayer(id)).toBe(true);
    await lease?.release();
    expect((await store.prune()).layers).toHaveLength(1);
    expect(store.hasLayer(id)).toBe(false);
  });
  test("a lease is refused for a missing layer, and while somebody removes", async () => {
    const store = await temporaryStore();
    const id = digestOf("used");
    await unpack(store, id);
    expect(await store.lease([id, digestOf("missing")])).toBeNull();
    const other = await temporaryStore(store.paths.root);
    writeFileSync(store.paths.pruning, "");
    expect(await other.lease([id])).toBeNull();
    await other.hold(); // nobody removes: the mark was a dead process's
    const lease = await other.lease([id]);
    expect(lease?.paths).toHaveLength(1);
    await lease?.release();
    expect(existsSync(store.paths.pruning)).toBe(false);
  });
  test("waits for those who add, and says so when that takes too long", async () => {
    const store = await temporaryStore();
    const other = await temporaryStore(store.paths.root);
    await other.hold();
    await expect(store.prune({ waitMs: 100 })).rejects.toMatchObject({
      code: "store-failed",
      message: expect.stringContaining("another process is adding"),
    });
    const waiting = store.prune({ waitMs: 10_000 });
    await other.close();
    expect((await waiting).blobs).toEqual([]);
  });
  test("its own work does not keep it waiting", async () => {
    const store = await temporaryStore();
    await put(store, bytesOf("unnamed"));
    expect((await store.prune({ waitMs: 1000 })).blobs).toHaveLength(1);
  });
  test("stops before an image whose parts cannot be known", async () => {
    const store = await temporaryStore();
    const broken = await putImage(store, ["1"]);
    await store.setReference("broken", broken.manifest);
    writeFileSync(blobPath(store.paths, broken.config.digest), "x".repeat(broken.config.size));
    await expect(store.prune()).rejects.toMatchObject({ code: "store-failed", hint: expect.stringContaining("belljar image rm broken") });
    expect(await store.hasBlob(broken.layers[0] as never)).toBe(true);
    await remove(store, "broken");
    expect((await store.prune()).blobs).toHaveLength(2); // the damaged one is gone already
  });
  test("unfinished blobs, and what dead processes left", async () => {
    const store = await temporaryStore();
    const descriptor = descriptorOf(Buffer.from("content"));
    const writer = await store.blobWriter(descriptor);
    await pour(Buffer.from("con"), writer.stream);
    await writer.abort();
    const dead = join(store.paths.sessions, "0123456789abcdef");
    mkdirSync(join(dead, "layer-0/diff"), { recursive: true });
    writeFileSync(join(dead, "layer-0/ids.json"), '{"kind":"sub'); // died while it wrote that
    writeFileSync(join(dead, `part-${descriptor.digest.replace(":", "-")}.0`), "cont");
    const unfinished = join(store.paths.sessions, "fedcba9876543210.new");
    mkdirSync(unfinished);
    expect(await store.prune()).toMatchObject({ partialBlobs: 1, deadSessions: 1, freedBytes: 4, problems: [] });
    expect(readdirSync(store.paths.sessions)).toEqual(["fedcba9876543210.new"]);
    utimesSync(unfinished, 1, 1);
    expect(await store.prune()).toMatchObject({ deadSessions: 1 });
  });
});

describe("verifying", () => {
  test("finds every kind of damage, each by its place", async () => {
    const store = await temporaryStore();
    const { manifest, layers } = await putImage(store, ["one", "two"]);
    await store.setReference("image", manifest);
    const [one, two] = layers.map(({ digest }) => blobPath(store.paths, digest)) as [string, string];
    writeFileSync(one, "One");
    writeFileSync(two, "longer");
    writeFileSync(join(store.paths.images, "blobs/sha256/readme"), "");
    writeFileSync(join(store.paths.images, "stray"), "");
    mkdirSync(join(store.paths.layers, "single/nonsense"), { recursive: true });
    const { problems } = await store.verify();
    expect(problems).toEqual(
      [
        { where: "image", problem: `blob '${layers[1]?.digest}' has 6 bytes instead of 3` },
        { where: `images/blobs/sha256/${layers[0]?.digest.slice(7)}`, problem: expect.stringContaining("wrong digest") },
        { where: `images/blobs/sha256/${layers[1]?.digest.slice(7)}`, problem: expect.stringContaining("wrong digest") },
        { where: "images/blobs/sha256/readme", problem: "is no blob" },
        { where: "layers/single/nonsense", problem: "is no layer" },
        { where: "images/stray", problem: "is not belljar's" },
      ].sort(byOrderOf(problems)),
    );
  });
});

/** Folders are read in no certain order. */
function byOrderOf(found: readonly { readonly where: string }[]) {
  return (a: { readonly where: string }, b: { readonly where: string }) =>
    found.findIndex((one) => one.where === a.where) - found.findIndex((one) => one.where === b.where);
}

describe("removing trees", () => {
  test("of any mode, name and depth, without following a link", async () => {
    const folder = temporaryFolder();
    const tree = join(folder, "tree");
    mkdirSync(join(tree, "ro/none"), { recursive: true });
    writeFileSync(join(folder, "outside"), "stays");
    symlinkSync(folder, join(tree, "ro/link"));
    execFileSync("mkfifo", [join(tree, "ro/fifo")]);
    writeFileSync(Buffer.concat([Buffer.from(`${tree}/`), Buffer.from([0xff, 0xfe, 0x0a])]), "");
    chmodSync(join(tree, "ro/none"), 0o000);
    chmodSync(join(tree, "ro"), 0o555);
    const deep = "import os,sys\nos.chdir(sys.argv[1])\nfor i in range(2000):\n  os.mkdir('d'*20); os.chdir('d'*20)\n";
    execFileSync("python3", ["-c", deep, tree]);
    mkdirSync(join(folder, "trash"));
    await removeTree(tree, { trash: join(folder, "trash") });
    expect(readdirSync(folder).sort()).toEqual(["outside", "trash"]);
    expect(readdirSync(join(folder, "trash"))).toEqual([]);
  });
});
