import { createHash, randomBytes } from "node:crypto";
import { readdirSync, readFileSync } from "node:fs";
import type { ServerResponse } from "node:http";
import { createServer } from "node:net";
import { join } from "node:path";
import { Writable } from "node:stream";
import { gzipSync } from "node:zlib";
import { describe, expect, onTestFinished, test } from "vitest";
import { digestOf } from "../../../../cli/image/digest.ts";
import type { Store } from "../../../../cli/image/store.ts";
import { BelljarError } from "../../../../policy/errors.ts";
import { type Script, scriptedRegistry, testImage } from "../../../helpers/registry.ts";
import { temporaryStore } from "../store/fixtures.ts";
import { tryPull } from "./pulling.ts";

/** The same each time: by their digests the store decides what waits for what. */
const big = createHash("shake256", { outputLength: 600_000 }).update("big").digest();
const image = testImage([big, "small"]);
const bigDigest = image.layers[0]?.digest ?? "";
const manifestBytes = image.blobs.get(image.descriptor.digest) ?? Buffer.alloc(0);

/** Does something to the requests for one thing, the first `times` times. */
const onceFor = (part: string, act: (response: ServerResponse, count: number) => void, times = Number.POSITIVE_INFINITY): Script => {
  let count = 0;
  return (request, response, next) => {
    if (!request.path.includes(part) || count >= times) return next();
    act(response, count++);
  };
};
const pullThrough = async (script: Script, options: Parameters<typeof tryPull>[1] = {}) => {
  const registry = await scriptedRegistry({ latest: image }, script);
  return { registry, ...(await tryPull(`${registry.host}/x`, options)) };
};
const emptyStore = async ({ store }: { readonly store: Awaited<ReturnType<typeof temporaryStore>> }) => {
  expect(await store.list()).toEqual([]);
  expect((await store.verify()).problems).toEqual([]);
};
const manifestAnswer = (headers: Readonly<Record<string, string | number>>, body: string | Buffer, status = 200): Script =>
  onceFor("/manifests/", (response) => response.writeHead(status, headers).end(body));

