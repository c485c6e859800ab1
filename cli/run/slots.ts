import { join } from "node:path";
import { cacheHome } from "../host/cache-home.ts";

declare global {
  /** Names the bundle that this code is part of; absent where it runs from its sources. */
  var belljarBuild: string | undefined;
}

/** A place for each of the last requests of a kind, whatever they are: the cache cannot grow. */
const slots = 64;

/** FNV-1a: only which place; the request itself is compared. */
function slotOf(key: string): number {
  let hash = 0x811c9dc5;
  for (let i = 0; i < key.length; i++) hash = Math.imul(hash ^ key.charCodeAt(i), 0x01000193);
  return (hash >>> 0) % slots;
}

/** The file in the cache's folder of that kind for a request; null where nothing is kept. */
export function slotPath(kind: string, key: string): string | null {
  const home = globalThis.belljarBuild === undefined ? null : cacheHome(process.env);
  return home === null ? null : join(home, kind, String(slotOf(key)));
}
