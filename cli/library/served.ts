import { existsSync } from "node:fs";
import { BelljarError } from "../../policy/errors.ts";
import type { Config } from "../host/config.ts";
import { quoted } from "../output/terminal.ts";
import { type Launcher, launcherPath } from "../run/launcher.ts";
import type { PreparedRun, PreparedSandbox, Venue } from "../run/prepare.ts";
import { chosenPlaces, type ServerChoice } from "../server/choice.ts";
import { choosePool, type OpenPool, openPools } from "../server/choose.ts";
import { connectServer } from "../server/connection.ts";

/** How long a run waits for a sandbox that a server is making. */
const patienceMs = 250;

type Plan = (venue: Venue) => Promise<PreparedRun>;

export interface ServedRun {
  readonly prepared: PreparedRun;
  readonly launcher: Launcher;
}

/** Takes sandboxes of run servers for the runs of one sandbox of the library. */
export interface Servers {
  /** null where none fits, or has one left: then nothing has run. */
  take(plan: Plan): Promise<ServedRun | null>;
}

export interface ServersOptions {
  readonly choice: ServerChoice;
  readonly environment: Readonly<Record<string, string | undefined>>;
  readonly config: Config;
  readonly sandbox: PreparedSandbox;
  readonly profile: string;
  /** A run like most. */
  readonly plan: Plan;
}

/** Those whose sandboxes are what most runs would make; null where there are none. Throws BelljarError `usage` for one that is named and is none. */
export async function findServers({ choice, environment, config, sandbox, profile, plan: usual }: ServersOptions): Promise<Servers | null> {
  const { policy, plainFacts: facts } = sandbox;
  if (policy.scratch.storage === "disk") return null;
  const found = openPools(chosenPlaces(choice, environment), config);
  if (choice.startsWith("/") && found.length === 0)
    throw new BelljarError("usage", `reading options: 'server': ${quoted(choice)}: no pool of this build's is served there`, {
      hint: "`belljar serve ls` lists what is",
    });
  const wanted = { profile, image: policy.rootfs.kind === "image" ? policy.rootfs.reference : null };
  const choose = async (pools: readonly OpenPool[], plan: Plan) => {
    const plans: PreparedRun[] = [];
    const kept: Plan = async (venue) => {
      const run = await plan(venue);
      plans.push(run);
      return run;
    };
    const chosen = await choosePool(pools, { plan: kept, facts, wanted });
    for (const run of plans) if (run !== chosen?.prepared) await run.release();
    return chosen;
  };
  let pools: readonly OpenPool[] = [];
  for (const pool of found) {
    const fitting = await choose([pool], usual);
    await fitting?.prepared.release();
    if (fitting !== null) pools = [...pools, pool];
  }
  if (pools.length === 0) return null;
  const launcher = launcherPath();
  return {
    take: async (plan) => {
      const chosen = await choose(pools, plan);
      if (chosen === null) return null;
      const { socket } = chosen.pool;
      const taken = await connectServer({ socket, launcher, patienceMs });
      if (taken !== null) return { prepared: chosen.prepared, launcher: taken };
      await chosen.prepared.release();
      // A server that is gone does not come back under that name.
      if (!existsSync(socket)) pools = pools.filter((pool) => pool.socket !== socket);
      return null;
    },
  };
}
