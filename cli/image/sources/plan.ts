import { quoted } from "../../output/terminal.ts";
import type { Descriptor, ImageConfig, ImageManifest, Platform } from "../oci-types.ts";

/** An image that a source holds and that has been checked; nothing of it is in the store yet. */
export interface PlannedImage {
  /** As the source says; empty when it says none. */
  readonly names: readonly string[];
  readonly descriptor: Descriptor;
  readonly manifest: ImageManifest;
  readonly config: ImageConfig;
  /** Moves blobs and manifest into the store. */
  take(): Promise<void>;
}

export interface SourcePlan {
  readonly images: readonly PlannedImage[];
  /** What was passed over, and why. */
  readonly warnings: readonly string[];
}

export interface SourceOptions {
  /** Begins every message: "loading 'a.tar'". */
  readonly doing: string;
  /** Which image of several; default: this machine's. */
  readonly platform: Platform;
  readonly signal?: AbortSignal | undefined;
}

export const describeImage = (names: readonly string[], descriptor: Descriptor): string => quoted(names[0] ?? descriptor.digest);