describe("manifests", () => {
  test.each([
    ["without any type", {}],
    ["as plain text", { "content-type": "text/plain" }],
    ["with a character set", { "content-type": "application/json; charset=utf-8" }],
    ["with a type in odd case", { "content-type": "Application/VND.oci.image.manifest.v1+JSON;charset=utf-8" }],
    ["without a digest", { "content-type": "application/vnd.oci.image.manifest.v1+json" }],
    ["with a digest of another kind", { "docker-content-digest": digestOf(manifestBytes, "sha512") }],
    ["with nonsense for a digest", { "docker-content-digest": "sha256:../../x" }],
  ])("that come %s are read by their shape", async (_name, headers) => {
    expect((await pullThrough(manifestAnswer(headers, manifestBytes))).error).toBeNull();
  });

  test("that a proxy has packed are unpacked, up to the limit", async () => {
    expect((await pullThrough(manifestAnswer({ "content-encoding": "gzip" }, gzipSync(manifestBytes)))).error).toBeNull();
    const bomb = await pullThrough(manifestAnswer({ "content-encoding": "gzip" }, gzipSync(Buffer.alloc(50_000_000))));
    expect(bomb.error).toMatchObject({ code: "image-invalid", message: expect.stringContaining("manifest is larger than 4194304 bytes") });
    const odd = await pullThrough(manifestAnswer({ "content-encoding": "br" }, manifestBytes));
    expect(odd.error).toMatchObject({ code: "registry-failed", message: expect.stringContaining("sends its manifest as 'br'") });
  });

  const indented = JSON.stringify(JSON.parse(manifestBytes.toString()), null, 2);
  test.each([
    ["another digest than it says", { "docker-content-digest": digestOf("x") }, manifestBytes, "but 127.0.0.1"],
    [
      "a type that contradicts its shape",
      { "content-type": "application/vnd.oci.image.index.v1+json" },
      manifestBytes,
      "is a manifest although its Content-Type",
    ],
    ["both shapes", {}, '{"schemaVersion":2,"manifests":[],"layers":[]}', "is both an index and a manifest"],
    ["no JSON", {}, "<html>", "is no JSON"],
    ["nothing", {}, "", "is no JSON"],
    ["too deep a nest", {}, "[".repeat(100_000), "is nested deeper than 64 levels"],
    ["too much", {}, Buffer.alloc(5_000_000, " "), "manifest is larger than 4194304 bytes"],
  ])("with %s are refused", async (_name, headers, body, words) => {
    const tried = await pullThrough(manifestAnswer(headers, body));
    expect(tried.error).toMatchObject({ code: "image-invalid", message: expect.stringContaining(words) });
    await emptyStore(tried);
  });

  test("without end are cut off", async () => {
    const tried = await pullThrough(
      onceFor("/manifests/", (response) => {
        const piece = Buffer.alloc(65_536, " ");
        const more = (): void => {
          while (!response.destroyed && response.write(piece));
        };
        response.on("drain", more);
        more();
      }),
    );
    expect(tried.error).toMatchObject({ code: "image-invalid", message: expect.stringContaining("manifest is larger than") });
  });

  test("of schema 1 are named as such", async () => {
    const body = '{"schemaVersion":1,"name":"x","tag":"latest","fsLayers":[],"history":[],"signatures":[]}';
    const { error } = await pullThrough(
      manifestAnswer({ "content-type": "application/vnd.docker.distribution.manifest.v1+prettyjws" }, body),
    );
    expect(error).toMatchObject({ code: "not-supported", message: expect.stringContaining("schema 1") });
  });

  test("of artifacts are no images", async () => {
    const empty = Buffer.from("{}");
    const config = { mediaType: "application/vnd.oci.empty.v1+json", digest: digestOf(empty), size: 2 };
    const body = JSON.stringify({ schemaVersion: 2, artifactType: "application/vnd.example", config, layers: [] });
    const { error, registry } = await pullThrough(manifestAnswer({}, body));
    expect(error).toMatchObject({ code: "image-invalid", message: expect.stringContaining("is not a runnable image but an artifact") });
    expect(registry.asked().some((line) => line.includes("blobs"))).toBe(false);
  });

  test("asked for by digest must be those", async () => {
    const registry = await scriptedRegistry({ latest: image }, manifestAnswer({}, indented));
    const { error } = await tryPull(`${registry.host}/x@${image.descriptor.digest}`);
    expect(error).toMatchObject({
      code: "image-invalid",
      message: expect.stringContaining(`and was asked for as ${image.descriptor.digest}`),
    });
    const sha512 = digestOf(manifestBytes, "sha512");
    const good = await scriptedRegistry({}, (request, response, next) =>
      request.path.includes("/manifests/") ? response.end(manifestBytes) : next(),
    );
    const { error: later } = await tryPull(`${good.host}/x@${sha512}`);
    expect(later).toMatchObject({ message: expect.stringContaining(`blob '${image.config.digest}': is missing`) });
  });

  test.each([403, 404, 405, 500])("HEAD may be refused with %d", async (status) => {
    const registry = await scriptedRegistry({ latest: image }, (request, response, next) =>
      request.method === "HEAD" ? response.writeHead(status).end() : next(),
    );
    const { store } = await tryPull(`${registry.host}/x`);
    expect((await tryPull(`${registry.host}/x`, { store })).error).toBeNull();
    expect(registry.asked().slice(-2)).toEqual(["HEAD manifests/latest", "GET manifests/latest"]);
  });

  test("a configuration or layers of impossible size are refused before they are fetched", async () => {
    for (const [part, words] of [
      ["config", "its configuration is larger than"],
      ["layers", "more than the limit of"],
    ] as const) {
      const huge = { ...image.config, size: 2 ** 45 };
      const layer = { ...image.layers[0], size: 2 ** 45 };
      const body = JSON.stringify({
        schemaVersion: 2,
        config: part === "config" ? huge : image.config,
        layers: part === "layers" ? [layer] : image.layers,
      });
      const { error, registry } = await pullThrough(manifestAnswer({}, body));
      expect(error).toMatchObject({ code: "image-invalid", message: expect.stringContaining(words) });
      expect(registry.asked()).toEqual(["GET manifests/latest"]);
    }
  });

  test("layers and diff_ids must match in number", async () => {
    const body = JSON.stringify({ schemaVersion: 2, config: image.config, layers: image.layers.slice(1) });
    const tried = await pullThrough(manifestAnswer({}, body));
    expect(tried.error).toMatchObject({ code: "image-invalid", message: expect.stringContaining("has 1 layers but 2 diff_ids") });
    await emptyStore(tried);
  });
});

