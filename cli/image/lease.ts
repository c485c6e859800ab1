import { existsSync } from "node:fs";
import { makeSessionFolder, removeEmptySession, type SessionFolder } from "./session-folder.ts";
import type { StorePaths } from "./store-paths.ts";

/** Layers that stay, whatever is removed meanwhile, until this is released or the process ends. */
export interface Lease {
  /** Absolute paths, lowest first. */
  readonly paths: readonly string[];
  release(): Promise<void>;
}

async function pin(paths: StorePaths, names: readonly string[]): Promise<SessionFolder> {
  try {
    return await makeSessionFolder(paths, names);
  } catch (error) {
    const { storeError } = await import("./layout.ts");
    throw storeError("using the image store", paths.sessions, error);
  }
}

async function unpin(paths: StorePaths, session: SessionFolder): Promise<void> {
  await session.stop();
  if (removeEmptySession(session.path)) return;
  const { discard } = await import("./store-remove.ts");
  await discard(paths, session.path);
}

export interface LeaseOptions {
  /** This process keeps others from removing anything. */
  readonly held: boolean;
  /** Whether the layer in a folder can be used. */
  readonly isGood: (folder: string) => boolean;
}

/**
 * Pins layers by their names (layerName), lowest first. null when one is not there, or when somebody removes content just now.
 * Throws BelljarError `store-failed`.
 */
export async function leaseNames(paths: StorePaths, names: readonly string[], { held, isGood }: LeaseOptions): Promise<Lease | null> {
  // Pin first, then look: whoever removes marks that first, and looks at the pins then. One of both sees the other.
  const session = await pin(paths, names);
  const isSafe = held || !existsSync(paths.pruning);
  const folders = names.map((name) => `${paths.root}/${name}`);
  if (isSafe && folders.every(isGood)) return { paths: folders.map((folder) => `${folder}/diff`), release: () => unpin(paths, session) };
  await unpin(paths, session);
  return null;
}
