import { type ChildProcess, spawn } from "node:child_process";
import { join } from "node:path";
import { build } from "esbuild";
import { makeTempDir, root } from "./places.ts";

let bundle: Promise<string> | null = null;

async function bundled(): Promise<string> {
  const outfile = join(makeTempDir("worker"), "store-worker.mjs");
  await build({
    entryPoints: [join(root, "test/helpers/store-worker.ts")],
    outfile,
    bundle: true,
    platform: "node",
    format: "esm",
    target: "node20",
    logLevel: "error",
  });
  return outfile;
}

export interface StoreWorker {
  readonly child: ChildProcess;
  /** Resolves when this line has been printed, or the process has ended. */
  said(line: string): Promise<void>;
  readonly ended: Promise<{ readonly code: number | null; readonly signal: NodeJS.Signals | null; readonly stderr: string }>;
}

/** Starts a process that does one operation on an image store, behind a prefix of other commands. See store-worker.ts for the operations. */
export async function startStoreWorker(
  storeRoot: string,
  operation: string,
  argument = "",
  prefix: readonly string[] = [],
): Promise<StoreWorker> {
  bundle ??= bundled();
  const [program = "", ...args] = [...prefix, process.execPath, await bundle, storeRoot, operation, argument];
  const child = spawn(program, args, {
    stdio: ["ignore", "pipe", "pipe"],
    env: {
      PATH: process.env["PATH"],
      BELLJAR_LAUNCHER: join(root, "native/build/belljar-launch"),
      BELLJAR_APPLY: join(root, "native/build/belljar-apply"),
    },
  });
  let stdout = "";
  let stderr = "";
  const waiting: (() => void)[] = [];
  child.stdout?.setEncoding("utf8").on("data", (text: string) => {
    stdout += text;
    for (const look of waiting) look();
  });
  child.stderr?.setEncoding("utf8").on("data", (text: string) => {
    stderr += text;
  });
  const ended = new Promise<Awaited<StoreWorker["ended"]>>((resolve, reject) => {
    child.once("error", reject);
    child.once("close", (code, signal) => resolve({ code, signal, stderr }));
  });
  const printed = (line: string): Promise<void> =>
    new Promise((resolve) => {
      const look = (): void => {
        if (stdout.split("\n").includes(line)) resolve();
      };
      waiting.push(look);
      look();
    });
  return { child, ended, said: async (line) => void (await Promise.race([printed(line), ended])) };
}
