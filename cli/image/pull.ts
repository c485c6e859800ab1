import { BelljarError } from "../../policy/errors.ts";
import { nearestName } from "../../policy/profile/problems.ts";
import { formatDuration, type Millis } from "../../policy/units.ts";
import type { Config } from "../host/config.ts";
import { quoted } from "../output/terminal.ts";
import { findCredentials } from "./credentials.ts";
import type { Descriptor, Platform, Reference } from "./oci-types.ts";
import { hostPlatform } from "./platform.ts";
import { fetchLayers, type PullStore } from "./pull-blobs.ts";
import type { PullProgress } from "./pull-events.ts";
import { resolveImage } from "./pull-resolve.ts";
import { familiarReference, formatReference } from "./reference.ts";
import { createClient, type RegistryClient } from "./registry/client.ts";
import { type Endpoint, endpointsOf } from "./registry/endpoint.ts";
import { type NetworkLimits, networkLimits } from "./registry/limits.ts";
import { listTags } from "./registry/tags.ts";
import { createTransport } from "./registry/transport.ts";

export type { PullStore } from "./pull-blobs.ts";
export type { PullEvent, PullProgress } from "./pull-events.ts";

export interface PullOptions {
  readonly reference: Reference;
  /** Default: this machine's. */
  readonly platform?: Platform;
  readonly store: PullStore;
  readonly config: Pick<Config, "registries">;
  readonly progress: PullProgress;
  /** Ends the pull with `cancelled`; what has come stays for the next one. */
  readonly signal?: AbortSignal;
  /** Proxies and places of credentials. Default: the process's. */
  readonly environment?: Readonly<Record<string, string | undefined>>;
  readonly limits?: Partial<NetworkLimits>;
}

export interface Pulled {
  /** Of the manifest for the platform. */
  readonly manifest: Descriptor;
  /** Under which the store knows it: the full form of the reference. */
  readonly name: string;
}

interface Attempt extends Required<Omit<PullOptions, "signal" | "limits">> {
  readonly what: string;
  readonly endpoint: Endpoint;
  readonly limits: NetworkLimits;
  readonly signal: AbortSignal;
}

/** What no other registry can mend. */
const final: readonly string[] = ["cancelled", "store-failed", "config-invalid", "launcher-failed", "internal"];

/** For a tag that is not there, one that is. Nothing is said when the registry does not tell its tags. */
async function withTagHint(error: unknown, client: RegistryClient, { reference, limits, what }: Attempt): Promise<unknown> {
  const { tag, digest } = reference;
  if (!(error instanceof BelljarError) || error.code !== "image-not-found" || error.hint !== null || tag === null || digest !== null)
    return error;
  try {
    const nearest = nearestName(tag, await listTags(client, { what, limits, enough: 1000 }));
    if (nearest === null || nearest === tag) return error;
    return new BelljarError(error.code, error.message, { hint: `there is ${familiarReference({ ...reference, tag: nearest })}` });
  } catch {
    return error;
  }
}

/** The whole pull, from one registry. */
async function pullFrom(attempt: Attempt): Promise<Descriptor> {
  const { what, endpoint, store, config, progress, environment, limits } = attempt;
  const stopping = new AbortController();
  const signal = AbortSignal.any([attempt.signal, stopping.signal]);
  const transport = createTransport({ registries: config.registries ?? {}, environment, limits, signal });
  const client = createClient({
    ...{ what, endpoint, transport, limits, signal },
    credentials: () =>
      findCredentials(
        { domain: endpoint.domain, path: endpoint.repository },
        { environment, signal, warn: (message) => progress({ kind: "warning", message }) },
      ),
    onWait: (waiting) => progress({ kind: "waiting", ...waiting }),
  });
  try {
    progress({ kind: "resolving", host: endpoint.host });
    const { platform, reference } = attempt;
    const blobs = { what, client, store, limits, signal, progress };
    const image = await resolveImage({ ...blobs, reference, platform });
    const { layers } = image.manifest;
    progress({ kind: "layers", layers: layers.map(({ digest, size }) => ({ digest, size })) });
    await fetchLayers(layers, { ...blobs, stop: () => stopping.abort() });
    await store.putBlob(image.descriptor, image.bytes);
    return image.descriptor;
  } catch (error) {
    throw await withTagHint(error, client, attempt);
  } finally {
    stopping.abort();
    await transport.close();
  }
}

/**
 * Gets an image into the store: its manifest for the platform, its configuration and its layers, each verified, and then its name.
 * Mirrors are asked first. Nothing is named before all of it is there; what was broken off is continued by the next pull.
 * Throws BelljarError: `image-not-found`, `image-invalid`, `not-supported`, `registry-failed`, `registry-denied`, `store-failed`,
 * `config-invalid`, `cancelled`.
 */
export async function pullImage(options: PullOptions): Promise<Pulled> {
  const { reference, store, config, progress, platform = hostPlatform(), environment = process.env } = options;
  const limits: NetworkLimits = { ...networkLimits, ...options.limits };
  const what = `pulling ${quoted(familiarReference(reference))}`;
  const deadline = AbortSignal.timeout(limits.deadlineMs);
  const signal = options.signal === undefined ? deadline : AbortSignal.any([options.signal, deadline]);
  const name = formatReference(reference);
  const common = { what, reference, platform, store, config, progress, environment, limits, signal };
  const pull = async (): Promise<Pulled> => {
    signal.throwIfAborted();
    await store.hold(signal);
    const endpoints = endpointsOf(reference, config.registries ?? {});
    for (const [index, endpoint] of endpoints.entries()) {
      try {
        const manifest = await pullFrom({ ...common, endpoint });
        await store.setReference(name, manifest);
        return { manifest, name };
      } catch (error) {
        const isLast = index === endpoints.length - 1;
        if (isLast || signal.aborted || !(error instanceof BelljarError) || final.includes(error.code)) throw error;
        progress({ kind: "warning", message: `${error.message}; asking ${endpoints[index + 1]?.host} instead` });
      }
    }
    throw new BelljarError("internal", `${what}: there is nobody to ask`);
  };
  try {
    return await pull();
  } catch (error) {
    if (options.signal?.aborted) throw new BelljarError("cancelled", `${what}: cancelled`, { cause: error });
    if (deadline.aborted)
      throw new BelljarError("registry-failed", `${what}: not done after ${formatDuration(limits.deadlineMs as Millis)}`, {
        cause: error,
        hint: "what has come is kept: the next pull goes on from there",
      });
    throw error;
  }
}
