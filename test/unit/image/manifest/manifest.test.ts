import { describe, expect, test } from "vitest";
import { digestOf } from "../../../../cli/image/digest.ts";
import { checkRunnable, manifestLimits, missingBlob, parseDocument, parseManifest } from "../../../../cli/image/manifest.ts";
import { checkLayers, parseConfig } from "../../../../cli/image/manifest-config.ts";
import { mediaTypes } from "../../../../cli/image/media-types.ts";
import { caught } from "../../cli/caught.ts";

const what = "reading the manifest of 'x'";
const bytes = (value: unknown) => Buffer.from(typeof value === "string" ? value : JSON.stringify(value));
const digest = digestOf("");
const descriptor = (mediaType: string) => ({ mediaType, digest, size: 0 });
const manifest = { schemaVersion: 2, config: descriptor(mediaTypes.ociConfig), layers: [descriptor(mediaTypes.layerTarGzip)] };
const index = { schemaVersion: 2, manifests: [descriptor(mediaTypes.ociManifest)] };
const refused = (value: unknown, mediaType: string | null = null) => caught(() => parseDocument(bytes(value), { what, mediaType }));
const reason = (value: unknown, mediaType: string | null = null) => {
  const error = refused(value, mediaType);
  return error === undefined ? null : `${error.code} ${error.message.replace(`${what}: `, "")}`;
};

describe("what a document is", () => {
  test.each([
    ["text/plain", mediaTypes.ociIndex],
    ["application/json; charset=utf-8", mediaTypes.ociIndex],
    [`${mediaTypes.ociIndex}; charset=utf-8`, mediaTypes.ociIndex],
    [mediaTypes.dockerList.toUpperCase(), mediaTypes.dockerList],
    [null, mediaTypes.ociIndex],
  ])("an index without a field, sent as %s", (header, mediaType) => {
    expect(parseDocument(bytes(index), { what, mediaType: header })).toMatchObject({ kind: "index", mediaType });
  });
  test("a manifest by its shape", () => {
    expect(parseDocument(bytes(manifest), { what, mediaType: "application/octet-stream" })).toEqual({
      kind: "manifest",
      mediaType: mediaTypes.ociManifest,
      manifest: { ...manifest, mediaType: mediaTypes.ociManifest },
    });
  });
  test("the field wins over an unspecific header, and keeps Docker's word", () => {
    const document = parseDocument(bytes({ ...manifest, mediaType: mediaTypes.dockerManifest }), { what, mediaType: "text/plain" });
    expect(document.mediaType).toBe(mediaTypes.dockerManifest);
  });
  test.each([
    ["index and manifest at once", { ...index, ...manifest }, null, "image-invalid is both an index and a manifest"],
    ["manifests and config", { ...index, config: manifest.config }, null, "image-invalid is both an index and a manifest"],
    ["an empty object", { schemaVersion: 2 }, null, "image-invalid is neither an index nor a manifest"],
    ["another version", { ...index, schemaVersion: 3 }, null, "image-invalid schemaVersion: must be 2"],
    ["no version", { manifests: [] }, null, "image-invalid schemaVersion: must be 2"],
    [
      "a header that contradicts the shape",
      index,
      mediaTypes.ociManifest,
      "image-invalid is an index although its Content-Type or descriptor says manifest",
    ],
    [
      "a field that contradicts the shape",
      { ...manifest, mediaType: mediaTypes.dockerList },
      null,
      "image-invalid is a manifest although its mediaType says index",
    ],
    [
      "a foreign field",
      { ...manifest, mediaType: "application/x" },
      null,
      "image-invalid mediaType: 'application/x' is no index and no manifest of an image",
    ],
    ["a list", [], null, "image-invalid the document: must be an object"],
    ["null", "null", null, "image-invalid the document: must be an object"],
    ["HTML", "<html>", null, /^image-invalid is no JSON: /],
    ["half a document", '{"schemaVersion":2,', null, /^image-invalid is no JSON: /],
  ])("%s is refused", (_name, value, header, words) => {
    expect(reason(value, header)).toEqual(words instanceof RegExp ? expect.stringMatching(words) : words);
  });
  test("invalid UTF-8 is named", () => {
    expect(caught(() => parseDocument(Buffer.from([0x22, 0xff, 0x22]), { what }))?.message).toContain("is not UTF-8");
  });
  test.each([
    ["by its version", { schemaVersion: 1, name: "x", fsLayers: [{ blobSum: digest }], history: [], signatures: [{}] }, null],
    ["by its fields", { fsLayers: [] }, null],
    ["by its header", "not even JSON", "application/vnd.docker.distribution.manifest.v1+prettyjws"],
  ])("schema 1 %s has its own sentence", (_name, value, header) => {
    const error = refused(value, header);
    expect(error).toMatchObject({ code: "not-supported", hint: expect.stringContaining("skopeo copy") });
    expect(error?.message).toContain("schema 1");
  });
});