describe("blobs", () => {
  const parts = async (store: Awaited<ReturnType<typeof temporaryStore>>) => {
    await store.close();
    return readdirSync(store.paths.partial).map((name) => readFileSync(join(store.paths.partial, name)));
  };

  test("that break off are continued where they broke off, as often as it takes", async () => {
    const lengths = [100_000, 300_000, 450_000];
    let count = 0;
    const { error, registry, events } = await pullThrough((request, response, next) => {
      const upTo = lengths[count];
      if (!request.path.includes(bigDigest) || upTo === undefined) return next();
      count++;
      const from = Number(/\d+/.exec(request.headers.range ?? "")?.[0] ?? 0);
      response.writeHead(from > 0 ? 206 : 200, {
        "content-length": big.length - from,
        ...(from > 0 ? { "content-range": `bytes ${from}-${big.length - 1}/${big.length}` } : {}),
      });
      response.write(big.subarray(from, upTo), () => response.destroy());
    });
    expect(error).toBeNull();
    const ranges = registry.seen.filter(({ path }) => path.includes(bigDigest)).map(({ headers }) => headers.range);
    expect(ranges[0]).toBeUndefined();
    expect(ranges.slice(1).every((range) => /^bytes=[1-9]\d*-$/.test(range ?? ""))).toBe(true);
    expect(events.filter(({ kind }) => kind === "waiting")).toHaveLength(3);
    expect(events.some((event) => event.kind === "started" && event.offset > 0)).toBe(true);
  });

  test("are continued by a later pull", async () => {
    const store = await temporaryStore();
    const broken = onceFor(bigDigest, (response) => {
      response.writeHead(200, { "content-length": big.length });
      response.write(big.subarray(0, 200_000), () => response.destroy());
    });
    const first = await pullThrough(broken, { store, limits: { attempts: 1 } });
    expect(first.error).toMatchObject({ code: "registry-failed", message: expect.stringContaining("(after 1 attempts)") });
    const kept = (await parts(store)).map(({ length }) => length);
    expect(kept).toHaveLength(1);
    const second = await pullThrough((_request, _response, next) => next(), { store });
    expect(second.error).toBeNull();
    const [asked] = second.registry.seen.filter(({ path }) => path.includes(bigDigest));
    expect(asked?.headers.range).toBe(`bytes=${kept[0]}-`);
    expect(kept[0]).toBeGreaterThan(0);
  });

  const withPart = async (part: Buffer) => {
    const store = await temporaryStore();
    const writer = await store.blobWriter({ ...image.config, digest: bigDigest as never, size: big.length });
    await new Promise<void>((resolve, reject) => writer.stream.write(part, (error) => (error ? reject(error) : resolve())));
    await writer.abort();
    return store;
  };

  test("a registry that cannot continue sends all of it, and that serves too", async () => {
    const store = await withPart(big.subarray(0, 123_456));
    const script = onceFor(bigDigest, (response) => response.writeHead(200, { "content-length": big.length }).end(big));
    const { error, registry } = await pullThrough(script, { store });
    expect(error).toBeNull();
    expect(registry.seen.filter(({ path }) => path.includes(bigDigest))).toHaveLength(1);
  });

  test.each([
    ["damaged", randomBytes(100_000)],
    ["damaged, and whole", randomBytes(big.length)],
  ])("an earlier part that is %s is thrown away, and the blob fetched anew", async (_name, part) => {
    const store = await withPart(part);
    const { error } = await pullThrough((_request, _response, next) => next(), { store });
    expect(error).toBeNull();
    expect((await store.verify()).problems).toEqual([]);
  });

  test("a registry that says there is nothing more is asked for all of it", async () => {
    const store = await withPart(big.subarray(0, 1000));
    const { error } = await pullThrough(
      onceFor(bigDigest, (response) => response.writeHead(416).end(), 1),
      { store },
    );
    expect(error).toBeNull();
  });

  test.each([
    ["another place", { "content-range": `bytes 0-${big.length - 1}/${big.length}` }],
    ["another end", { "content-range": `bytes 1000-2000/${big.length}` }],
    ["another size", { "content-range": `bytes 1000-${big.length - 1}/9999999` }],
    ["no place", {}],
  ])("a continuation at %s is refused", async (_name, headers) => {
    const store = await withPart(big.subarray(0, 1000));
    const script = onceFor(bigDigest, (response) => response.writeHead(206, headers).end(big.subarray(1000)));
    const { error } = await pullThrough(script, { store });
    expect(error).toMatchObject({
      code: "registry-failed",
      message: expect.stringContaining("is continued at another place than asked for"),
    });
  });

  test.each([
    ["wrong bytes", randomBytes(big.length), {}, "image-invalid", "has the wrong digest"],
    ["too many bytes", Buffer.concat([big, Buffer.from("x")]), {}, "image-invalid", `has more than the ${big.length} bytes`],
    [
      "too many bytes, announced",
      Buffer.concat([big, big]),
      { "content-length": 2 * big.length },
      "registry-failed",
      "is announced with 1200000 bytes",
    ],
    ["too few bytes, announced", "short", { "content-length": 5 }, "registry-failed", "is announced with 5 bytes instead of 600000"],
    ["too few bytes, quietly", "short", { connection: "close" }, "registry-failed", "broke off after 5 of 600000 bytes"],
    ["a web page", "<html>log in</html>", { "content-type": "text/html" }, "registry-failed", "is answered by a web page"],
  ])("with %s are refused", async (_name, body, headers, code, words) => {
    const tried = await pullThrough(onceFor(bigDigest, (response) => response.writeHead(200, headers as Record<string, string>).end(body)));
    expect(tried.error).toMatchObject({ code, message: expect.stringContaining(words) });
    expect(tried.error?.message).toContain(bigDigest);
    await emptyStore(tried);
    expect((await parts(tried.store)).every((part) => big.subarray(0, part.length).equals(part) || part.toString() === "short")).toBe(true);
  });

  test("without end are cut off at the first byte too many", async () => {
    let sent = 0;
    const tried = await pullThrough(
      onceFor(bigDigest, (response) => {
        const piece = Buffer.alloc(65_536);
        const more = (): void => {
          do sent += piece.length;
          while (!response.destroyed && response.write(piece));
        };
        response.on("drain", more);
        more();
      }),
    );
    expect(tried.error).toMatchObject({ code: "image-invalid", message: expect.stringContaining("has more than the 600000 bytes") });
    expect(sent).toBeLessThan(50_000_000);
    await emptyStore(tried);
  });

  test("that are missing are named", async () => {
    const tried = await pullThrough(onceFor(bigDigest, (response) => response.writeHead(404).end()));
    expect(tried.error).toMatchObject({ code: "image-invalid", message: expect.stringMatching(/blob 'sha256:.*': is missing$/) });
    await emptyStore(tried);
  });

  test("the failure of one ends the others, which keep what they have", async () => {
    let sending: ServerResponse | undefined;
    const registry = await scriptedRegistry({ latest: image }, (request, response, next) => {
      if (request.path.includes(bigDigest)) {
        sending = response;
        response.writeHead(200, { "content-length": big.length });
        response.write(big.subarray(0, 50_000));
      } else if (request.path.includes(image.layers[1]?.digest ?? "")) {
        const wait = setInterval(() => {
          if (sending === undefined) return;
          clearInterval(wait);
          response.writeHead(404).end();
        }, 5);
      } else next();
    });
    const { error, store } = await tryPull(`${registry.host}/x`);
    expect(error).toMatchObject({ code: "image-invalid", message: expect.stringContaining(image.layers[1]?.digest ?? "") });
    expect(sending?.writableFinished).toBe(false);
    await emptyStore({ store });
  });
});

