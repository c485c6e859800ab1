import type { CgroupFacts, HostFacts } from "../../policy/compile/types.ts";

/** What decides, besides the plan, whether a run may take place in a pool: the same of who serves it and of who wants it run. */
export interface PoolBounds {
  readonly standing: string;
  readonly limits: Pick<HostFacts, "callerLimits" | "core" | "onlineCpus">;
}

/** Limits of a session that bound what is made in it. */
export const boundsOf = ({ callerLimits, core, onlineCpus }: PoolBounds["limits"]): PoolBounds["limits"] => ({
  callerLimits,
  core,
  onlineCpus,
});

/** What `belljar serve` tells of its pool to those who look for one. */
export interface PoolRecord extends PoolBounds {
  /** Of belljar and of its launcher, as whoever plans for the pool has to have them. */
  readonly build: string;
  /** For people. */
  readonly profile: string;
  readonly image: string | null;
  readonly size: number;
  readonly max: number;
  readonly since: string;
  /** What a plan for it has to be made with. */
  readonly cgroup: CgroupFacts;
  readonly runId: string;
}

/** A pool as it lies in its file: one line of JSON, then the bytes that a plan has to have. */
export interface Pool extends PoolRecord {
  readonly sandboxBytes: Uint8Array;
  /** See `wornBytes`. */
  readonly worn: Uint8Array;
}

export function encodePool({ sandboxBytes, worn, ...record }: Pool): Uint8Array {
  const head = JSON.stringify({ ...record, lengths: [sandboxBytes.length, worn.length] });
  return Buffer.concat([Buffer.from(`${head}\n`), sandboxBytes, worn]);
}

/** null for what is none of this build's: its own form may differ. */
export function decodePool(bytes: Buffer, build: string): Pool | null {
  try {
    const end = bytes.indexOf(10);
    const { lengths, ...record } = JSON.parse(bytes.toString("utf8", 0, end)) as PoolRecord & {
      readonly lengths: readonly [number, number];
    };
    if (record.build !== build) return null;
    const [sandbox, worn] = lengths;
    const at = end + 1;
    if (bytes.length !== at + sandbox + worn) return null;
    return { ...record, sandboxBytes: bytes.subarray(at, at + sandbox), worn: bytes.subarray(at + sandbox) };
  } catch {
    return null; // being written, or damaged
  }
}
