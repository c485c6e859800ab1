import { lstatSync, realpathSync } from "node:fs";
import { dirname } from "node:path";
import { BelljarError } from "../../policy/errors.ts";
import type { Config } from "../host/config.ts";
import type { PlainFacts } from "../host/facts.ts";
import { hostFiles } from "../host/host-files.ts";
import type { PreparedRun, Venue } from "../run/prepare.ts";
import { bytesEqual, wornBytes } from "../run/worn.ts";
import { buildName, type PoolPlace, readPool, socketOf } from "./places.ts";
import { boundsOf, type Pool } from "./record.ts";
import { standing } from "./standing.ts";

/** A pool that this process may have runs made in. */
export interface OpenPool {
  readonly path: string;
  readonly socket: string;
  readonly pool: Pool;
}

/** Where the configuration asks for cgroups of one kind, or for none, other pools are none. */
const isWanted = ({ cgroup }: Pool, { cgroup: { use = "auto" } = {} }: Config): boolean => use === "auto" || use === cgroup.kind;

/** Of these, pools of this build whose server stands where we stand. */
export function openPools(places: readonly Pick<PoolPlace, "path">[], config: Config): readonly OpenPool[] {
  if (places.length === 0) return [];
  const build = buildName();
  const here = standing(hostFiles());
  return places.flatMap(({ path }) => {
    const pool = readPool({ path }, build);
    return pool === null || pool.standing !== here || !isWanted(pool, config) ? [] : [{ path, socket: socketOf(path), pool }];
  });
}

/** /proc/self and what leads there is another thing to the launcher of a server. */
function isPlainPath(path: string): boolean {
  try {
    return !realpathSync(dirname(path)).startsWith("/proc/") && lstatSync(path, { throwIfNoEntry: false })?.isSymbolicLink() !== true;
  } catch {
    return false;
  }
}

/** A run under its own limits is the same under the server's: only then it is what the caller would have made. */
async function isBoundAlike({ runId, cgroup, limits }: Pool, run: PreparedRun, { plan, facts }: Planner): Promise<boolean> {
  if (JSON.stringify(boundsOf(facts)) === JSON.stringify(limits)) return true;
  const there = await plan({ runId, cgroup, limits });
  return bytesEqual(there.execBytes, run.execBytes) && bytesEqual(there.sandboxBytes, run.sandboxBytes);
}

export interface Planner {
  readonly plan: (venue: Venue) => Promise<PreparedRun>;
  readonly facts: PlainFacts;
  /** What is asked for; of several pools, those that were made for the same are looked at first. */
  readonly wanted: Pick<Pool, "profile" | "image">;
}

export interface Served {
  readonly prepared: PreparedRun;
  readonly pool: OpenPool;
}

/** The first of the pools whose sandboxes are what this run would make for itself. What cannot be planned for a pool, another plan tells of. */
export async function choosePool(pools: readonly OpenPool[], planner: Planner): Promise<Served | null> {
  const { profile, image } = planner.wanted;
  const isLikely = ({ pool }: OpenPool): boolean => pool.profile === profile && pool.image === image;
  for (const open of [...pools.filter(isLikely), ...pools.filter((one) => !isLikely(one))]) {
    const { pool } = open;
    try {
      const prepared = await planner.plan({ runId: pool.runId, cgroup: pool.cgroup });
      const { exec } = prepared.plan;
      const files = [...exec.filesIn, ...exec.filesOut].map(({ hostPath }) => hostPath);
      if (!bytesEqual(prepared.sandboxBytes, pool.sandboxBytes) || !bytesEqual(wornBytes(exec), pool.worn) || !files.every(isPlainPath))
        continue;
      if (await isBoundAlike(pool, prepared, planner)) return { prepared, pool: open };
    } catch (error) {
      if (!(error instanceof BelljarError)) throw error;
    }
  }
  return null;
}
