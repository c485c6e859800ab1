import { randomBytes } from "node:crypto";
import { chmodSync, existsSync, mkdirSync, readdirSync, readFileSync, statSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { digestOf } from "../../../../cli/image/digest.ts";
import { blobPath } from "../../../../cli/image/layout.ts";
import type { Digest } from "../../../../cli/image/oci-types.ts";
import { openStore } from "../../../../cli/image/store.ts";
import { bytesOf, descriptorOf, pour, put, readAll, temporaryFolder, temporaryStore } from "./fixtures.ts";

const content = randomBytes(3_000_000);
const descriptor = descriptorOf(content);

describe("a new store", () => {
  test("is an empty OCI image layout that only its owner can enter", async () => {
    const { paths } = await temporaryStore();
    expect(JSON.parse(readFileSync(join(paths.images, "oci-layout"), "utf8"))).toEqual({ imageLayoutVersion: "1.0.0" });
    expect(JSON.parse(readFileSync(paths.index, "utf8"))).toMatchObject({ schemaVersion: 2, manifests: [] });
    expect(statSync(paths.root).mode & 0o777).toBe(0o700);
    expect(readdirSync(paths.root).filter((name) => name.endsWith(".new"))).toEqual([]);
  });
  test("may be opened by many at once, and again", async () => {
    const root = join(temporaryFolder(), "deep/er");
    await Promise.all(Array.from({ length: 20 }, () => temporaryStore(root)));
    expect(await (await temporaryStore(root)).list()).toEqual([]);
  });
  test("is refused where others can write, or where it is no folder", async () => {
    const folder = temporaryFolder();
    mkdirSync(join(folder, "open"));
    chmodSync(join(folder, "open"), 0o777);
    await expect(openStore(join(folder, "open"))).rejects.toMatchObject({
      code: "store-failed",
      hint: expect.stringContaining("chmod go-w"),
    });
    symlinkSync("/tmp", join(folder, "link"));
    await expect(openStore(join(folder, "link"))).rejects.toMatchObject({ code: "store-failed" });
    writeFileSync(join(folder, "file"), "");
    await expect(openStore(join(folder, "file"))).rejects.toMatchObject({ code: "store-failed" });
  });
});

describe("blobs", () => {
  test("are there after commit, whole, and not before", async () => {
    const store = await temporaryStore();
    const writer = await store.blobWriter(descriptor);
    expect(writer.offset).toBe(0);
    await pour(content, writer.stream);
    expect(await store.hasBlob(descriptor)).toBe(false);
    await writer.commit();
    expect(await store.hasBlob(descriptor)).toBe(true);
    expect(await store.hasBlob(descriptor.digest)).toBe(true);
    expect((await readAll(await store.readBlob(descriptor))).equals(content)).toBe(true);
  });
  test("of sha512", async () => {
    const store = await temporaryStore();
    const long = { ...descriptor, digest: digestOf(content, "sha512") };
    await store.putBlob(long, content);
    expect((await readAll(await store.readBlob(long))).equals(content)).toBe(true);
  });
  test("of no bytes", async () => {
    const store = await temporaryStore();
    const empty = await put(store, Buffer.alloc(0));
    expect(await readAll(await store.readBlob(empty))).toHaveLength(0);
  });
  test.each([
    ["another digest", Buffer.concat([content.subarray(1), Buffer.from("x")]), "has the wrong digest"],
    ["one byte too many", Buffer.concat([content, Buffer.from("x")]), "has more than the 3000000 bytes"],
    ["one byte too few", content.subarray(1), "ends after 2999999 of the 3000000 bytes"],
  ])("with %s leave nothing", async (_name, bytes, words) => {
    const store = await temporaryStore();
    const writer = await store.blobWriter(descriptor);
    const attempt = async () => {
      await pour(bytes, writer.stream).catch(() => undefined);
      await writer.commit();
    };
    await expect(attempt()).rejects.toMatchObject({ code: "image-invalid", message: expect.stringContaining(words) });
    expect(await store.hasBlob(descriptor.digest)).toBe(false);
    expect(readdirSync(store.paths.partial)).toEqual([]);
    expect((await store.blobWriter(descriptor)).offset).toBe(0);
  });
  test("broken off go on where they stopped, in another process's store", async () => {
    const store = await temporaryStore();
    const first = await store.blobWriter(descriptor);
    await pour(content.subarray(0, 1_000_001), first.stream);
    await first.abort();
    const other = await temporaryStore(store.paths.root);
    const second = await other.blobWriter(descriptor);
    expect(second.offset).toBe(1_000_001);
    await pour(content.subarray(second.offset), second.stream);
    await second.commit();
    expect((await readAll(await other.readBlob(descriptor))).equals(content)).toBe(true);
    expect(readdirSync(store.paths.partial)).toEqual([]);
  });
  test("broken off without an abort are kept by close", async () => {
    const store = await temporaryStore();
    const { stream } = await store.blobWriter(descriptor);
    await pour(content.subarray(0, 7), stream);
    await store.close();
    expect((await store.blobWriter(descriptor)).offset).toBe(7);
  });
  test("a kept part that is wrong is found out and forgotten", async () => {
    const store = await temporaryStore();
    writeFileSync(join(store.paths.partial, descriptor.digest.replace(":", "-")), Buffer.alloc(1000, "z"));
    const writer = await store.blobWriter(descriptor);
    expect(writer.offset).toBe(1000);
    await pour(content.subarray(1000), writer.stream);
    await expect(writer.commit()).rejects.toMatchObject({ code: "image-invalid", message: expect.stringContaining("wrong digest") });
    expect((await store.blobWriter(descriptor)).offset).toBe(0);
  });
  test("a kept part that is too long is not continued; one that is whole needs only a commit", async () => {
    const store = await temporaryStore();
    const kept = join(store.paths.partial, descriptor.digest.replace(":", "-"));
    writeFileSync(kept, Buffer.alloc(3_000_001));
    const fresh = await store.blobWriter(descriptor);
    expect(fresh.offset).toBe(0);
    await fresh.abort();
    writeFileSync(kept, content);
    const whole = await store.blobWriter(descriptor);
    expect(whole.offset).toBe(descriptor.size);
    await whole.commit();
    expect(await store.hasBlob(descriptor)).toBe(true);
  });
  test("two writers of one blob do not meet", async () => {
    const store = await temporaryStore();
    const other = await temporaryStore(store.paths.root);
    const [first, second] = await Promise.all([store.blobWriter(descriptor), other.blobWriter(descriptor)]);
    await Promise.all([pour(content, first.stream), pour(content, second.stream)]);
    await Promise.all([first.commit(), second.commit()]);
    expect((await readAll(await store.readBlob(descriptor))).equals(content)).toBe(true);
  });
  test("that are there need no bytes", async () => {
    const store = await temporaryStore();
    await store.putBlob(descriptor, content);
    const writer = await store.blobWriter(descriptor);
    expect(writer.offset).toBe(descriptor.size);
    await writer.commit();
    await writer.abort();
    expect(await store.hasBlob(descriptor)).toBe(true);
  });
});

describe("reading", () => {
  test("a missing blob", async () => {
    const store = await temporaryStore();
    await expect(store.readBlob(descriptor)).rejects.toMatchObject({
      code: "image-invalid",
      message: expect.stringContaining("is missing"),
    });
  });
  test("a blob that was changed on the disk", async () => {
    const store = await temporaryStore();
    await store.putBlob(descriptor, content);
    writeFileSync(blobPath(store.paths, descriptor.digest), Buffer.alloc(content.length));
    await expect(readAll(await store.readBlob(descriptor))).rejects.toMatchObject({
      code: "image-invalid",
      message: expect.stringContaining("wrong digest"),
      hint: "pull or load the image again",
    });
    expect(await store.hasBlob(descriptor)).toBe(false);
    await store.putBlob(descriptor, content);
    expect((await readAll(await store.readBlob(descriptor))).equals(content)).toBe(true);
  });
  test("a good blob stays whatever size an image claims of it", async () => {
    const store = await temporaryStore();
    await store.putBlob(descriptor, content);
    for (const size of [0, content.length - 1, content.length + 1])
      await expect(store.readBlob({ ...descriptor, size }).then(readAll)).rejects.toMatchObject({ code: "image-invalid" });
    expect((await readAll(await store.readBlob(descriptor))).equals(content)).toBe(true);
  });
  test("a blob that was cut on the disk counts as missing, and is replaced", async () => {
    const store = await temporaryStore();
    await store.putBlob(descriptor, content);
    writeFileSync(blobPath(store.paths, descriptor.digest), "x");
    expect(await store.hasBlob(descriptor)).toBe(false);
    await store.putBlob(descriptor, content);
    expect((await readAll(await store.readBlob(descriptor))).equals(content)).toBe(true);
  });
  test("a link in the place of a blob is not followed", async () => {
    const store = await temporaryStore();
    symlinkSync("/etc/passwd", blobPath(store.paths, descriptor.digest));
    expect(await store.hasBlob(descriptor.digest)).toBe(false);
    await expect(store.readBlob(descriptor)).rejects.toMatchObject({ code: "store-failed" });
  });
  test("JSON within its limits", async () => {
    const store = await temporaryStore();
    const json = await put(store, bytesOf({ a: [1] }));
    expect(await store.readJson(json)).toEqual({ a: [1] });
    await expect(store.readJson(json, 3)).rejects.toMatchObject({
      code: "image-invalid",
      message: expect.stringContaining("is larger than 3 bytes"),
    });
    await expect(store.readJson({ ...json, size: 3 })).rejects.toMatchObject({ code: "image-invalid" });
  });
  test("a digest that is a path reaches no file", async () => {
    const store = await temporaryStore();
    await expect(store.hasBlob("sha256:../../../../etc/passwd" as Digest)).rejects.toThrow(TypeError);
    await expect(store.readBlob("sha256:../../../../etc/passwd" as Digest)).rejects.toThrow(TypeError);
  });
});

test("staged files get their digest at the end, and a limit", async () => {
  const store = await temporaryStore();
  const options = { maxBytes: content.length, tooLarge: () => new Error("too large") };
  const stage = await store.stage(options);
  for (let at = 0; at < content.length; at += 70_001) await stage.write(content.subarray(at, at + 70_001));
  expect(stage.received()).toBe(content.length);
  const staged = await stage.finish();
  expect(staged).toMatchObject({ digest: descriptor.digest, size: descriptor.size });
  expect(await store.hasBlob(descriptor)).toBe(false);
  await store.adopt(staged);
  expect((await readAll(await store.readBlob(descriptor))).equals(content)).toBe(true);
  expect(existsSync(staged.path)).toBe(false);
  const small = await store.stage({ ...options, maxBytes: 10 });
  await small.write(content.subarray(0, 10));
  await expect(small.write(content.subarray(0, 1))).rejects.toThrow("too large");
  await small.abort();
});
