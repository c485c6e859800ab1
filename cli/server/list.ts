import { buildName, livePools, readPool } from "./places.ts";

/** A pool as it is told of. */
export interface PoolFacts {
  readonly path: string;
  readonly pid: number;
  /** The rest is null where another build serves it, whose runs alone can use it. */
  readonly profile: string | null;
  readonly image: string | null;
  readonly size: number | null;
  readonly max: number | null;
  readonly since: string | null;
  /** What its cgroups are. */
  readonly cgroup: "none" | "cgroup1" | "cgroup2" | null;
}

const unknown = { profile: null, image: null, size: null, max: null, since: null, cgroup: null } as const;

/** Every pool of this user's that somebody serves. */
export function listPools(environment: Readonly<Record<string, string | undefined>>): readonly PoolFacts[] {
  const build = buildName();
  return livePools(environment).map(({ path, pid }) => {
    const pool = readPool({ path }, build);
    if (pool === null) return { path, pid, ...unknown };
    const { profile, image, size, max, since, cgroup } = pool;
    return { path, pid, profile, image, size, max, since, cgroup: cgroup.kind };
  });
}
