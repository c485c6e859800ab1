// Unpacked layers as they lie in the store. Synchronous, and free of what costs time to load: every run asks for every layer.
import { existsSync, readFileSync, statSync } from "node:fs";
import { bootId } from "../host/boot-id.ts";

/** In a layer's folder: what was noted of it. It is there when all else is. */
export const metaName = "layer.json";
/** Holds the id of the boot that unpacked a layer whose files may not all be on the disk yet. */
export const unsettledName = "unsettled";

/** Whether what was unpacked before a crash of the machine may have lost file contents. */
export function isStale(folder: string): boolean {
  const mark = `${folder}/${unsettledName}`;
  // Asked of every layer at many runs: an exception would cost more than the call.
  if (!existsSync(mark)) return false;
  try {
    return readFileSync(mark, "utf8") !== bootId();
  } catch (error) {
    return (error as NodeJS.ErrnoException).code !== "ENOENT"; // settled just now
  }
}

export const isThere = (folder: string): boolean => existsSync(`${folder}/${metaName}`);

/** Whether a layer is in this folder, whole. */
export const isUsable = (folder: string): boolean => isThere(folder) && !isStale(folder);

/** When the oldest of these layers was unpacked whose files may not all be on the disk yet, in milliseconds; null when all are. */
export function unsettledSince(folders: readonly string[]): number | null {
  const times = folders.flatMap((folder) => statSync(`${folder}/${unsettledName}`, { throwIfNoEntry: false })?.mtimeMs ?? []);
  return times.length === 0 ? null : Math.min(...times);
}