describe("a registry in trouble", () => {
  test("asks to come back later, and is obeyed", async () => {
    const start = performance.now();
    const script = onceFor(
      "/manifests/",
      (response) => response.writeHead(429, { "retry-after": "1" }).end('{"errors":[{"message":"toomanyrequests"}]}'),
      2,
    );
    const { error, events } = await pullThrough(script);
    expect(error).toBeNull();
    expect(performance.now() - start).toBeGreaterThanOrEqual(2000);
    expect(events.filter((event) => event.kind === "waiting")).toMatchObject([
      { delayMs: 1000, reason: expect.stringContaining("toomanyrequests") },
      { delayMs: 1000 },
    ]);
  });

  test("asks to come back in two weeks, and is not waited for", async () => {
    const script = onceFor("/manifests/", (response) => response.writeHead(429, { "retry-after": "999999" }).end("slow down"));
    const { error, registry } = await pullThrough(script);
    expect(error).toMatchObject({
      code: "registry-failed",
      message: `pulling '${registry.host}/x:latest': ${registry.host}: status 429: slow down (it asks to wait 999999 s, which is too long)`,
    });
    expect(registry.seen).toHaveLength(1);
  });

  test.each([
    ["", ": status 503 (after 5 attempts)"],
    ["<html><h1>503</h1></html>", ": status 503 (after 5 attempts)"],
    ['{"errors":[{"code":"UNAVAILABLE","message":"maintenance\\u001b[2J"}]}', ": status 503: maintenance\\x1b[2J (after 5 attempts)"],
  ])("says %j", async (body, words) => {
    const { error, registry } = await pullThrough(onceFor("/manifests/", (response) => response.writeHead(503).end(body)));
    expect(error?.code).toBe("registry-failed");
    expect(error?.message).toBe(`pulling '${registry.host}/x:latest': ${registry.host}${words}`);
    expect(registry.seen).toHaveLength(5);
  });

  test.each([408, 429, 500, 502, 503, 504])("answers one blob with %d once", async (status) => {
    const { error, registry } = await pullThrough(onceFor(bigDigest, (response) => response.writeHead(status).end(), 1));
    expect(error).toBeNull();
    expect(registry.seen.filter(({ path }) => path.includes(bigDigest))).toHaveLength(2);
  });

  test.each([400, 403, 404, 410, 501])("is not asked again after %d", async (status) => {
    const { error, registry } = await pullThrough(onceFor("/v2/", (response) => response.writeHead(status).end()));
    expect(error).not.toBeNull();
    expect(registry.asked().filter((line) => line.includes("manifests"))).toHaveLength(1);
  });

  test("resets connections", async () => {
    const { error } = await pullThrough(onceFor("/v2/", (response) => response.socket?.resetAndDestroy(), 3));
    expect(error).toBeNull();
    const never = await pullThrough(onceFor("/v2/", (response) => response.socket?.destroy()));
    expect(never.error).toMatchObject({
      code: "registry-failed",
      message: expect.stringContaining("the connection was closed (after 5 attempts)"),
    });
  });

  test("does not answer, or stops in the middle", async () => {
    const limits = { answerTimeoutMs: 200, idleTimeoutMs: 200, attempts: 2 };
    const silent = await pullThrough(
      onceFor("/manifests/", () => undefined),
      { limits },
    );
    expect(silent.error).toMatchObject({
      code: "registry-failed",
      message: expect.stringContaining("no answer in time (after 2 attempts)"),
    });
    const stalls = await pullThrough(
      onceFor(bigDigest, (response) => {
        response.writeHead(200, { "content-length": big.length });
        response.write("x");
      }),
      { limits },
    );
    expect(stalls.error).toMatchObject({ code: "registry-failed", message: expect.stringContaining("stopped sending (after 2 attempts)") });
  });

  test("drips: the deadline ends it", async () => {
    const drips = onceFor(bigDigest, (response) => {
      response.writeHead(200, { "content-length": big.length });
      const timer = setInterval(() => response.write("x"), 20);
      response.on("close", () => clearInterval(timer));
    });
    const { error } = await pullThrough(drips, { limits: { deadlineMs: 600 } });
    expect(error).toMatchObject({
      code: "registry-failed",
      message: expect.stringContaining("not done after 600 ms"),
      hint: expect.stringContaining("goes on from there"),
    });
  });

  test("speaks no HTTP, or closes at once", async () => {
    for (const greeting of ["SSH-2.0-x\r\n", ""]) {
      const server = createServer((socket) => {
        socket.on("error", () => undefined);
        if (greeting === "") socket.destroy();
        else socket.end(greeting);
      });
      await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
      onTestFinished(() => void server.close());
      const { port } = server.address() as { readonly port: number };
      const { error } = await tryPull(`127.0.0.1:${port}/x`);
      expect(error).toMatchObject({ code: "registry-failed", message: expect.stringContaining(`127.0.0.1:${port}: `) });
    }
  });

  test("is not there", async () => {
    const { error } = await tryPull("127.0.0.1:1/x");
    expect(error).toMatchObject({ code: "registry-failed", message: "pulling '127.0.0.1:1/x:latest': 127.0.0.1:1: connection refused" });
    expect((await tryPull("registry.invalid/x", { limits: { attempts: 1 } })).error).toMatchObject({ code: "registry-failed" });
  });

  test("sends a head without end", async () => {
    const { error } = await pullThrough(onceFor("/v2/", (response) => response.writeHead(200, { "x-long": "x".repeat(200_000) }).end()));
    expect(error).toMatchObject({ code: "registry-failed", message: expect.stringContaining("the head of the answer is too large") });
  });
});

