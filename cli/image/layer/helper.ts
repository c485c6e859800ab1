import { type ChildProcess, spawn } from "node:child_process";
import type { Writable } from "node:stream";
import { BelljarError } from "../../../policy/errors.ts";
import { applyPath } from "./apply-path.ts";
import { applyFailure } from "./failure.ts";
import { idArguments, type LayerIds } from "./ids.ts";
import { type LayerReports, type Reports, reportReader } from "./reports.ts";

export interface Applier {
  /** The helper has made other layers before: the stream must name the directory of this one. */
  readonly isNext: boolean;
  /** Sends bytes; they belong to the stream from now on. */
  send(bytes: Buffer): void;
  /** Resolves when there is room for more; rejects when the helper has failed. */
  room(): Promise<void>;
  /** After the last frame: what the helper did. Throws LayerProblem or BelljarError. */
  finish(): Promise<LayerReports>;
}

/** One process that makes layers, one after the other. */
export interface LayerHelper {
  /** Begins a layer in an empty directory. The one before must be finished. `doing`: for errors. */
  begin(doing: string, root: string): Applier;
  /** After the last layer: waits for its end. */
  close(): Promise<void>;
  /** Ends it, whatever it is doing, and waits for its end. */
  kill(): Promise<void>;
}

interface Ended {
  readonly exitCode: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly reports: Reports;
  readonly stderr: string;
}

const maxStderr = 2000;

/** Resolves when the process has ended and its streams are read. */
function whenEnded(child: ChildProcess, onDone?: (layer: LayerReports) => void): Promise<Ended> {
  const reader = reportReader(onDone);
  let stderr = "";
  child.stdout?.on("data", (chunk: Buffer) => reader.write(chunk));
  child.stderr?.on("data", (chunk: Buffer) => {
    if (stderr.length < maxStderr) stderr += chunk.toString();
  });
  return new Promise((resolve, reject) => {
    child.on("error", reject);
    child.on("close", (exitCode, signal) => {
      try {
        resolve({ exitCode, signal, reports: reader.end(), stderr });
      } catch (error) {
        reject(error);
      }
    });
  });
}

function failureOf(doing: string, { exitCode, signal, reports, stderr }: Ended): Error | null {
  if (reports.failed !== null) return applyFailure(doing, reports.failed);
  if (exitCode === 0 && reports.done !== null) return null;
  const how = signal === null ? `ended with status ${exitCode}` : `was killed by ${signal}`;
  return new BelljarError("internal", `${doing}: belljar-apply ${how}${stderr === "" ? "" : `: ${stderr.trim()}`}`);
}

interface Started {
  readonly child: ChildProcess;
  readonly ended: Promise<Ended>;
}

function start(doing: string, args: readonly string[], onDone?: (layer: LayerReports) => void): Started {
  const path = applyPath();
  const child = spawn(path, args, { stdio: ["pipe", "pipe", "pipe"], env: {} });
  const ended = whenEnded(child, onDone).catch((cause: unknown) => {
    throw new BelljarError("internal", `${doing}: '${path}': ${(cause as Error).message}`, {
      cause,
      hint: "the helper is built and installed with belljar: install it again",
    });
  });
  ended.catch(() => undefined); // told by whoever waits for it
  return { child, ended };
}

/** Resolves when a full pipe takes more: true, or is closed: false. */
function drained(stdin: Writable): Promise<boolean> {
  return new Promise((resolve) => {
    const done = (value: boolean) => (): void => {
      stdin.off("drain", onDrain);
      stdin.off("close", onClose);
      resolve(value);
    };
    const onDrain = done(true);
    const onClose = done(false);
    stdin.on("drain", onDrain);
    stdin.on("close", onClose);
  });
}

function startFirst(doing: string, root: string, options: { readonly ids: LayerIds; readonly onDone: (layer: LayerReports) => void }) {
  const { child, ended } = start(doing, ["apply", root, ...idArguments(options.ids)], options.onDone);
  const { stdin } = child;
  if (stdin === null) throw new Error("no pipe to belljar-apply");
  // It stops reading when it fails; why is in its report.
  stdin.on("error", () => undefined);
  return { child, ended, stdin };
}

/** belljar-apply for the layers of one image; started with the first one. */
export function layerHelper(ids: LayerIds): LayerHelper {
  let running: ReturnType<typeof startFirst> | null = null;
  let onDone: (layer: LayerReports) => void = () => undefined;
  return {
    begin(doing, root) {
      const isNext = running !== null;
      running ??= startFirst(doing, root, { ids, onDone: (layer) => onDone(layer) });
      const { child, ended, stdin } = running;
      const done = new Promise<LayerReports>((resolve) => {
        onDone = resolve;
      });
      let full = false;
      const failed = async (): Promise<never> => {
        const outcome = await ended;
        throw failureOf(doing, outcome) ?? new BelljarError("internal", `${doing}: belljar-apply ended too early`);
      };
      return {
        isNext,
        send(bytes) {
          if (!stdin.write(bytes)) full = true;
        },
        async room() {
          if (stdin.destroyed || child.exitCode !== null || child.signalCode !== null) await failed();
          if (!full) return;
          full = false;
          if (!(await drained(stdin))) await failed();
        },
        finish: () => Promise.race([done, failed()]),
      };
    },
    async close() {
      if (running === null) return;
      running.stdin.end();
      const failure = failureOf("unpacking", await running.ended);
      if (failure !== null) throw failure;
    },
    async kill() {
      running?.child.kill("SIGKILL");
      await running?.ended.catch(() => undefined);
    },
  };
}

/**
 * Removes a tree of unpacked files as root of the user namespace that made them: the only way where subordinate ids own them.
 * No error when it is not there.
 */
export async function removeUnpacked(path: string, ids: LayerIds): Promise<void> {
  const doing = "removing unpacked files";
  const { child, ended } = start(doing, ["remove", path, ...idArguments(ids)]);
  child.stdin?.end();
  const failure = failureOf(doing, await ended);
  if (failure === null) return;
  throw failure instanceof BelljarError ? failure : new BelljarError("store-failed", `${doing}: ${failure.message}`, { cause: failure });
}
