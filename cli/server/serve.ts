import { spawn } from "node:child_process";
import { existsSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { BelljarError } from "../../policy/errors.ts";
import { encodeExec } from "../../policy/wire/encode.ts";
import type { Config } from "../host/config.ts";
import { hostFiles } from "../host/host-files.ts";
import { quoted } from "../output/terminal.ts";
import { reasonOf } from "../run/files.ts";
import type { RunInput } from "../run/input.ts";
import { launcherPath } from "../run/launcher.ts";
import type { ImageProgress } from "../run/layered.ts";
import { compiledRunId } from "../run/plan-file.ts";
import { type PreparedSandbox, prepareSandbox } from "../run/prepare.ts";
import { wornBytes } from "../run/worn.ts";
import { buildName, makePoolFolder, planOf, recordOf, socketOf } from "./places.ts";
import { boundsOf, encodePool, type Pool } from "./record.ts";
import { settle } from "./settle.ts";
import { standing } from "./standing.ts";

type Environment = Readonly<Record<string, string | undefined>>;

export interface ServeOptions {
  readonly input: RunInput;
  /** Sandboxes that are kept ready. */
  readonly size: number;
  /** Sandboxes in all. */
  readonly max: number;
  readonly config: Config;
  readonly environment: Environment;
  readonly progress?: ImageProgress;
}

/** A pool that is being served. */
export interface Serving {
  readonly path: string;
  readonly warnings: readonly string[];
  /** What holds the limits of its runs. */
  readonly pool: Pool;
  /** Asks the server to end: it takes no more runs and waits for those that it has; asked again, it ends them. */
  readonly stop: () => void;
  /** Resolves when nothing is left. Throws BelljarError `launcher-failed` for a server that ended by itself. */
  readonly ended: Promise<void>;
}

/** sockaddr_un holds 108 bytes with the one that ends it (unix(7)). */
const maxSocketPath = 107;
const startMs = 30_000;
const pollMs = 5;

function refuseScratch({ policy }: PreparedSandbox): void {
  if (policy.scratch.storage !== "disk") return;
  throw new BelljarError("not-supported", `serving: "scratch.storage": "disk": each run needs a folder of its own there`, {
    hint: "--set scratch.storage=memory, or serve another profile: runs that do not fit make their own sandboxes",
  });
}

function refuseLongPath(socket: string): void {
  if (Buffer.byteLength(socket) <= maxSocketPath) return;
  throw new BelljarError("not-supported", `serving: ${quoted(socket)}: is longer than a socket's path may be`, {
    hint: "set XDG_RUNTIME_DIR to a folder with a shorter path",
  });
}

/** Plans what all sandboxes of the pool have in common, for a program that is only to be planned with. */
async function planPool(sandbox: PreparedSandbox, options: ServeOptions) {
  const { input, size, max } = options;
  const cgroup = sandbox.cgroup();
  const { image = null } = sandbox.policy.rootfs.kind === "image" ? { image: sandbox.policy.rootfs.reference } : {};
  const run = await sandbox.planRun({ ...input, command: ["true"] }, [], { runId: compiledRunId, cgroup });
  const pool: Pool = {
    ...{ build: buildName(), profile: input.profile, image, size, max, since: new Date().toISOString() },
    ...{ standing: standing(hostFiles()), limits: boundsOf(sandbox.plainFacts), cgroup, runId: compiledRunId },
    ...{ sandboxBytes: run.sandboxBytes, worn: wornBytes(run.plan.exec) },
  };
  return { pool, run, plan: Buffer.concat([run.sandboxBytes, encodeExec({ ...run.plan.exec, parked: true })]) };
}

/** Resolves when the socket is there, or the server is not. */
async function listening(socket: string, over: () => boolean): Promise<void> {
  for (const end = performance.now() + startMs; !existsSync(socket) && !over() && performance.now() < end; )
    await new Promise((resolve) => setTimeout(resolve, pollMs));
}

interface Served {
  readonly path: string;
  readonly pool: Pool;
  readonly warnings: readonly string[];
  /** When the server has ended. */
  readonly release: () => Promise<void>;
}

function startServer({ path, pool, warnings, release }: Served): Serving & { readonly over: () => boolean } {
  const launcher = launcherPath();
  const args = [
    "serve",
    planOf(path),
    "--socket",
    socketOf(path),
    "--size",
    String(pool.size),
    "--max",
    String(pool.max),
    "--parent",
    String(process.pid),
  ];
  // In a session of its own: what a terminal sends to all is passed on once.
  const server = spawn(launcher, args, { stdio: ["ignore", "ignore", "inherit"], env: {}, cwd: "/", detached: true });
  let asked = false;
  let over = false;
  const exit = new Promise<string>((resolve) => {
    server.once("error", (error) => resolve(reasonOf(error)));
    server.once("exit", (code, signal) => resolve(signal === null ? `it exited with status ${code}` : `it was killed by ${signal}`));
  });
  const ended = exit.then(async (how) => {
    over = true;
    rmSync(path, { recursive: true, force: true });
    await release();
    if (!asked || how !== "it exited with status 0") throw new BelljarError("launcher-failed", `serving: ${quoted(launcher)}: ${how}`);
  });
  const stop = (): void => {
    // Nobody is to find it any more.
    if (!asked) rmSync(recordOf(path), { force: true });
    asked = true;
    server.kill("SIGTERM");
  };
  return { path, pool, warnings, stop, ended, over: () => over };
}

/**
 * Makes a pool and has the launcher serve it; resolves when it can be connected to. What the pool is made from stays as it is until the
 * end, also an image. Where each run would need a scope of systemd's, this process gets one for all. Throws BelljarError.
 */
export async function serve(options: ServeOptions): Promise<Serving> {
  const { input, environment, progress } = options;
  const config = await settle(options.config);
  const sandbox = await prepareSandbox(input, { config, environment, ...(progress === undefined ? {} : { progress }) });
  let path: string | null = null;
  try {
    refuseScratch(sandbox);
    const { pool, run, plan } = await planPool(sandbox, options);
    path = makePoolFolder(environment);
    refuseLongPath(socketOf(path));
    writeFileSync(planOf(path), plan, { mode: 0o600 });
    const release = async (): Promise<void> => {
      await run.release();
      await sandbox.release();
    };
    const serving = startServer({ path, pool, warnings: run.warnings, release });
    await listening(socketOf(path), serving.over);
    if (!serving.over()) {
      const part = `${recordOf(path)}.part`;
      writeFileSync(part, encodePool(pool), { mode: 0o600 });
      renameSync(part, recordOf(path));
    }
    return serving;
  } catch (error) {
    if (path !== null) rmSync(path, { recursive: true, force: true });
    await sandbox.release();
    throw error;
  }
}
