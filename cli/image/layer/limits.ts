/** What one layer may cost at most. A layer is a stranger's: without these, a few bytes fill the disk. */
export interface LayerLimits {
  /** Bytes of the archive when decompressed. */
  readonly maxBytes: number;
  /** Bytes of one file, holes included. */
  readonly maxFileBytes: number;
  /** Headers of the archive, those included that only describe the next entry. */
  readonly maxEntries: number;
  /** Bytes of a path from the root. */
  readonly maxPathBytes: number;
  /** Components of a path. */
  readonly maxDepth: number;
  /** Bytes of an extended header, and of a sparse file's map. */
  readonly maxHeaderBytes: number;
  /** Decompressed by compressed bytes; looked at only beyond `ratioFloorBytes`, since small layers of zeros are legal. */
  readonly maxRatio: number;
  readonly ratioFloorBytes: number;
}

const gib = 1024 ** 3;

export const defaultLayerLimits: LayerLimits = {
  maxBytes: 64 * gib,
  maxFileBytes: 1024 * gib,
  maxEntries: 1_000_000,
  maxPathBytes: 4095, // PATH_MAX without the NUL: longer ones could be made and never be opened
  maxDepth: 256,
  maxHeaderBytes: 1024 * 1024,
  maxRatio: 200,
  ratioFloorBytes: gib,
};