describe("bombs", () => {
  test("200 MB are refused before they are parsed", () => {
    expect(caught(() => parseDocument(Buffer.alloc(200_000_000, " "), { what }))?.message).toContain("is larger than 4194304 bytes");
  });
  test("100 000 levels, in a value and in a string that only looks like it", () => {
    const deep = `${'{"a":['.repeat(50_000)}${"]}".repeat(50_000)}`;
    expect(reason(`{"schemaVersion":2,"manifests":[],"x":${deep}}`)).toBe("image-invalid is nested deeper than 64 levels");
    const text = JSON.stringify(`\\"${"[{".repeat(1000)}`);
    expect(reason(`{"schemaVersion":2,"manifests":[],"x":${text}}`)).toBeNull();
  });
  test("too many layers and platforms", () => {
    const layers = Array(manifestLimits.maxLayers + 1).fill(manifest.layers[0]);
    expect(reason({ ...manifest, layers })).toBe("image-invalid layers: has more than 1024 entries");
    expect(reason({ ...index, manifests: Array(manifestLimits.maxManifests + 1).fill(index.manifests[0]) })).toBe(
      "image-invalid manifests: has more than 10000 entries",
    );
  });
});

describe("descriptors", () => {
  const withLayer = (change: object) => ({ ...manifest, layers: [{ ...manifest.layers[0], ...change }] });
  test.each([
    ["a path as digest", { digest: "sha256:../../x" }, "layers[0].digest: is no sha256 or sha512 digest"],
    ["an upper-case digest", { digest: digest.toUpperCase() }, "layers[0].digest: is no sha256 or sha512 digest"],
    ["a digest that is too short", { digest: digest.slice(0, -1) }, "layers[0].digest: is no sha256 or sha512 digest"],
    ["sha512 of the length of sha256", { digest: digest.replace("256", "512") }, "layers[0].digest: is no sha256 or sha512 digest"],
    ["a digest with a line feed", { digest: `${digest}\n` }, "layers[0].digest: is no sha256 or sha512 digest"],
    ["no digest", { digest: undefined }, "layers[0].digest: is no sha256 or sha512 digest"],
    ["a negative size", { size: -1 }, "layers[0].size: must be a count of bytes"],
    ["a fraction", { size: 0.5 }, "layers[0].size: must be a count of bytes"],
    ["a size beyond all numbers", { size: 2 ** 53 }, "layers[0].size: must be a count of bytes"],
    ["a size as text", { size: "10" }, "layers[0].size: must be a count of bytes"],
    ["urls that are no list", { urls: "https://x" }, "layers[0].urls: must be a list of strings"],
    ["a type with NUL", { mediaType: "a\0b" }, "layers[0].mediaType: holds a NUL character"],
  ])("%s is refused", (_name, change, words) => expect(reason(withLayer(change))).toBe(`image-invalid ${words}`));
  test("sha512, and only known fields", () => {
    const long = digestOf("x", "sha512");
    const given = { ...descriptor(mediaTypes.layerTar), digest: long, data: "QQ==", junk: 1, annotations: { a: "b" }, platform: null };
    const { manifest: read } = parseDocument(bytes(withLayer(given)), { what }) as { readonly manifest: { readonly layers: unknown } };
    expect(read.layers).toEqual([{ mediaType: mediaTypes.layerTar, digest: long, size: 0, annotations: { a: "b" } }]);
  });
  test("a platform keeps its variant; null and absent are the same", () => {
    const platform = { architecture: "arm", os: "linux", variant: "v7", "os.version": null, "os.features": ["x"] };
    const document = parseDocument(bytes({ ...index, manifests: [{ ...index.manifests[0], platform }] }), { what });
    expect(document).toMatchObject({ index: { manifests: [{ platform: { architecture: "arm", os: "linux", variant: "v7" } }] } });
  });
});

