import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import { createServer as createTlsServer } from "node:https";
import type { AddressInfo } from "node:net";
import { onTestFinished } from "vitest";
import { digestOf } from "../../cli/image/digest.ts";
import { mediaTypes } from "../../cli/image/media-types.ts";
import type { Descriptor, Digest, Platform } from "../../cli/image/oci-types.ts";

/** A request as it came. */
export interface Seen {
  readonly method: string;
  /** Path and query. */
  readonly path: string;
  readonly headers: IncomingMessage["headers"];
  readonly body: string;
}

/** Answers a request itself, or leaves it to `next`, which serves the images. */
export type Script = (request: Seen, response: ServerResponse, next: () => void) => void;

export interface ScriptedRegistry {
  readonly port: number;
  /** "127.0.0.1:1234" */
  readonly host: string;
  readonly origin: string;
  readonly seen: Seen[];
  /** What is asked for below /v2/, in order: "GET manifests/latest". */
  asked(): readonly string[];
}

export interface TestImage {
  /** Of the manifest. */
  readonly descriptor: Descriptor;
  readonly layers: readonly Descriptor[];
  readonly config: Descriptor;
  readonly blobs: ReadonlyMap<Digest, Buffer>;
}

export const describe = (bytes: Buffer, mediaType: string): Descriptor => ({ mediaType, digest: digestOf(bytes), size: bytes.length });
const json = (value: unknown): Buffer => Buffer.from(JSON.stringify(value));
/** What a pull of this machine wants. */
const thisPlatform: Platform = { os: "linux", architecture: process.arch === "arm64" ? "arm64" : "amd64" };

/** An image of any bytes: a registry does not look into layers, and neither does a pull. */
export function testImage(
  contents: readonly (string | Buffer)[],
  options: {
    readonly platform?: Platform;
    readonly manifest?: Readonly<Record<string, unknown>>;
    readonly layer?: Partial<Descriptor>;
  } = {},
): TestImage {
  const blobs = new Map<Digest, Buffer>();
  const add = (bytes: Buffer, mediaType: string): Descriptor => {
    const descriptor = describe(bytes, mediaType);
    blobs.set(descriptor.digest, bytes);
    return descriptor;
  };
  const layers = contents.map((content) => ({ ...add(Buffer.from(content), mediaTypes.layerTarGzip), ...options.layer }));
  const platform = options.platform ?? thisPlatform;
  const config = add(json({ ...platform, rootfs: { type: "layers", diff_ids: layers.map(({ digest }) => digest) } }), mediaTypes.ociConfig);
  const manifest = { schemaVersion: 2, mediaType: mediaTypes.ociManifest, config, layers, ...options.manifest };
  return { descriptor: add(json(manifest), mediaTypes.ociManifest), layers, config, blobs };
}

/** An index of images, or of other indexes, that is one of the blobs of the result. */
export function testIndex(entries: readonly (readonly [TestImage, Platform | null])[]): TestImage {
  const manifests = entries.map(([{ descriptor }, platform]) => ({ ...descriptor, ...(platform === null ? {} : { platform }) }));
  const bytes = json({ schemaVersion: 2, mediaType: mediaTypes.ociIndex, manifests });
  const descriptor = describe(bytes, mediaTypes.ociIndex);
  const blobs = new Map([...entries.flatMap(([image]) => [...image.blobs]), [descriptor.digest, bytes] as const]);
  return { descriptor, layers: [], config: descriptor, blobs };
}

/** The distribution API for images that each stand under a tag, in whatever repository is asked for. Knows ranges. */
function serve(images: Readonly<Record<string, TestImage>>, request: Seen, response: ServerResponse): void {
  const all = new Map(Object.values(images).flatMap(({ blobs }) => [...blobs]));
  const [, kind, name = ""] = /^\/v2\/.+\/(manifests|blobs)\/([^/?]+)(?:\?.*)?$/.exec(request.path) ?? [];
  const digest = (images[name]?.descriptor.digest ?? name) as Digest;
  const bytes = all.get(digest);
  if (kind === undefined || bytes === undefined) {
    response.writeHead(404, { "content-type": "application/json" }).end('{"errors":[{"code":"MANIFEST_UNKNOWN","message":"unknown"}]}');
    return;
  }
  if (kind === "manifests") {
    const { mediaType } = JSON.parse(bytes.toString()) as { readonly mediaType: string };
    response.writeHead(200, { "content-type": mediaType, "content-length": bytes.length, "docker-content-digest": digest });
    response.end(request.method === "HEAD" ? undefined : bytes);
    return;
  }
  const from = Number(/^bytes=(\d+)-$/.exec(request.headers.range ?? "")?.[1] ?? 0);
  if (from >= bytes.length && from > 0) {
    response.writeHead(416).end();
    return;
  }
  const range = from > 0 ? { "content-range": `bytes ${from}-${bytes.length - 1}/${bytes.length}` } : {};
  response.writeHead(from > 0 ? 206 : 200, { "content-length": bytes.length - from, ...range }).end(bytes.subarray(from));
}

/**
 * A registry on loopback that does what a test tells it to, and remembers all it is asked. Over plain HTTP unless it gets a key and a certificate.
 * Ends with the test.
 */
export async function scriptedRegistry(
  images: Readonly<Record<string, TestImage>>,
  script: Script = (_request, _response, next) => next(),
  options: { readonly tls?: { readonly key: string; readonly cert: string }; readonly address?: string } = {},
): Promise<ScriptedRegistry> {
  const { tls, address = "127.0.0.1" } = options;
  const seen: Seen[] = [];
  const handle = (message: IncomingMessage, response: ServerResponse): void => {
    const chunks: Buffer[] = [];
    message.on("data", (chunk: Buffer) => chunks.push(chunk));
    message.on("end", () => {
      const body = Buffer.concat(chunks).toString();
      const request: Seen = { method: message.method ?? "", path: message.url ?? "", headers: message.headers, body };
      seen.push(request);
      script(request, response, () => serve(images, request, response));
    });
  };
  const server = tls === undefined ? createServer(handle) : createTlsServer(tls, handle);
  server.on("clientError", (_error, socket) => socket.destroy());
  await new Promise<void>((resolve) => server.listen(0, address, resolve));
  onTestFinished(() => {
    server.closeAllConnections();
    server.close();
  });
  const { port } = server.address() as AddressInfo;
  const host = `${address.includes(":") ? `[${address}]` : address}:${port}`;
  return {
    port,
    host,
    origin: `${tls === undefined ? "http" : "https"}://${host}`,
    seen,
    asked: () =>
      seen
        .filter(({ path }) => path.startsWith("/v2/"))
        .map(({ method, path }) => `${method} ${path.replace(/^\/v2\/(?:.*\/)?(?=(?:manifests|blobs|tags)\/)/, "")}`),
  };
}
