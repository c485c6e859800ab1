/** `belljar serve` in a runtime folder of its own, so that no other test's runs find it. */
import { spawn } from "node:child_process";
import { chmodSync, mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, onTestFinished } from "vitest";
import { type BelljarOptions, type BelljarResult, belljar, belljarCommand } from "./belljar.ts";
import { until, within } from "./deadline.ts";
import { orphanedCgroups } from "./leaks.ts";
import { childrenOf } from "./serve.ts";

export interface PoolHandle {
  /** For every command that is to find the pool. */
  readonly env: Readonly<Record<string, string>>;
  /** The pool's folder. */
  readonly path: string;
  /** Of the command, and of the launcher that serves. */
  readonly pid: number;
  readonly server: () => number;
  readonly said: () => string;
  readonly kill: (signal: NodeJS.Signals) => void;
  readonly ended: Promise<number | NodeJS.Signals | null>;
}

/** A runtime folder whose path leaves room for a socket's. */
export function runtimeFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), "bj-"));
  chmodSync(folder, 0o700);
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

export interface PoolOptions {
  readonly env?: Readonly<Record<string, string>>;
  readonly runtime?: string;
  /** In place of the built command. */
  readonly program?: readonly string[];
}

/** Starts it and waits until it serves; ends it with the test, after which nothing of it may be left. */
export async function servePool(
  args: readonly string[] = [],
  { env = {}, runtime = runtimeFolder(), program = belljarCommand }: PoolOptions = {},
): Promise<PoolHandle> {
  const before = orphanedCgroups();
  const home = join(runtime, "home");
  mkdirSync(home, { recursive: true });
  const shared = { XDG_RUNTIME_DIR: runtime, HOME: home, XDG_CONFIG_HOME: join(home, ".config"), ...env };
  const [command = "", ...words] = [...program, "serve", ...args];
  const passed = {
    PATH: process.env["PATH"],
    USER: process.env["USER"],
    BELLJAR_LAUNCHER: process.env["BELLJAR_LAUNCHER"],
    XDG_CACHE_HOME: join(home, ".cache"),
  };
  const child = spawn(command, words, { env: { ...passed, ...shared }, stdio: ["ignore", "pipe", "pipe"] });
  let said = "";
  for (const stream of [child.stdout, child.stderr])
    stream.setEncoding("utf8").on("data", (text: string) => {
      said += text;
    });
  const ended = new Promise<number | NodeJS.Signals | null>((resolve) => {
    child.once("close", (code, signal) => resolve(signal ?? code));
    child.once("error", () => resolve(null));
  });
  const stop = async (): Promise<void> => {
    child.kill("SIGTERM");
    await within(ended, { what: "the end of belljar serve", timeoutMs: 20_000 }).finally(() => child.kill("SIGKILL"));
    await until(() => orphanedCgroups().every((one) => before.includes(one)), { what: "the pool's cgroups to go away" });
  };
  onTestFinished(stop, 30_000);
  const path = await until(
    () => {
      if (child.exitCode !== null) throw new Error(`belljar serve ended: ${said}`);
      return /in (\/\S+)\n/.exec(said)?.[1];
    },
    { what: `belljar serve to serve: ${said}`, timeoutMs: 20_000 },
  );
  return {
    ...{ env: shared, path, pid: child.pid ?? 0, ended },
    server: () => childrenOf(child.pid ?? 0)[0] ?? 0,
    said: () => said,
    kill: (signal) => void child.kill(signal),
  };
}

const usage =
  /^belljar: (?:verdict|wall time|CPU time|set-up time|peak memory|peak processes|disk|output|out|enforced by|sandbox of) .*\n/gm;

export interface ServedResult extends BelljarResult {
  /** stderr without what --verbose adds. */
  readonly said: string;
  /** Whether the pool gave the sandbox. */
  readonly served: boolean;
}

/** `belljar run ARGS`, which may find the pool. */
export async function runWith(pool: Pick<PoolHandle, "env">, args: readonly string[], options: BelljarOptions = {}): Promise<ServedResult> {
  const result = await belljar(["run", "--verbose", ...args], { ...options, env: { ...pool.env, ...options.env } });
  return { ...result, said: result.stderr.replace(usage, ""), served: /^belljar: sandbox of /m.test(result.stderr) };
}

/** What a run is to be the same in, whoever made its sandbox. */
export function sameOf({ code, stdoutBytes, said, report, signal }: ServedResult) {
  if (report === null) return { code, signal, said, stdout: stdoutBytes, report };
  const { time, memory, processes, disk, ...rest } = report;
  return {
    ...{
      code,
      signal,
      said,
      report: {
        ...rest,
        cpuExact: time.cpuExact,
        oomKilled: memory.oomKills !== null && memory.oomKills > 0,
        limitHits: processes.limitHits !== 0,
        full: disk.full,
      },
    },
    stdout: stdoutBytes.toString("latin1").replace(/^{"report":{.*?"error":(?:null|{.*?})},/, ""),
  };
}

/** The same run in a sandbox of the pool's and in one of its own. */
export async function bothWays(
  pool: PoolHandle,
  args: readonly string[],
  options: () => BelljarOptions = () => ({}),
): Promise<readonly [ServedResult, ServedResult]> {
  const served = await runWith(pool, args, options());
  expect(served.served, `a sandbox of the pool for: ${args.join(" ")}\n${served.stderr}`).toBe(true);
  const own = await runWith(pool, ["--no-server", ...args], options());
  expect(own.served).toBe(false);
  return [served, own];
}