describe("what can be run", () => {
  const runnable = (value: unknown) => caught(() => checkRunnable(parseManifest(bytes(value), { what }), what));
  test("layers of both families", () => {
    const types = ["oci.image.layer.v1.tar", "oci.image.layer.v1.tar+zstd", "docker.image.rootfs.diff.tar.gzip"];
    expect(runnable({ ...manifest, layers: types.map((type) => descriptor(`application/vnd.${type}`)) })).toBeUndefined();
  });
  test("an artifact", () => {
    expect(runnable({ ...manifest, config: descriptor(mediaTypes.empty) })?.message).toBe(
      `${what}: is not a runnable image but an artifact (config of type '${mediaTypes.empty}')`,
    );
  });
  test("an attestation", () => {
    expect(runnable({ ...manifest, layers: [descriptor("application/vnd.in-toto+json")] })?.message).toContain(
      "layers[0]: 'application/vnd.in-toto+json' is no file system layer",
    );
  });
  test("an index where a manifest is needed", () => {
    expect(caught(() => parseManifest(bytes(index), { what }))).toMatchObject({ code: "image-invalid" });
  });
  test("a foreign layer that is not there has its own sentence", () => {
    const foreign = { ...descriptor("application/vnd.docker.image.rootfs.foreign.diff.tar.gzip"), urls: ["https://x"] };
    expect(missingBlob(foreign, what).message).toContain("foreign layer");
    expect(missingBlob(descriptor(mediaTypes.layerTar), what).message).toContain("is missing");
  });
});

describe("configurations", () => {
  const rootfs = { type: "layers", diff_ids: [digest] };
  const given = { architecture: "amd64", os: "linux", rootfs };
  const configReason = (value: unknown) => caught(() => parseConfig(bytes(value), "reading"))?.message ?? null;
  test("null is absent, and only known fields are kept", () => {
    const config = { Env: ["A=1"], Cmd: null, Entrypoint: null, Volumes: null, Labels: { a: "b" }, OnBuild: ["x"], User: "" };
    expect(parseConfig(bytes({ ...given, variant: "", config, history: [{}] }), "reading")).toEqual({
      ...given,
      config: { Env: ["A=1"], Labels: { a: "b" }, User: "" },
    });
  });
  test.each([
    ["Cmd as text", { config: { Cmd: "sh" } }, "config.Cmd: must be a list of strings"],
    ["a number in Env", { config: { Env: [1] } }, "config.Env[0]: must be a string"],
    ["null in Env", { config: { Env: [null] } }, "config.Env[0]: must be a string"],
    ["NUL in Entrypoint", { config: { Entrypoint: ["a\0"] } }, "config.Entrypoint[0]: holds a NUL character"],
    ["User as number", { config: { User: 0 } }, "config.User: must be a string"],
    ["ports as a list", { config: { ExposedPorts: ["80"] } }, "config.ExposedPorts: must be an object"],
    ["no rootfs", { rootfs: undefined }, "rootfs: must be an object"],
    ["another kind of rootfs", { rootfs: { type: "x" } }, 'rootfs.type: must be "layers"'],
    ["a path as diff_id", { rootfs: { type: "layers", diff_ids: ["sha256:/etc"] } }, "rootfs.diff_ids[0]: is no sha256 or sha512 digest"],
  ])("%s is refused", (_name, change, words) => expect(configReason({ ...given, ...change })).toBe(`reading: ${words}`));
  test("a name that reaches for the prototype is only a name", () => {
    const text = `{"architecture":"a","os":"b","rootfs":{"type":"layers"},"config":{"Labels":{"__proto__":"x"}}}`;
    const { config } = parseConfig(bytes(text), "reading");
    expect(Object.entries(config?.Labels ?? {})).toEqual([["__proto__", "x"]]);
    expect(({} as { readonly x?: unknown }).x).toBeUndefined();
  });
  test("layers and diff_ids must be equally many", () => {
    const parsed = parseConfig(bytes({ ...given, rootfs: { type: "layers", diff_ids: [digest, digest] } }), "reading");
    const read = parseManifest(bytes(manifest), { what });
    expect(caught(() => checkLayers(read, parsed, what))?.message).toBe(`${what}: has 1 layers but 2 diff_ids in its configuration`);
  });
});
