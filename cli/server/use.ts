import type { Config } from "../host/config.ts";
import type { FlowOptions } from "../run/flows.ts";
import { type Launcher, launcherPath } from "../run/launcher.ts";
import type { OpenRun } from "../run/prepare.ts";
import type { StreamTarget } from "../run/streams.ts";
import { choosePool, openPools, type Served } from "./choose.ts";
import { connectDirect } from "./direct.ts";
import type { PoolPlace } from "./places.ts";

/** How long a run waits for a sandbox that is being made, before it makes its own. */
const patienceMs = 250;

export interface FindOptions {
  readonly places: readonly Pick<PoolPlace, "path">[];
  readonly config: Config;
  /** The profile, as it was named. */
  readonly wanted: string;
}

/** A pool for this run, if there is one. */
export async function findServer(run: OpenRun, { places, config, wanted }: FindOptions): Promise<Served | null> {
  const { policy } = run;
  const pools = policy.scratch.storage === "disk" ? [] : openPools(places, config);
  if (pools.length === 0) return null;
  const image = policy.rootfs.kind === "image" ? policy.rootfs.reference : null;
  return choosePool(pools, { plan: run.plan, facts: run.plainFacts, wanted: { profile: wanted, image } });
}

export interface Taken {
  readonly launcher: Launcher;
  /** Where the streams of the command go. */
  readonly flows: Pick<FlowOptions, "stdin" | "onStdout" | "onStderr">;
}

/** A sandbox of the pool's for this run alone; null when it has none, or is gone: nothing has run then, and nothing was read. */
export async function takeSandbox({ pool }: Served, targets: readonly [StreamTarget, StreamTarget, StreamTarget]): Promise<Taken | null> {
  const options = { socket: pool.socket, launcher: launcherPath(), patienceMs };
  const direct = await connectDirect(options, targets);
  if (direct !== undefined) return direct === null ? null : { launcher: direct, flows: {} };
  const [{ callersStreams }, { connectServer }] = await Promise.all([import("./callers-streams.ts"), import("./connection.ts")]);
  const streams = callersStreams(targets);
  if (streams === null) return null;
  const launcher = await connectServer(options);
  if (launcher === null) streams.close();
  return launcher === null ? null : { launcher, flows: streams.connect(launcher) };
}
