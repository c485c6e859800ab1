import { BelljarError } from "../../../policy/errors.ts";
import { digestFrom, hashFor, splitDigest } from "../digest.ts";
import type { Digest } from "../oci-types.ts";
import { changeset, type Deviations, noDeviations, UnmappedId } from "./changeset.ts";
import { frameWriter } from "./frames.ts";
import { type LayerHelper, layerHelper } from "./helper.ts";
import type { LayerIds } from "./ids.ts";
import { defaultLayerLimits, type LayerLimits } from "./limits.ts";
import { LayerProblem, layerError } from "./problem.ts";
import type { LayerReports } from "./reports.ts";
import { tarReader } from "./tar-reader.ts";

export interface ApplyLayer {
  /** "unpacking layer 2 of 5 of …", for errors. */
  readonly doing: string;
  /** The archive, decompressed within the same limits. */
  readonly content: AsyncIterable<Buffer>;
  /** Its digest; null where nobody has said it. */
  readonly diffId: Digest | null;
  /** An empty directory, to become the layer's difference in overlay form. */
  readonly root: string;
  /** Differences of the layers below, topmost first. */
  readonly lowers: readonly string[];
  readonly ids: LayerIds;
  /** The process that makes it, where it makes others too; it is killed when this layer fails. */
  readonly helper?: LayerHelper;
  readonly limits?: Partial<LayerLimits>;
  readonly signal?: AbortSignal | undefined;
  /** Called with the number of bytes that were decompressed so far. */
  readonly progress?: ((bytes: number) => void) | undefined;
}

export interface AppliedLayer extends LayerReports {
  readonly deviations: Deviations;
  /** Of the decompressed archive. */
  readonly diffId: Digest;
  readonly bytes: number;
}

/**
 * Applies one layer to an empty directory, as the difference from the layers below it. Throws BelljarError: `image-invalid` for the
 * archive's faults, `store-failed`, `guard-unavailable`, `cancelled`; errors of the blob as they are. The directory is then
 * unusable, and the caller's to remove.
 */
export async function applyLayer(options: ApplyLayer): Promise<AppliedLayer> {
  const { doing, ids, signal } = options;
  const limits = { ...defaultLayerLimits, ...options.limits };
  const deviations = noDeviations();
  const helper = options.helper ?? layerHelper(ids);
  const applier = helper.begin(doing, options.root);
  const frames = frameWriter(applier.send);
  const reader = tarReader(changeset(frames, { ids, limits, deviations }), limits);
  const hash = hashFor(options.diffId ?? "sha256:0000000000000000000000000000000000000000000000000000000000000000");
  const algorithm = options.diffId === null ? "sha256" : splitDigest(options.diffId).algorithm;
  let bytes = 0;
  try {
    if (applier.isNext) frames.root(options.root);
    for (const lower of options.lowers) frames.lower(lower);
    frames.begin({ chown: ids.kind === "subordinate" });
    for await (const chunk of options.content) {
      signal?.throwIfAborted();
      bytes += chunk.length;
      hash.update(chunk);
      reader.write(chunk);
      frames.flush();
      await applier.room();
      options.progress?.(bytes);
    }
    reader.end();
    const diffId = digestFrom(hash, algorithm);
    if (options.diffId !== null && diffId !== options.diffId)
      throw new LayerProblem(`the decompressed layer is not what the configuration says: ${diffId} instead of ${options.diffId}`);
    frames.end();
    const applied = await applier.finish();
    if (options.helper === undefined) await helper.close();
    deviations.clampedTimes += applied.done.clampedTimes;
    return { ...applied, deviations, diffId, bytes };
  } catch (error) {
    await helper.kill();
    if (signal?.aborted) throw new BelljarError("cancelled", `${doing}: cancelled`, { cause: error });
    if (error instanceof UnmappedId)
      throw new BelljarError("image-invalid", `${doing}: ${error.message}`, { cause: error, hint: error.hint });
    throw error instanceof LayerProblem ? layerError(doing, error) : error;
  }
}
