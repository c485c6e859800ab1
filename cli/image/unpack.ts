import type { Readable } from "node:stream";
import { maxLayers } from "../../policy/compile/layers.ts";
import { BelljarError } from "../../policy/errors.ts";
import { quoted } from "../output/terminal.ts";
import { chainIds } from "./digest.ts";
import { type AppliedLayer, applyLayer } from "./layer/apply-layer.ts";
import { decompress } from "./layer/decompress.ts";
import { type LayerHelper, layerHelper } from "./layer/helper.ts";
import { idWorld, type LayerIds } from "./layer/ids.ts";
import { defaultLayerLimits, type LayerLimits } from "./layer/limits.ts";
import { type ReadAhead, readAhead } from "./layer/read-ahead.ts";
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

/** Decompressed bytes of the next layer that are there before its turn comes: decompression is what takes longest, and it has a thread of its own. */
const aheadBytes = 4 * 1024 * 1024;

interface OneLayer {
  readonly chain: readonly Digest[];
  readonly at: number;
}

async function openContent({ store, manifest, limits }: UnpackOptions, at: number): Promise<ReadAhead> {
  const blob = manifest.layers[at];
  if (blob === undefined) throw new RangeError("no such layer");
  return readAhead(decompress(await store.readBlob(blob), { ...defaultLayerLimits, ...limits }), aheadBytes);
}

/** Damage on the disk looks like damage in the image when a decoder meets it first: the blob's digest, which is only known at its end, tells them apart. */
async function causeOf(
  error: unknown,
  { store, manifest }: UnpackOptions,
  layer: { readonly at: number; readonly doing: string },
): Promise<unknown> {
  const blob = manifest.layers[layer.at];
  const isDecoders = error instanceof BelljarError && error.code === "image-invalid" && error.message.startsWith(layer.doing);
  if (blob === undefined || !isDecoders) return error;
  try {
    for await (const _ of await store.readBlob(blob));
    return error;
  } catch (damage) {
    return damage;
  }
}

/** Unpacks one layer, on top of those below it. */
async function unpackLayer(
  options: UnpackOptions,
  { chain, at }: OneLayer,
  { content, helper }: { readonly content: ReadAhead; readonly helper: LayerHelper },
): Promise<Notes> {
  const { store, manifest, config, ids, limits, signal, name } = options;
  const world = idWorld(ids);
  const [chainId, diffId] = [chain[at], config.rootfs.diff_ids[at]];
  if (chainId === undefined || diffId === undefined) throw new RangeError("no such layer");
  const doing = `unpacking ${quoted(name)}: layer ${at + 1} of ${manifest.layers.length} (${manifest.layers[at]?.digest})`;
  const writer = await store.beginLayer(chainId, world, ids);
  try {
    const applied = await applyLayer({
      doing,
      content,
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
    throw await causeOf(error, options, { at, doing });
  }
}

/** Unpacks what is not there of a chain of layers; what was noted of each. */
async function unpackMissing(options: UnpackOptions, chain: readonly Digest[]): Promise<readonly Notes[]> {
  const { store, ids, name, signal } = options;
  const world = idWorld(ids);
  const helper = layerHelper(ids);
  const missing = [...chain.entries()].flatMap(([at, chainId]) => (store.hasLayer(chainId, world) ? [] : [at]));
  const all: Notes[] = [];
  let ahead: Promise<ReadAhead> | null = null;
  try {
    for (const [at, chainId] of chain.entries()) {
      if (signal?.aborted) throw new BelljarError("cancelled", `unpacking ${quoted(name)}: cancelled`, { cause: signal.reason });
      if (missing.includes(at)) {
        const content: ReadAhead = await (ahead ?? openContent(options, at));
        const next = missing.find((later) => later > at);
        ahead = next === undefined ? null : openContent(options, next);
        ahead?.catch(() => undefined); // told when its turn comes
        all.push(await unpackLayer(options, { chain, at }, { content, helper }).finally(() => content.close()));
      } else all.push(readNotes(await store.layerMeta(chainId, world)));
      options.progress?.({ layer: at, layers: chain.length, bytes: null });
    }
    await helper.close();
    return all;
  } catch (error) {
    await helper.kill();
    throw error;
  } finally {
    const unused = await ahead?.catch(() => null);
    await unused?.close();
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
  if (diffIds.length > maxLayers)
    throw new BelljarError("not-supported", `unpacking ${quoted(name)}: it has ${diffIds.length} layers, more than ${maxLayers}`);
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
