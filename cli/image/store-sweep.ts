import { existsSync } from "node:fs";
import { defaultStoreRoot, inStore, storePaths } from "./layout.ts";
import { acquireLock } from "./lock.ts";
import { contentLock } from "./store-prune.ts";
import { type Swept, sweepSessions } from "./store-session.ts";

/**
 * Removes what dead processes have left in the store, if there is one. Nothing while somebody prunes it, who does the same.
 * Throws BelljarError `store-failed`.
 */
export async function sweepStore(root: string = defaultStoreRoot()): Promise<Swept["removed"]> {
  const paths = storePaths(root);
  if (![paths.sessions, paths.trash, paths.partial, paths.locks].every((folder) => existsSync(folder))) return [];
  const lock = await acquireLock(contentLock(paths), { mode: "shared", wait: false });
  if (lock === null) return [];
  try {
    return (await inStore("cleaning the image store", paths.root, () => sweepSessions(paths))).removed;
  } finally {
    lock.release();
  }
}
