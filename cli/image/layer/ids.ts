import { createHash } from "node:crypto";
import type { IdMap } from "../../../policy/wire/wire.gen.ts";

/** Whose files the unpacked ones are. */
export type LayerIds =
  /** All are the caller's: owners are squashed. */
  | { readonly kind: "single" }
  /** The caller as root, subordinate ids above; both maps begin with the caller as 0. */
  | {
      readonly kind: "subordinate";
      readonly uidMaps: readonly IdMap[];
      readonly gidMaps: readonly IdMap[];
      readonly newuidmap: string;
      readonly newgidmap: string;
      /** What becomes of ids that the maps do not have. */
      readonly unmapped: "fail" | "squash";
    };

const mapText = (maps: readonly IdMap[]): string =>
  maps.map(({ containerId, hostId, size }) => `${containerId}:${hostId}:${size}`).join(",");

/** The arguments by which belljar-apply is told. */
export function idArguments(ids: LayerIds): readonly string[] {
  if (ids.kind === "single") return ["single"];
  return ["subordinate", ids.newuidmap, ids.newgidmap, mapText(ids.uidMaps), mapText(ids.gidMaps)];
}

/** Layers unpacked under different maps have different owners on the disk, and are different layers to the store. */
export function idWorld(ids: LayerIds): string {
  if (ids.kind === "single") return "single";
  const maps = `${mapText(ids.uidMaps)} ${mapText(ids.gidMaps)} ${ids.unmapped}`;
  return `subordinate-${createHash("sha256").update(maps).digest("hex").slice(0, 16)}`;
}

export const isMapped = (maps: readonly IdMap[], id: number): boolean =>
  maps.some(({ containerId, size }) => id >= containerId && id < containerId + size);

/** nobody's, for ids that have no place: user_namespaces(7), overflowuid. */
const overflowId = 65534;

/** The id that stands for one that the maps do not have. */
export const squashed = (maps: readonly IdMap[]): number => (isMapped(maps, overflowId) ? overflowId : 0);
