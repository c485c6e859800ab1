import { once } from "node:events";
import type { Writable } from "node:stream";
import { finished } from "node:stream/promises";
import { BelljarError } from "../../policy/errors.ts";
import { quoted } from "../output/terminal.ts";
import { missingBlob } from "./manifest.ts";
import { isForeignLayer } from "./media-types.ts";
import type { Descriptor } from "./oci-types.ts";
import type { PullProgress } from "./pull-events.ts";
import type { RegistryClient } from "./registry/client.ts";
import type { NetworkLimits } from "./registry/limits.ts";
import { TransientError, withRetries } from "./registry/retry.ts";
import { networkError } from "./registry/words.ts";
import type { Store } from "./store.ts";

/** What a pull needs of the store. */
export type PullStore = Pick<Store, "hasBlob" | "readBytes" | "blobWriter" | "putBlob" | "setReference" | "list" | "hold" | "exclusively">;

export interface BlobOptions {
  readonly what: string;
  readonly client: RegistryClient;
  readonly store: PullStore;
  readonly limits: NetworkLimits;
  readonly signal: AbortSignal;
  readonly progress: PullProgress;
}

/** Bytes that are written at a time: sockets give them in small pieces, and each write to a file costs a way through another thread. */
const pieceBytes = 512 * 1024;

/**
 * Writes a body from its `skip`th byte on. When the body breaks off, what has come is written nevertheless before the error is thrown,
 * so that it need not come again.
 */
async function pour(
  body: AsyncIterable<Buffer>,
  stream: Writable,
  options: { readonly skip: number; readonly onBytes: (bytes: number) => void },
): Promise<void> {
  let toSkip = options.skip;
  let pieces: Buffer[] = [];
  let waiting = 0;
  const flush = (): boolean => {
    const hasRoom = waiting === 0 || stream.write(Buffer.concat(pieces, waiting));
    pieces = [];
    waiting = 0;
    return hasRoom;
  };
  let failure: unknown = null;
  try {
    for await (const chunk of body) {
      const rest = chunk.subarray(Math.min(toSkip, chunk.length));
      toSkip -= chunk.length - rest.length;
      if (rest.length === 0) continue;
      options.onBytes(rest.length);
      pieces.push(rest);
      waiting += rest.length;
      if (waiting < pieceBytes) continue;
      const hasRoom = flush();
      if (stream.errored) throw stream.errored;
      if (!hasRoom) await once(stream, "drain");
    }
  } catch (error) {
    failure = error;
  }
  flush();
  stream.end();
  await finished(stream).catch((error: unknown) => {
    failure = error;
  });
  if (failure !== null) throw failure;
}

/** One attempt to get what is missing of a blob. What has come stays for the next one, unless it is known to be wrong. */
async function attempt(descriptor: Descriptor, options: BlobOptions): Promise<void> {
  const { what, client, store, progress } = options;
  const { digest, size } = descriptor;
  const writer = await store.blobWriter(descriptor);
  const { offset } = writer;
  let have = offset;
  const broken = (reason: string): TransientError =>
    new TransientError(new BelljarError("registry-failed", `${what}: ${client.endpoint.host}: blob ${quoted(digest)}: ${reason}`));
  progress({ kind: "started", digest, size, offset });
  try {
    if (offset < size) {
      const { body, start } = await client.blob(descriptor, offset);
      if (start === null) {
        await writer.abort({ keep: false });
        throw broken(`has nothing after ${offset} bytes`);
      }
      const onBytes = (bytes: number): void => {
        have += bytes;
        progress({ kind: "progress", digest, size, have });
      };
      await pour(body, writer.stream, { skip: offset - start, onBytes });
      if (have < size) throw broken(`broke off after ${have} of ${size} bytes`);
    }
  } catch (error) {
    const failure = networkError(what, client.endpoint.host, error);
    // Too many bytes, or no place to put them: the one is wrong, the other is for the user to see.
    await writer.abort({ keep: !(failure instanceof BelljarError && failure.code === "image-invalid") });
    if (failure instanceof TransientError) failure.progressBytes = have - offset;
    throw failure;
  }
  try {
    await writer.commit();
  } catch (error) {
    // The part from an earlier attempt may be the damaged one. The store has forgotten all of it: the next attempt has no earlier part.
    if (offset > 0 && error instanceof BelljarError && error.code === "image-invalid") throw new TransientError(error);
    throw error;
  }
}

/**
 * Gets one blob into the store, unless it is there.
 * Throws BelljarError: `registry-failed`, `registry-denied`, `image-invalid`, `store-failed`.
 */
export async function fetchBlob(descriptor: Descriptor, options: BlobOptions): Promise<void> {
  const { what, store, limits, signal, progress } = options;
  const { digest, size } = descriptor;
  if (await store.hasBlob(descriptor)) {
    progress({ kind: "finished", digest, size, how: "present" });
    return;
  }
  const onWait = (waiting: { readonly reason: string; readonly delayMs: number }) => progress({ kind: "waiting", ...waiting });
  try {
    await withRetries({ limits, signal, onWait }, () => attempt(descriptor, options));
    progress({ kind: "finished", digest, size, how: "downloaded" });
  } catch (error) {
    const isForeign = isForeignLayer(descriptor.mediaType) || (descriptor.urls?.length ?? 0) > 0;
    if (isForeign && error instanceof BelljarError && error.code === "image-invalid") throw missingBlob(descriptor, what);
    throw error;
  }
}

type LayersOptions = BlobOptions & { readonly stop: () => void };

/** Several at a time. After the first failure no other is begun; `stop` ends those under way, and when they have put away what they have, the failure is thrown. */
async function fetchSeveral(descriptors: readonly Descriptor[], options: LayersOptions): Promise<void> {
  const waiting = [...descriptors];
  const failures: unknown[] = [];
  const worker = async (): Promise<void> => {
    for (let next = waiting.shift(); next !== undefined && failures.length === 0; next = waiting.shift()) {
      try {
        await fetchBlob(next, options);
      } catch (error) {
        failures.push(error);
        options.stop();
      }
    }
  };
  await Promise.all(Array.from({ length: options.limits.parallel }, worker));
  if (failures.length > 0) throw failures[0];
}

/**
 * Gets the layers of an image, lowest first. Other processes that want the same wait, and find them: images that share a layer share all below it, so
 * that one lock, named by the lowest, does for all. Throws as fetchBlob does.
 */
export async function fetchLayers(descriptors: readonly Descriptor[], options: LayersOptions): Promise<void> {
  const layers = [...new Map(descriptors.map((blob) => [`${blob.digest} ${blob.size}`, blob])).values()];
  const [lowest] = layers;
  const fetch = () => fetchSeveral(layers, options);
  if (lowest === undefined || (await Promise.all(layers.map((layer) => options.store.hasBlob(layer)))).every(Boolean)) await fetch();
  else await options.store.exclusively(`pull ${lowest.digest}`, fetch, options.signal);
}
