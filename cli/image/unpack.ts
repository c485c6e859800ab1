import type { Readable } from "node:stream";
import { BelljarError } from "../../policy/errors.ts";
import { quoted } from "../output/terminal.ts";
import { chainIds } from "./digest.ts";
import { type AppliedLayer, applyLayer } from "./layer/apply-layer.ts";
import { type LayerHelper, layerHelper } from "./layer/helper.ts";
import { idWorld, type LayerIds } from "./layer/ids.ts";
import type { LayerLimits } from "./layer/limits.ts";
import { layerWarnings, ownerWarning } from "./layer/warnings.ts";
import type { Descriptor, Digest, ImageConfig, ImageManifest } from "./oci-types.ts";

/** What unpacking needs of the image store. */
export interface LayerStore {
  readBlob(blob: Descriptor): Promise<Readable>;
  hasLayer(chainId: Digest, world: string): boolean;
  layerPath(chainId: Digest, world: string): string;
  layerMeta(chainId: Digest, world: string): Promise<Readonly<Record<string, unknown>> | null>;
  beginLayer(
    chainId: Digest,
    world: string,
    ids?: LayerIds,
  ): Promise<{
    readonly path: string;
    commit(meta: Readonly<Record<string, unknown>>): Promise<void>;
    abort(): Promise<void>;
  }>;
  /** Nothing that is there is removed from now on. */
  hold(signal?: AbortSignal): Promise<void>;
  exclusively<T>(subject: string, action: () => Promise<T>, signal?: AbortSignal): Promise<T>;
}

export interface UnpackProgress {
  /** From 0. */
  readonly layer: number;
  readonly layers: number;
  /** Decompressed so far; null when the layer is complete, or was there before. */
  readonly bytes: number | null;
}

export interface UnpackOptions {
  readonly store: LayerStore;
  /** For messages: the reference as the user wrote it. */
  readonly name: string;
  readonly manifest: ImageManifest;
  readonly config: ImageConfig;
  readonly ids: LayerIds;
  readonly limits?: Partial<LayerLimits> | undefined;
  readonly progress?: ((progress: UnpackProgress) => void) | undefined;
  readonly signal?: AbortSignal | undefined;
}

export interface Unpacked {
  /** Lowest first. */
  readonly layers: readonly { readonly chainId: Digest; readonly path: string }[];
  /** The same each time, whether the layers were unpacked now or before. */
  readonly warnings: readonly string[];
  /** The folder of layers of these ids: what leases must name too. */
  readonly world: string;
}

/** Noted beside an unpacked layer, with the ids: they tell who can remove it. */
interface LayerNotes {
  readonly diffId: Digest;
  /** Decompressed. */
  readonly bytes: number;
  readonly squashedOwners: number;
  readonly warnings: readonly string[];
}

function notesOf(layer: AppliedLayer, warnings: readonly string[]): LayerNotes {
  return { diffId: layer.diffId, bytes: layer.bytes, squashedOwners: layer.deviations.squashedOwners, warnings };
}

/** Notes are ours, but a hand may have been there: what is missing counts as nothing to say. */
function readNotes(meta: Readonly<Record<string, unknown>> | null): Pick<LayerNotes, "squashedOwners" | "warnings"> {
  const { squashedOwners, warnings } = meta ?? {};
  return {
    squashedOwners: typeof squashedOwners === "number" ? squashedOwners : 0,
    warnings: Array.isArray(warnings) ? warnings.filter((warning) => typeof warning === "string") : [],
  };
}

type Notes = Pick<LayerNotes, "squashedOwners" | "warnings">;

/** Unpacks one layer, on top of those below it. */
async function unpackLayer(
  options: UnpackOptions,
  chain: readonly Digest[],
  { at, helper }: { readonly at: number; readonly helper: LayerHelper },
): Promise<Notes> {
  const { store, manifest, config, ids, limits, signal, name } = options;
  const world = idWorld(ids);
  const [chainId, blob, diffId] = [chain[at], manifest.layers[at], config.rootfs.diff_ids[at]];
  if (chainId === undefined || blob === undefined || diffId === undefined) throw new RangeError("no such layer");
  const writer = await store.beginLayer(chainId, world, ids);
  try {
    const applied = await applyLayer({
      doing: `unpacking ${quoted(name)}: layer ${at + 1} of ${manifest.layers.length} (${blob.digest})`,
      blob: await store.readBlob(blob),
      diffId,
      root: writer.path,
      lowers: chain
        .slice(0, at)
        .map((below) => store.layerPath(below, world))
        .reverse(),
      ids,
      helper,
      ...(limits === undefined ? {} : { limits }),
      signal,
      progress: (bytes) => options.progress?.({ layer: at, layers: manifest.layers.length, bytes }),
    });
    const notes = notesOf(applied, layerWarnings(`layer ${at + 1}`, applied));
    await writer.commit({ ...notes, ids });
    return notes;
  } catch (error) {
    await writer.abort();
    throw error;
  }
}

/** Unpacks what is not there of a chain of layers; what was noted of each. */
async function unpackMissing(options: UnpackOptions, chain: readonly Digest[]): Promise<readonly Notes[]> {
  const { store, ids, name, signal } = options;
  const world = idWorld(ids);
  const helper = layerHelper(ids);
  const all: Notes[] = [];
  try {
    for (const [at, chainId] of chain.entries()) {
      if (signal?.aborted) throw new BelljarError("cancelled", `unpacking ${quoted(name)}: cancelled`, { cause: signal.reason });
      const isThere = store.hasLayer(chainId, world);
      all.push(isThere ? readNotes(await store.layerMeta(chainId, world)) : await unpackLayer(options, chain, { at, helper }));
      options.progress?.({ layer: at, layers: chain.length, bytes: null });
    }
    await helper.close();
    return all;
  } catch (error) {
    await helper.kill();
    throw error;
  }
}

/**
 * Makes sure that all layers of an image are unpacked, each as its difference in overlay form (docs/layers.md), in the world of the
 * given ids. Each finished layer stays when a later one fails. Throws BelljarError `image-invalid` (naming image, layer and cause),
 * `store-failed`, `guard-unavailable`, `cancelled`.
 */
export async function unpackImage(options: UnpackOptions): Promise<Unpacked> {
  const { store, manifest, config, ids, name, signal } = options;
  const diffIds = config.rootfs.diff_ids;
  if (manifest.layers.length !== diffIds.length)
    throw new BelljarError(
      "image-invalid",
      `unpacking ${quoted(name)}: the manifest has ${manifest.layers.length} layers, the configuration ${diffIds.length}`,
    );
  await store.hold(signal);
  const world = idWorld(ids);
  const chain = chainIds(diffIds);
  const [lowest] = chain;
  const unpack = () => unpackMissing(options, chain);
  // Images that share a layer share all below it: whoever unpacks the same waits, and finds it.
  const isComplete = lowest === undefined || chain.every((chainId) => store.hasLayer(chainId, world));
  const notes = isComplete ? await unpack() : await store.exclusively(`unpack ${world} ${lowest}`, unpack, signal);
  const squashedOwners = notes.reduce((sum, one) => sum + one.squashedOwners, 0);
  return {
    layers: chain.map((chainId) => ({ chainId, path: store.layerPath(chainId, world) })),
    warnings: [...ownerWarning(squashedOwners, ids.kind === "single"), ...notes.flatMap(({ warnings }) => warnings)],
    world,
  };
}
