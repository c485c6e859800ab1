import { mkdtempSync } from "node:fs";
import { join } from "node:path";
import { subordinateMaps } from "../../policy/compile/ids.ts";
import type { HostFacts } from "../../policy/compile/types.ts";
import { BelljarError } from "../../policy/errors.ts";
import { applyPath } from "../image/layer/apply-path.ts";
import { removeUnpacked } from "../image/layer/helper.ts";
import type { LayerIds } from "../image/layer/ids.ts";
import { fileError } from "../run/files.ts";
import { cacheHome } from "./cache-home.ts";
import { type PlainFacts, userNameOf } from "./facts.ts";
import { hostFiles } from "./host-files.ts";
import { makeFolders } from "./make-folders.ts";
import { startTimeOf } from "./process-info.ts";
import { isPrivate } from "./runtime-dir.ts";
import { subordinateFacts } from "./subid.ts";

type Environment = Readonly<Record<string, string | undefined>>;

/** Where scratch folders on disk are made: $XDG_CACHE_HOME/belljar/scratch. null without a home. */
export function scratchHome(environment: Environment): string | null {
  const home = cacheHome(environment);
  return home === null ? null : join(home, "scratch");
}

export interface ScratchFolder {
  readonly path: string;
  /** The program that counts what is in it. */
  readonly apply: string;
  /** With everything that the run has left in it, whoever it belongs to. */
  remove(): Promise<void>;
}

/** As root of a user namespace that has all ids of the run: only so can everything be removed. */
export function removalIds(facts: Pick<HostFacts, "subordinate" | "uid" | "gid" | "userName" | "freeSubordinateIds">): LayerIds {
  const { uids, gids, newuidmap, newgidmap } = facts.subordinate;
  if (uids.length === 0 || gids.length === 0 || newuidmap === null || newgidmap === null) return { kind: "single" };
  return { kind: "subordinate", ...subordinateMaps(facts), unmapped: "squash" };
}

/** The same without a run: with all the ids that this user has. */
export function ownRemovalIds(): LayerIds {
  const uid = process.getuid?.() ?? 0;
  const userName = userNameOf(uid);
  const subordinate = subordinateFacts(hostFiles(), { name: userName, uid });
  return removalIds({ subordinate, uid, gid: process.getgid?.() ?? 0, userName, freeSubordinateIds: null });
}

const attempts = 5;
const pauseMs = 100;

/** Where the launcher was killed, the sandbox may still be dying, and writing. What stays all the same, `belljar gc` finds. */
async function removePatiently(path: string, ids: LayerIds): Promise<void> {
  for (let attempt = 1; attempt <= attempts; attempt++) {
    try {
      return await removeUnpacked(path, ids);
    } catch {
      await new Promise((resolve) => setTimeout(resolve, pauseMs));
    }
  }
}

/** Makes an empty folder of this process's, which `belljar gc` finds when nobody removes it. Throws BelljarError `file-unwritable`. */
export function makeScratchFolder(environment: Environment, facts: PlainFacts): ScratchFolder {
  const home = scratchHome(environment);
  if (home === null)
    throw new BelljarError("file-unwritable", "making the scratch folder: neither XDG_CACHE_HOME nor HOME names a folder", {
      hint: 'set one of them, or use "scratch": { "storage": "memory" }',
    });
  try {
    makeFolders(home);
    if (!isPrivate(home, facts.uid))
      throw fileError(
        "file-unwritable",
        "making the scratch folder",
        home,
        "must be a folder of yours that nobody else can enter (mode 700)",
      );
    const path = mkdtempSync(join(home, `run-${process.pid}-${startTimeOf(process.pid) ?? 0}-`));
    return { path, apply: applyPath(), remove: () => removePatiently(path, removalIds(facts)) };
  } catch (error) {
    throw error instanceof BelljarError ? error : fileError("file-unwritable", "making the scratch folder", home, error);
  }
}
