import { BelljarError } from "../../policy/errors.ts";
import type { Config } from "../host/config.ts";
import { quoted } from "../output/terminal.ts";
import type { FlowOptions } from "../run/flows.ts";
import { launcherPath } from "../run/launcher.ts";
import type { OpenRun } from "../run/prepare.ts";
import type { StreamTarget } from "../run/streams.ts";
import { choosePool, openPools, type Served } from "./choose.ts";
import type { ServedLauncher } from "./connection.ts";

type Environment = Readonly<Record<string, string | undefined>>;

/** `auto`: whichever fits; `none`; or the folder of the one. */
export type ServerChoice = "auto" | "none" | `/${string}`;

/** $BELLJAR_SERVER, else the configuration. Throws BelljarError `usage`. */
export function serverChoice(config: Config, environment: Environment): ServerChoice {
  const { BELLJAR_SERVER: named = "" } = environment as { readonly BELLJAR_SERVER?: string };
  if (named === "") return config.server ?? "auto";
  if (named === "auto" || named === "none" || named.startsWith("/")) return named as ServerChoice;
  throw new BelljarError("usage", `reading $BELLJAR_SERVER: ${quoted(named)}: is not auto, none or the folder of a pool`);
}

/** How long a run waits for a sandbox that is being made, before it makes its own. */
const patienceMs = 250;

/** A pool for this run, if there is one. */
export async function findServer(
  run: OpenRun,
  {
    choice,
    environment,
    config,
    wanted,
  }: { readonly choice: ServerChoice; readonly environment: Environment; readonly config: Config; readonly wanted: string },
): Promise<Served | null> {
  const { policy } = run;
  if (choice === "none" || policy.scratch.storage === "disk") return null;
  const pools = openPools({ environment, config, place: choice === "auto" ? null : choice });
  if (pools.length === 0) return null;
  const image = policy.rootfs.kind === "image" ? policy.rootfs.reference : null;
  return choosePool(pools, { plan: run.plan, facts: run.plainFacts, wanted: { profile: wanted, image } });
}

export interface Taken {
  readonly launcher: ServedLauncher;
  /** Where the streams of the command go. */
  readonly flows: Pick<FlowOptions, "stdin" | "onStdout" | "onStderr">;
}

/** A sandbox of the pool's for this run alone; null when it has none, or is gone: nothing has run then, and nothing was read. */
export async function takeSandbox({ pool }: Served, targets: readonly [StreamTarget, StreamTarget, StreamTarget]): Promise<Taken | null> {
  const [{ callersStreams }, { connectServer }] = await Promise.all([import("./callers-streams.ts"), import("./connection.ts")]);
  const streams = callersStreams(targets);
  if (streams === null) return null;
  const launcher = await connectServer({ socket: pool.socket, launcher: launcherPath(), patienceMs });
  if (launcher === null) streams.close();
  return launcher === null ? null : { launcher, flows: streams.connect(launcher) };
}