describe("cancelling", () => {
  test("keeps what has come", async () => {
    const controller = new AbortController();
    const script = onceFor(bigDigest, (response) => {
      response.writeHead(200, { "content-length": big.length });
      response.write(big.subarray(0, 400_000));
    });
    const { error, store } = await pullThrough(script, {
      signal: controller.signal,
      progress: (event) => event.kind === "progress" && event.have === 400_000 && controller.abort(),
    });
    expect(error).toMatchObject({ code: "cancelled", message: expect.stringMatching(/^pulling '.*': cancelled$/) });
    await emptyStore({ store });
    await store.close();
    const [part] = readdirSync(store.paths.partial).map((name) => readFileSync(join(store.paths.partial, name)));
    expect(part?.equals(big.subarray(0, 400_000))).toBe(true);
  });

  test("works while waiting, and before the start", async () => {
    const script = onceFor("/manifests/", (response) => response.writeHead(429, { "retry-after": "30" }).end());
    const controller = new AbortController();
    const { error } = await pullThrough(script, {
      signal: controller.signal,
      progress: ({ kind }) => kind === "waiting" && controller.abort(),
    });
    expect(error?.code).toBe("cancelled");
    const { error: early, registry } = await pullThrough(script, { signal: AbortSignal.abort() });
    expect(early?.code).toBe("cancelled");
    expect(registry.seen).toEqual([]);
  });
});

test("a full disk is the store's failure, not the registry's, and is not tried again", async () => {
  const store = await temporaryStore();
  const full: Store = {
    ...store,
    blobWriter: async (descriptor) => {
      const writer = await store.blobWriter(descriptor);
      if (descriptor.digest !== bigDigest) return writer;
      let room = 100_000;
      const stream = new Writable({
        highWaterMark: 1024,
        write: (chunk: Buffer, _encoding, done) => {
          room -= chunk.length;
          done(room < 0 ? new BelljarError("store-failed", "writing to the image store: no space left on the device") : null);
        },
      });
      stream.on("error", () => undefined);
      return { ...writer, stream };
    },
  };
  const { error, registry } = await pullThrough((_request, _response, next) => next(), { store: full });
  expect(error).toMatchObject({ code: "store-failed", message: expect.stringContaining("no space left") });
  expect(registry.seen.filter(({ path }) => path.includes(bigDigest))).toHaveLength(1);
  await emptyStore({ store });
});
