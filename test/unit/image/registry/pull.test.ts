import { randomBytes } from "node:crypto";
import { existsSync, readdirSync, writeFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { blobPath } from "../../../../cli/image/layout.ts";
import { scriptedRegistry, testImage, testIndex } from "../../../helpers/registry.ts";
import { tryPull } from "./pulling.ts";

const [one, two, three] = [randomBytes(300_000), randomBytes(200_000), Buffer.from("three")];
const image = testImage([one, two, three]);
const arm = testImage(["arm"], { platform: { os: "linux", architecture: "arm", variant: "v7" } });
const here = { os: "linux", architecture: process.arch === "arm64" ? "arm64" : "amd64" };

describe("a pull", () => {
  test("brings everything, verified, and names it last", async () => {
    const registry = await scriptedRegistry({ latest: image });
    const { result, error, store, events } = await tryPull(`${registry.host}/a/b`);
    expect(error).toBeNull();
    expect(result).toEqual({ name: `${registry.host}/a/b:latest`, manifest: { ...image.descriptor, platform: here } });
    expect(await store.list()).toEqual([{ name: `${registry.host}/a/b:latest`, descriptor: { ...image.descriptor, platform: here } }]);
    const stored = await store.readImage(image.descriptor, "test");
    expect(stored.manifest.layers).toEqual(image.layers);
    for (const digest of image.blobs.keys()) expect(await store.hasBlob(digest)).toBe(true);
    expect((await store.verify()).problems).toEqual([]);
    expect(events.filter(({ kind }) => kind === "finished")).toHaveLength(3);
    expect(readdirSync(store.paths.partial)).toEqual([]);
    // No question before it is needed: no ping, no HEAD, each blob once.
    expect(registry.asked().length).toBe(1 + 1 + 3);
    for (const { headers } of registry.seen)
      expect(headers).toMatchObject({ "user-agent": expect.stringMatching(/^belljar\//), "accept-encoding": "identity" });
  });

  test("says all types it reads", async () => {
    const registry = await scriptedRegistry({ latest: image });
    await tryPull(`${registry.host}/x`);
    expect(registry.seen[0]?.headers.accept?.split(", ").sort()).toEqual([
      "application/vnd.docker.distribution.manifest.list.v2+json",
      "application/vnd.docker.distribution.manifest.v2+json",
      "application/vnd.oci.image.index.v1+json",
      "application/vnd.oci.image.manifest.v1+json",
    ]);
  });

  test("of what is there asks once, by HEAD", async () => {
    const registry = await scriptedRegistry({ latest: image });
    const { store } = await tryPull(`${registry.host}/x`);
    registry.seen.length = 0;
    const { result, events } = await tryPull(`${registry.host}/x`, { store });
    expect(result?.manifest.digest).toBe(image.descriptor.digest);
    expect(registry.asked()).toEqual(["HEAD manifests/latest"]);
    expect(events.filter((event) => event.kind === "finished").every((event) => event.how === "present")).toBe(true);
  });

  test("by digest of what is there asks nobody", async () => {
    const registry = await scriptedRegistry({ latest: image });
    const text = `${registry.host}/x@${image.descriptor.digest}`;
    const { store } = await tryPull(text);
    registry.seen.length = 0;
    expect((await tryPull(text, { store })).result?.manifest.digest).toBe(image.descriptor.digest);
    expect(registry.seen).toEqual([]);
  });

  test("mends a manifest and a configuration that are damaged in the store, and layers that somebody has found damaged", async () => {
    const registry = await scriptedRegistry({ latest: image });
    const { store } = await tryPull(`${registry.host}/x`);
    for (const damaged of [image.descriptor, image.config, ...image.layers]) {
      writeFileSync(blobPath(store.paths, damaged.digest), Buffer.alloc(damaged.size));
      if (image.layers.includes(damaged)) expect((await store.verify()).problems).not.toEqual([]);
      expect((await tryPull(`${registry.host}/x`, { store })).error).toBeNull();
      expect((await store.verify()).problems).toEqual([]);
    }
  });

  test("follows a tag that has moved, and fetches what is new only", async () => {
    const images = { latest: image };
    const registry = await scriptedRegistry(images);
    const { store } = await tryPull(`${registry.host}/x`);
    registry.seen.length = 0;
    const next = testImage([one, two, "new"]);
    images.latest = next;
    const { result } = await tryPull(`${registry.host}/x`, { store });
    expect(result?.manifest.digest).toBe(next.descriptor.digest);
    const blobs = [next.config.digest, next.layers[2]?.digest].map((digest) => `GET blobs/${digest}`);
    expect(registry.asked()).toEqual(["HEAD manifests/latest", "GET manifests/latest", ...blobs]);
    expect((await store.list()).map(({ descriptor }) => descriptor.digest)).toEqual([next.descriptor.digest]);
  });

  test("of one layer that an image has twice fetches it once", async () => {
    const registry = await scriptedRegistry({ latest: testImage(["same", "same", "same"]) });
    expect((await tryPull(`${registry.host}/x`)).error).toBeNull();
    expect(registry.asked().length).toBe(3);
  });

  test("of an image without layers is fine", async () => {
    const registry = await scriptedRegistry({ latest: testImage([]) });
    expect((await tryPull(`${registry.host}/x`)).error).toBeNull();
  });

  test("keeps an empty blob", async () => {
    const registry = await scriptedRegistry({ latest: testImage([""]) });
    const { error, store } = await tryPull(`${registry.host}/x`);
    expect(error).toBeNull();
    expect((await store.verify()).problems).toEqual([]);
  });
});

describe("an index", () => {
  test("gives the image for the platform, and only that is fetched", async () => {
    const registry = await scriptedRegistry({
      latest: testIndex([
        [arm, { os: "linux", architecture: "arm", variant: "v7" }],
        [image, here],
      ]),
    });
    const { result, store } = await tryPull(`${registry.host}/x`);
    expect(result?.manifest.digest).toBe(image.descriptor.digest);
    expect(await store.hasBlob(arm.descriptor)).toBe(false);
    const other = await tryPull(`${registry.host}/x`, { platform: { os: "linux", architecture: "arm", variant: "v7" } });
    expect(other.result?.manifest).toEqual({ ...arm.descriptor, platform: { os: "linux", architecture: "arm", variant: "v7" } });
  });

  test("without the platform names what there is", async () => {
    const registry = await scriptedRegistry({ latest: testIndex([[arm, { os: "linux", architecture: "arm", variant: "v7" }]]) });
    const { error, store } = await tryPull(`${registry.host}/x`, { platform: { os: "linux", architecture: "s390x" } });
    expect(error).toMatchObject({
      code: "image-not-found",
      message: `pulling '${registry.host}/x:latest': there is none for linux/s390x, only for linux/arm/v7`,
    });
    expect(await store.list()).toEqual([]);
  });

  test("in an index is followed; too deep is refused", async () => {
    const nested = testIndex([[testIndex([[image, here]]), null]]);
    const registry = await scriptedRegistry({ latest: nested, deep: [...Array(5)].reduce((inner) => testIndex([[inner, null]]), nested) });
    expect((await tryPull(`${registry.host}/x`)).result?.manifest.digest).toBe(image.descriptor.digest);
    expect((await tryPull(`${registry.host}/x:deep`)).error).toMatchObject({
      code: "image-invalid",
      message: expect.stringContaining("nested too deep"),
    });
  });

  test("whose entries have no platform is searched by configuration", async () => {
    const registry = await scriptedRegistry({
      latest: testIndex([
        [arm, null],
        [image, null],
      ]),
      none: testIndex([[arm, null]]),
    });
    expect((await tryPull(`${registry.host}/x`)).result?.manifest.digest).toBe(image.descriptor.digest);
    expect((await tryPull(`${registry.host}/x:none`)).error?.code).toBe("image-not-found");
  });

  test("that lies about a platform is refused", async () => {
    const registry = await scriptedRegistry({ latest: testIndex([[arm, here]]) });
    expect((await tryPull(`${registry.host}/x`)).error).toMatchObject({
      code: "image-invalid",
      message: expect.stringContaining("where the image is for linux/arm/v7"),
    });
  });

  test("by its own digest gives the image too, and asks nobody for what is there", async () => {
    const index = testIndex([[image, here]]);
    const registry = await scriptedRegistry({ latest: index });
    const text = `${registry.host}/x:latest@${index.descriptor.digest}`;
    const { result, store } = await tryPull(text);
    expect(result).toEqual({ name: text, manifest: { ...image.descriptor, platform: here } });
    registry.seen.length = 0;
    await tryPull(text, { store });
    expect(registry.asked()).toEqual([`GET manifests/${index.descriptor.digest}`]);
  });
});

test("an image for another machine is refused, with the way to get it nevertheless", async () => {
  const registry = await scriptedRegistry({ latest: arm });
  const platform = { os: "linux", architecture: "amd64" };
  expect((await tryPull(`${registry.host}/x`, { platform })).error).toMatchObject({
    code: "image-not-found",
    message: `pulling '${registry.host}/x:latest': is for linux/arm/v7 only, not for linux/amd64`,
    hint: expect.stringContaining("--platform linux/arm/v7"),
  });
});

test("a tag that is not there; the nearest one that is", async () => {
  const registry = await scriptedRegistry({ "1.2.3": image }, (request, response, next) => {
    if (request.path.startsWith("/v2/x/tags/list")) response.end('{"name":"x","tags":["1.2.3","2.0","bad tag\\u001b"]}');
    else next();
  });
  const { error, store } = await tryPull(`${registry.host}/x:1.2.4`);
  expect(error).toMatchObject({
    code: "image-not-found",
    message: `pulling '${registry.host}/x:1.2.4': ${registry.host}: there is no such image`,
    hint: `there is ${registry.host}/x:1.2.3`,
  });
  expect((await tryPull(`${registry.host}/y:7`)).error).toMatchObject({ code: "image-not-found", hint: null });
  expect(await store.list()).toEqual([]);
});

describe("mirrors", () => {
  test("are asked first, under their prefix, and the registry when they fail", async () => {
    const registry = await scriptedRegistry({ latest: image });
    const empty = await scriptedRegistry({});
    const lying = await scriptedRegistry({ latest: image }, (request, response, next) => {
      if (request.path.includes("/blobs/") && request.path.includes(image.layers[1]?.digest ?? "")) response.end("x".repeat(two.length));
      else next();
    });
    const mirrors = [`${empty.host}/hub`, lying.host];
    const { result, error, warnings, store } = await tryPull(`${registry.host}/a/b`, {
      config: { registries: { [registry.host]: { mirrors } } },
    });
    expect(error).toBeNull();
    expect(result?.name).toBe(`${registry.host}/a/b:latest`);
    expect(empty.seen[0]?.path).toBe("/v2/hub/a/b/manifests/latest");
    expect(warnings).toHaveLength(2);
    expect(warnings[0]).toContain(`${empty.host}: there is no such image; asking ${lying.host} instead`);
    expect(warnings[1]).toContain("has the wrong digest");
    // What the mirror gave rightly is not fetched again.
    expect(registry.asked()).not.toContain(`GET blobs/${image.config.digest}`);
    expect((await store.verify()).problems).toEqual([]);
  });

  test("that serve everything leave the registry in peace", async () => {
    const mirror = await scriptedRegistry({ latest: image });
    const { error } = await tryPull("registry.invalid/a/b", { config: { registries: { "registry.invalid": { mirrors: [mirror.host] } } } });
    expect(error).toBeNull();
  });
});

test("nothing that a manifest names becomes a path before it is a digest", async () => {
  for (const digest of ["sha256:../../x", `sha256:${"A".repeat(64)}`, "", "sha256:", `md5:${"0".repeat(32)}`]) {
    const bad = testImage(["x"], { layer: { digest: digest as never } });
    const registry = await scriptedRegistry({ latest: bad });
    const { error, store } = await tryPull(`${registry.host}/x`);
    expect(error).toMatchObject({
      code: "image-invalid",
      message: expect.stringContaining("layers[0].digest: is no sha256 or sha512 digest"),
    });
    expect(registry.asked()).toEqual(["GET manifests/latest"]);
    expect(existsSync(blobPath(store.paths, bad.descriptor.digest))).toBe(false);
  }
});
