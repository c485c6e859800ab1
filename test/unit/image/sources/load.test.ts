import { execFileSync } from "node:child_process";
import { mkdirSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { pack } from "tar-stream";
import { describe, expect, test } from "vitest";
import { digestOf } from "../../../../cli/image/digest.ts";
import { mediaTypes } from "../../../../cli/image/media-types.ts";
import type { Descriptor } from "../../../../cli/image/oci-types.ts";
import { saveImages } from "../../../../cli/image/sinks/save.ts";
import { loadImages } from "../../../../cli/image/sources/load.ts";
import { importRootfs } from "../../../../cli/image/sources/rootfs-tar.ts";
import type { Store } from "../../../../cli/image/store.ts";
import { bytesOf, descriptorOf, readAll, temporaryFolder, temporaryStore } from "../store/fixtures.ts";

type Content = string | Uint8Array | { readonly symlink: string } | { readonly link: string };
type Files = readonly (readonly [name: string, content: Content])[];

/** An archive with just these entries, in this order: no folders, no niceties. */
async function tarOf(files: Files): Promise<Buffer> {
  const stream = pack();
  for (const [name, content] of files) {
    if (typeof content === "string" || content instanceof Uint8Array) stream.entry({ name }, Buffer.from(content));
    else if ("symlink" in content) stream.entry({ name, type: "symlink", linkname: content.symlink });
    else stream.entry({ name, type: "link", linkname: content.link });
  }
  stream.finalize();
  return readAll(stream as never);
}

interface Made {
  readonly layers: readonly Buffer[];
  readonly config: Buffer;
  readonly manifest: Buffer;
  readonly descriptor: Descriptor;
}

async function makeImage(
  options: {
    readonly texts?: readonly string[];
    readonly architecture?: string;
    readonly gzip?: boolean;
    readonly diffIds?: readonly string[];
  } = {},
): Promise<Made> {
  const { texts = ["one", "two"], architecture = "amd64", gzip = false, diffIds } = options;
  const tars = await Promise.all(texts.map((text) => tarOf([["f", text]])));
  const layers = gzip ? tars.map((tar) => gzipSync(tar)) : tars;
  const config = bytesOf({ architecture, os: "linux", rootfs: { type: "layers", diff_ids: diffIds ?? tars.map((tar) => digestOf(tar)) } });
  const layerType = gzip ? mediaTypes.layerTarGzip : mediaTypes.layerTar;
  const manifest = bytesOf({
    schemaVersion: 2,
    config: descriptorOf(config, mediaTypes.ociConfig),
    layers: layers.map((layer) => descriptorOf(layer, layerType)),
  });
  return { layers, config, manifest, descriptor: descriptorOf(manifest, mediaTypes.ociManifest) };
}

const blob = (content: Uint8Array): [string, Uint8Array] => [`blobs/sha256/${digestOf(content).slice(7)}`, content];
const blobsOf = ({ layers, config, manifest }: Made): Files => [...layers, config, manifest].map(blob);
const named = (descriptor: Descriptor, name: string): Descriptor => ({
  ...descriptor,
  annotations: { "org.opencontainers.image.ref.name": name },
});
const indexOf = (manifests: readonly Descriptor[]): readonly [string, string] => [
  "index.json",
  JSON.stringify({ schemaVersion: 2, manifests }),
];
const layoutFile = ["oci-layout", '{"imageLayoutVersion":"1.0.0"}'] as const;

async function ociFiles(image: Made, name = "docker.io/library/x:1"): Promise<Files> {
  return [...blobsOf(image), indexOf([named(image.descriptor, name)]), layoutFile];
}

const hex = (content: Uint8Array): string => digestOf(content).slice(7);
function dockerFiles(image: Made, tags: readonly string[] | null = ["x:1"], extra: Files = []): Files {
  const Layers = image.layers.map((layer) => `${hex(layer)}.tar`);
  const list = [{ Config: `${hex(image.config)}.json`, RepoTags: tags, Layers }];
  return [
    ...image.layers.map((layer): [string, Buffer] => [`${hex(layer)}.tar`, layer]),
    [`${hex(image.config)}.json`, image.config],
    ["manifest.json", JSON.stringify(list)],
    ...extra,
  ];
}

/** Loads an archive from a file. */
async function load(store: Store, archive: Uint8Array, options: Partial<Parameters<typeof loadImages>[0]> = {}) {
  const input = join(temporaryFolder(), "archive");
  writeFileSync(input, archive);
  return loadImages({ store, input, ...options });
}

/** Everything in the store that another could see. */
const contentOf = (store: Store): readonly string[] => [
  readFileSync(store.paths.index, "utf8"),
  ...readdirSync(join(store.paths.images, "blobs"), { recursive: true }).map(String).sort(),
];

/** The archive is refused, and the store is as it was. */
async function expectRefusal(
  archive: Uint8Array,
  refusal: { readonly code: string; readonly words: string },
  options: Partial<Parameters<typeof loadImages>[0]> = {},
): Promise<void> {
  const store = await temporaryStore();
  const before = contentOf(store);
  await expect(load(store, archive, options)).rejects.toMatchObject({
    code: refusal.code,
    message: expect.stringContaining(refusal.words),
  });
  expect(contentOf(store)).toEqual(before);
  await store.close();
  expect(readdirSync(store.paths.sessions)).toEqual([]);
}

describe("OCI archives", () => {
  test.each([
    ["plain", (tar: Buffer) => tar],
    ["gzip", (tar: Buffer) => gzipSync(tar)],
    ["gzip in two members", (tar: Buffer) => Buffer.concat([gzipSync(tar.subarray(0, 700)), gzipSync(tar.subarray(700))])],
    ["zstd", (tar: Buffer) => execFileSync("zstd", ["-c"], { input: tar })],
  ])("%s, blobs only, in any order", async (_name, compress) => {
    const store = await temporaryStore();
    const image = await makeImage();
    const files = await ociFiles(image);
    const { images, warnings } = await load(store, compress(await tarOf(files)));
    expect({ images, warnings }).toEqual({ images: [{ names: ["docker.io/library/x:1"], descriptor: image.descriptor }], warnings: [] });
    expect(await store.list()).toEqual([{ name: "docker.io/library/x:1", descriptor: image.descriptor }]);
    expect(await store.verify()).toMatchObject({ images: 1, blobs: 4, problems: [] });
    await load(store, await tarOf([...files].reverse()));
    expect(await store.verify()).toMatchObject({ images: 1, blobs: 4, problems: [] });
  });
  test("with ./ before its names, and what does not belong to it", async () => {
    const store = await temporaryStore();
    const files = (await ociFiles(await makeImage())).map(([name, content]) => [`./${name}`, content] as const);
    await load(store, await tarOf([["../escape", "x"], ["/etc/passwd", "x"], ["blobs/sha256/short", "x"], ...files]));
    expect(await store.verify()).toMatchObject({ images: 1, blobs: 4, problems: [] });
  });
  test("of several platforms: within an index, and side by side without names", async () => {
    const arm = await makeImage({ architecture: "arm64", texts: ["arm"] });
    const amd = await makeImage({ architecture: "amd64", texts: ["amd"] });
    const entries = [
      { ...(await makeImage({ texts: ["attestation"] })).descriptor, platform: { architecture: "unknown", os: "unknown" } },
      { ...arm.descriptor, platform: { architecture: "arm64", os: "linux" } },
      { ...amd.descriptor, platform: { architecture: "amd64", os: "linux" } },
    ];
    const inner = bytesOf({ schemaVersion: 2, manifests: entries });
    const nested = await tarOf([
      layoutFile,
      ...blobsOf(arm),
      ...blobsOf(amd),
      blob(inner),
      indexOf([named(descriptorOf(inner, mediaTypes.ociIndex), "x")]),
    ]);
    const flat = await tarOf([layoutFile, ...blobsOf(arm), ...blobsOf(amd), indexOf(entries)]);
    for (const [architecture, wanted] of [
      ["arm64", arm],
      ["amd64", amd],
    ] as const) {
      for (const archive of [nested, flat]) {
        const store = await temporaryStore();
        const { images, warnings } = await load(store, archive, { platform: { architecture, os: "linux" } });
        expect(images.map(({ descriptor }) => descriptor.digest)).toEqual([wanted.descriptor.digest]);
        expect(warnings).toEqual([]);
        expect((await store.verify()).blobs).toBe(3);
      }
    }
    await expectRefusal(
      nested,
      { code: "image-not-found", words: "none for linux/riscv64" },
      { platform: { architecture: "riscv64", os: "linux" } },
    );
  });
  test("an image for another machine is loaded, with a warning", async () => {
    const store = await temporaryStore();
    const { warnings } = await load(store, await tarOf(await ociFiles(await makeImage({ architecture: "s390x" }))));
    expect(warnings).toEqual([expect.stringMatching(/the image is for linux\/s390x, not for linux\/a/)]);
  });
  test("names of the archive that are none are not believed; --name and no name", async () => {
    const image = await makeImage();
    const archive = await tarOf(await ociFiles(image, "../../etc/\u001b[31mX"));
    const store = await temporaryStore();
    const { images, warnings } = await load(store, archive);
    expect(images[0]?.names).toEqual([]);
    expect(warnings[0]).toContain("'../../etc/\\x1b[31mX' in the archive is not used");
    expect((await store.list()).map(({ name }) => name)).toEqual([null]);
    await load(store, archive, { name: "mine:2" });
    expect((await store.list()).map(({ name }) => name)).toEqual(["docker.io/library/mine:2"]);
    const two = await tarOf([...blobsOf(image), layoutFile, indexOf([named(image.descriptor, "a:1"), named(image.descriptor, "b:1")])]);
    await expectRefusal(two, { code: "usage", words: "holds 2 images" }, { name: "mine" });
  });
  test("a signature beside the image is passed over, alone it is refused", async () => {
    const image = await makeImage();
    const empty = bytesOf({});
    const artifact = bytesOf({
      schemaVersion: 2,
      config: descriptorOf(empty, mediaTypes.empty),
      layers: [descriptorOf(empty, "application/x")],
    });
    const entry = descriptorOf(artifact, mediaTypes.ociManifest);
    const store = await temporaryStore();
    const files: Files = [...blobsOf(image), blob(artifact), blob(empty), layoutFile];
    const { images, warnings } = await load(store, await tarOf([...files, indexOf([named(image.descriptor, "a"), entry])]));
    expect({ count: images.length, warnings }).toEqual({ count: 1, warnings: [expect.stringContaining("is an artifact")] });
    await expectRefusal(await tarOf([...files, indexOf([entry])]), {
      code: "image-invalid",
      words: "is not a runnable image but an artifact",
    });
  });

  test("every kind of damage is refused, and the store stays as it was", async () => {
    const image = await makeImage();
    const files = await ociFiles(image);
    const layer = image.layers[1] as Buffer;
    const without = (content: Uint8Array): Files => files.filter(([name]) => name !== blob(content)[0]);
    const flipped = Buffer.from(layer);
    flipped[0] = (flipped[0] ?? 0) ^ 1;
    const whole = await tarOf(files);
    const manifestOf = (change: object): { readonly files: Files; readonly bytes: Buffer } => {
      const bytes = bytesOf({ ...(JSON.parse(image.manifest.toString()) as object), ...change });
      return { bytes, files: [...blobsOf(image), blob(bytes), layoutFile, indexOf([descriptorOf(bytes, mediaTypes.ociManifest)])] };
    };
    const wrongIds = await makeImage({ diffIds: [digestOf("x"), digestOf("y")] });
    const cases: readonly (readonly [Uint8Array, string, string])[] = [
      [await tarOf([...without(layer), [blob(layer)[0], flipped]]), "image-invalid", "has the wrong digest"],
      [await tarOf(without(layer)), "image-invalid", "is missing"],
      [await tarOf(without(image.config)), "image-invalid", "is missing"],
      [await tarOf(without(image.manifest)), "image-invalid", "is missing"],
      [await tarOf(files.filter(([name]) => name !== "index.json")), "image-invalid", "holds no image"],
      [await tarOf(files.filter(([name]) => name !== "oci-layout")), "image-invalid", "holds no image"],
      [await tarOf([...files, ["oci-layout", '{"imageLayoutVersion":"2.0.0"}']]), "image-invalid", "unknown version '2.0.0'"],
      [await tarOf([...files, ["index.json", "{"]]), "image-invalid", "is no JSON"],
      [await tarOf([...files, ["index.json", image.manifest]]), "image-invalid", "'index.json' is no index"],
      [await tarOf([...files, ["index.json", '{"schemaVersion":2,"manifests":[]}']]), "image-not-found", "holds no image"],
      [await tarOf([...files, ["index.json", " ".repeat(17_000_000)]]), "image-invalid", "is larger than"],
      [await tarOf([...files, ["index.json", { symlink: "/etc/passwd" }]]), "image-invalid", "holds no image"],
      [
        await tarOf([...files, indexOf([{ ...image.descriptor, size: image.descriptor.size + 1 }])]),
        "image-invalid",
        "its descriptor says",
      ],
      [
        await tarOf(manifestOf({ layers: [descriptorOf(layer, mediaTypes.layerTar)] }).files),
        "image-invalid",
        "has 1 layers but 2 diff_ids",
      ],
      [await tarOf(manifestOf({ manifests: [] }).files), "image-invalid", "both an index and a manifest"],
      [await tarOf(await ociFiles(wrongIds)), "image-invalid", "has the wrong diff_id"],
      [whole.subarray(0, whole.length - 3000), "image-invalid", ""],
      [gzipSync(whole).subarray(0, -20), "image-invalid", ""],
      [Buffer.from("no archive at all, but longer than a header of tar".repeat(20)), "image-invalid", ""],
      [Buffer.alloc(0), "image-invalid", "holds no image"],
      [await tarOf([["etc/passwd", "root"]]), "image-invalid", "holds no image"],
      [await tarOf([["repositories", "{}"]]), "image-invalid", "Docker before 1.10"],
    ];
    for (const [archive, code, words] of cases) await expectRefusal(archive, { code, words });
  }, 60_000);
  test("a media type of four million characters takes no room in the index of the store", async () => {
    const store = await temporaryStore();
    const image = await makeImage();
    const mediaType = `${mediaTypes.ociManifest}; x=${"x".repeat(4_000_000)}`;
    const manifest = bytesOf({ ...JSON.parse(image.manifest.toString("utf8")), mediaType });
    await load(store, await tarOf(await ociFiles({ ...image, manifest, descriptor: descriptorOf(manifest, mediaTypes.ociManifest) })));
    expect((await store.list()).map(({ descriptor }) => descriptor.mediaType)).toEqual([mediaTypes.ociManifest]);
    expect(readFileSync(store.paths.index).length).toBeLessThan(1000);
  });
  test("indexes that never end", async () => {
    let inner = await makeImage();
    const files: [string, Uint8Array][] = [];
    let descriptor = inner.descriptor;
    for (let depth = 0; depth < 8; depth++) {
      const bytes = bytesOf({ schemaVersion: 2, manifests: [descriptor] });
      files.push(blob(bytes));
      descriptor = descriptorOf(bytes, mediaTypes.ociIndex);
    }
    inner = { ...inner, descriptor };
    await expectRefusal(await tarOf([...blobsOf(inner), ...files, layoutFile, indexOf([descriptor])]), {
      code: "image-invalid",
      words: "nested too deep",
    });
  });
  test("bombs: too many bytes, entries, too much from too little", async () => {
    const zeros = gzipSync(await tarOf([["zeros", Buffer.alloc(20_000_000)]]));
    await expectRefusal(zeros, { code: "image-invalid", words: "more than 1000000 bytes" }, { limits: { maxBytes: 1_000_000 } });
    await expectRefusal(
      zeros,
      { code: "image-invalid", words: "more than 100 times" },
      { limits: { maxRatio: 100, ratioFloorBytes: 1000 } },
    );
    const many = await tarOf(Array.from({ length: 50 }, (_, n) => [`f${n}`, ""] as const));
    await expectRefusal(many, { code: "image-invalid", words: "more than 40 entries" }, { limits: { maxEntries: 40 } });
  });
});

describe("archives of docker save", () => {
  test.each([[false], [true]])("with layers compressed: %s", async (gzip) => {
    const store = await temporaryStore();
    const image = await makeImage({ gzip });
    const { images } = await load(store, await tarOf(dockerFiles(image, ["x:1", "registry.example/y:2"])));
    expect(images[0]?.names).toEqual(["docker.io/library/x:1", "registry.example/y:2"]);
    const stored = await store.readImage(images[0]?.descriptor as Descriptor, "x");
    expect(stored.manifest.layers.map(({ mediaType, digest }) => ({ mediaType, digest }))).toEqual(
      image.layers.map((layer) => ({ mediaType: gzip ? mediaTypes.layerTarGzip : mediaTypes.layerTar, digest: digestOf(layer) })),
    );
    expect(await store.verify()).toMatchObject({ images: 2, blobs: 4, problems: [] });
  });
  test("with links in place of layers, as old versions write them, and no tags", async () => {
    const store = await temporaryStore();
    const image = await makeImage({ texts: ["same", "same"] });
    const [layer] = image.layers as [Buffer];
    const list = [{ Config: "c.json", RepoTags: null, Layers: ["a/layer.tar", "b/layer.tar"] }];
    const files: Files = [
      ["b/layer.tar", { symlink: "../a/layer.tar" }],
      ["a/layer.tar", { link: "real.tar" }],
      ["real.tar", layer],
      ["c.json", image.config],
      ["manifest.json", JSON.stringify(list)],
    ];
    const { images } = await load(store, await tarOf(files));
    expect(images[0]?.names).toEqual([]);
    expect(await store.verify()).toMatchObject({ images: 1, blobs: 3, problems: [] });
  });
  test("that holds several images of the same layers", async () => {
    const store = await temporaryStore();
    const [one, two] = [await makeImage(), await makeImage({ texts: ["two", "one", "one"] })];
    const list = [one, two].map(({ config, layers }, at) => ({
      Config: `${hex(config)}.json`,
      RepoTags: [`x:${at}`],
      Layers: layers.map((layer) => `${hex(layer)}.tar`),
    }));
    const files: Files = [
      ...[...one.layers].map((layer): [string, Buffer] => [`${hex(layer)}.tar`, layer]),
      ...[one, two].map(({ config }): [string, Buffer] => [`${hex(config)}.json`, config]),
      ["manifest.json", JSON.stringify(list)],
    ];
    await load(store, await tarOf(files));
    expect(await store.verify()).toMatchObject({ images: 2, blobs: 6, problems: [] });
  });
  test("of both forms at once is read as the OCI layout that it is", async () => {
    const store = await temporaryStore();
    const image = await makeImage();
    await load(store, await tarOf([...(await ociFiles(image)), ["manifest.json", "nonsense"]]));
    expect((await store.list()).map(({ descriptor }) => descriptor.digest)).toEqual([image.descriptor.digest]);
  });
  test("damage", async () => {
    const image = await makeImage();
    const [layer] = image.layers as [Buffer];
    const config = `${hex(image.config)}.json`;
    const cases: readonly (readonly [Files, string])[] = [
      [dockerFiles(image, [], [["manifest.json", "{}"]]), "must be a list"],
      [dockerFiles(image, [], [["manifest.json", '[{"Config":1}]']]), "[0].Config: must be a string"],
      [dockerFiles(image, [], [["manifest.json", '[{"Layers":[]}]']]), "[0].Config: must be a string"],
      [
        dockerFiles(image, [], [["manifest.json", `[{"Config":"${config}","Layers":["../../../etc/passwd"]}]`]]),
        "has no file '../../../etc/passwd'",
      ],
      [dockerFiles(image, [], [["manifest.json", `[{"Config":"/etc/passwd","Layers":[]}]`]]), "has no file '/etc/passwd'"],
      [dockerFiles(image, [], [[config, `${image.config} `]]), "has the wrong digest"],
      [dockerFiles(image, [], [[`${hex(layer)}.tar`, "x".repeat(10)]]), "has the wrong diff_id"],
      [dockerFiles(image, [], [[`${hex(layer)}.tar`, Buffer.from("fd377a585a0000", "hex")]]), "compressed with xz"],
      [
        dockerFiles(
          image,
          [],
          [
            ["loop.tar", { symlink: "loop.tar" }],
            ["manifest.json", `[{"Config":"loop.tar","Layers":[]}]`],
          ],
        ),
        "has no file 'loop.tar'",
      ],
    ];
    for (const [files, words] of cases) await expectRefusal(await tarOf(files), { code: "image-invalid", words });
  });
});

describe("layouts in a folder", () => {
  async function folderOf(files: Files): Promise<string> {
    const folder = temporaryFolder();
    mkdirSync(join(folder, "blobs/sha256"), { recursive: true });
    for (const [name, content] of files) writeFileSync(join(folder, name), content as Uint8Array);
    return folder;
  }
  test("are copied, and stay", async () => {
    const store = await temporaryStore();
    const image = await makeImage({ gzip: true });
    const folder = await folderOf(await ociFiles(image));
    await loadImages({ store, input: folder });
    await loadImages({ store, input: folder });
    expect(await store.verify()).toMatchObject({ images: 1, blobs: 4, problems: [] });
    rmSync(join(folder, blob(image.config)[0]));
    await expect(loadImages({ store, input: folder })).rejects.toMatchObject({
      code: "image-invalid",
      message: expect.stringContaining("is missing"),
    });
  });
  test("whose blobs are links to files, as build systems make them", async () => {
    const store = await temporaryStore();
    const image = await makeImage();
    const [layer] = image.layers as [Buffer];
    const folder = await folderOf(await ociFiles(image));
    const path = join(folder, blob(layer)[0]);
    rmSync(path);
    writeFileSync(join(folder, "elsewhere"), layer);
    symlinkSync("../../elsewhere", path);
    await loadImages({ store, input: folder });
    expect((await store.verify()).problems).toEqual([]);
    for (const target of ["/dev/zero", "/etc/passwd", "."]) {
      rmSync(path);
      symlinkSync(target, path);
      const fresh = await temporaryStore();
      await expect(loadImages({ store: fresh, input: folder })).rejects.toMatchObject({
        code: expect.stringMatching(/^(image-invalid|file-unreadable)$/),
      });
      expect(contentOf(fresh)).toHaveLength(2);
    }
  });
  test("with a damaged layer change nothing", async () => {
    const store = await temporaryStore();
    const image = await makeImage();
    const layer = image.layers[1] as Buffer;
    const folder = await folderOf([...(await ociFiles(image)), [blob(layer)[0], Buffer.alloc(layer.length)]]);
    const before = contentOf(store);
    await expect(loadImages({ store, input: folder })).rejects.toMatchObject({
      code: "image-invalid",
      message: expect.stringContaining("wrong digest"),
    });
    expect(contentOf(store)).toEqual(before);
  });
  test("an input that is not there", async () => {
    await expect(loadImages({ store: await temporaryStore(), input: "/nonexistent" })).rejects.toMatchObject({ code: "file-unreadable" });
  });
});

test.each(["oci archive", "docker archive", "folder"])("what is damaged in the store is mended by loading it again: %s", async (kind) => {
  const store = await temporaryStore();
  const image = await makeImage();
  const folder = temporaryFolder();
  const files = await ociFiles(image);
  mkdirSync(join(folder, "blobs/sha256"), { recursive: true });
  for (const [name, content] of files) writeFileSync(join(folder, name), content as Uint8Array);
  const archive = await tarOf(kind === "docker archive" ? dockerFiles(image) : files);
  const loadAgain = () => (kind === "folder" ? loadImages({ store, input: folder }) : load(store, archive));
  await loadAgain();
  const { manifests } = JSON.parse(readFileSync(store.paths.index, "utf8")) as { readonly manifests: readonly Descriptor[] };
  const [descriptor] = manifests as [Descriptor];
  const { manifest } = await store.readImage(descriptor, "x");
  for (const damaged of [...manifest.layers, manifest.config, descriptor]) {
    writeFileSync(join(store.paths.images, "blobs/sha256", damaged.digest.slice(7)), Buffer.alloc(damaged.size));
    await loadAgain();
    expect((await store.verify()).problems).toEqual([]);
  }
});

describe("importing a root file system", () => {
  const save = (bytes: Uint8Array): string => {
    const path = join(temporaryFolder(), "root.tar");
    writeFileSync(path, bytes);
    return path;
  };
  test.each([
    ["plain", (tar: Buffer) => tar, mediaTypes.layerTar],
    ["gzip", (tar: Buffer) => gzipSync(tar), mediaTypes.layerTarGzip],
    ["zstd", (tar: Buffer) => execFileSync("zstd", ["-c"], { input: tar }), mediaTypes.layerTarZstd],
  ])("%s", async (_name, compress, mediaType) => {
    const store = await temporaryStore();
    const tar = await tarOf([["bin/sh", "x"]]);
    const { names, descriptor } = await importRootfs({ store, input: save(compress(tar)), name: "mine", config: { Cmd: ["/bin/sh"] } });
    expect(names).toEqual(["docker.io/library/mine:latest"]);
    const { manifest, config } = await store.readImage(descriptor, "x");
    expect(manifest.layers[0]?.mediaType).toBe(mediaType);
    expect(config).toMatchObject({ os: "linux", config: { Cmd: ["/bin/sh"] }, rootfs: { diff_ids: [digestOf(tar)] } });
    expect(await store.verify()).toMatchObject({ images: 1, blobs: 3, problems: [] });
  });
  test("damage, and archives of images", async () => {
    const tar = await tarOf([["bin/sh", "x".repeat(5000)]]);
    const image = await makeImage();
    const cases: readonly (readonly [Uint8Array, string])[] = [
      [tar.subarray(0, 3000), "cut off"],
      [gzipSync(tar).subarray(0, -9), ""],
      [Buffer.alloc(1024), "holds no files"],
      [Buffer.alloc(0), "holds no files"],
      [Buffer.from("not a tar archive".repeat(100)), ""],
      [await tarOf(await ociFiles(image)), "archive of images"],
      [await tarOf(dockerFiles(image)), "archive of images"],
    ];
    for (const [bytes, words] of cases) {
      const store = await temporaryStore();
      const before = contentOf(store);
      await expect(importRootfs({ store, input: save(bytes), name: null })).rejects.toMatchObject({
        code: "image-invalid",
        message: expect.stringContaining(words),
      });
      expect(contentOf(store)).toEqual(before);
    }
  });
});

describe("saving", () => {
  test.each(["oci-archive", "docker-archive"] as const)("%s comes back as the same image, byte for byte the same twice", async (format) => {
    const store = await temporaryStore();
    const image = await makeImage({ gzip: true });
    const other = await makeImage({ texts: ["one", "three"], gzip: true });
    const wanted = [];
    for (const [made, name] of [
      [image, "docker.io/library/x:1"],
      [other, "docker.io/library/y:1"],
    ] as const) {
      await load(store, await tarOf(await ociFiles(made, name)));
      wanted.push({ names: [name], image: await store.readImage(made.descriptor, "x") });
    }
    const [first, second] = ["a", "b"].map((name) => join(temporaryFolder(), name)) as [string, string];
    await saveImages({ store, images: wanted, format, output: first });
    await saveImages({ store, images: wanted, format, output: second });
    expect(readFileSync(first).equals(readFileSync(second))).toBe(true);
    const back = await temporaryStore();
    const { images } = await loadImages({ store: back, input: first });
    expect(images.map(({ names }) => names)).toEqual([["docker.io/library/x:1"], ["docker.io/library/y:1"]]);
    for (const [index, { image: saved }] of wanted.entries()) {
      const read = await back.readImage(images[index]?.descriptor as Descriptor, "x");
      expect(read.chainIds).toEqual(saved.chainIds);
      expect(read.manifest.layers).toEqual(saved.manifest.layers);
    }
    expect(await back.verify()).toMatchObject({ images: 2, blobs: 7, problems: [] });
  });
  test("a damaged blob leaves no file, and the old one stays", async () => {
    const store = await temporaryStore();
    const image = await makeImage();
    await load(store, await tarOf(await ociFiles(image)));
    const wanted = [{ names: ["docker.io/library/x:1"], image: await store.readImage(image.descriptor, "x") }];
    writeFileSync(join(store.paths.images, blob(image.layers[0] as Buffer)[0]), Buffer.alloc(image.layers[0]?.length ?? 0));
    const folder = temporaryFolder();
    writeFileSync(join(folder, "out.tar"), "old");
    await expect(saveImages({ store, images: wanted, format: "oci-archive", output: join(folder, "out.tar") })).rejects.toMatchObject({
      code: "image-invalid",
    });
    expect(readFileSync(join(folder, "out.tar"), "utf8")).toBe("old");
    expect(readdirSync(folder)).toEqual(["out.tar"]);
    await expect(saveImages({ store, images: wanted, format: "oci-archive", output: join(folder, "no/out.tar") })).rejects.toMatchObject({
      code: "file-unwritable",
    });
    await expect(saveImages({ store, images: wanted, format: "oci-archive", output: "/dev/full" })).rejects.toMatchObject({
      code: expect.stringMatching(/file-unwritable|image-invalid/),
    });
  });
});
