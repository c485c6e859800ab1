import { type ChildProcess, spawn } from "node:child_process";
import { BelljarError } from "../../../policy/errors.ts";
import { applyPath } from "./apply-path.ts";
import { applyFailure } from "./failure.ts";
import { idArguments, type LayerIds } from "./ids.ts";
import { type DoneReport, type Reports, reportReader, type StageReport } from "./reports.ts";

export interface Applied {
  readonly done: DoneReport;
  readonly warnings: readonly StageReport[];
}

export interface Applier {
  /** Sends bytes; they belong to the stream from now on. */
  send(bytes: Buffer): void;
  /** Resolves when there is room for more; rejects when the helper has failed. */
  room(): Promise<void>;
  /** After the last frame: what the helper did. Throws LayerProblem or BelljarError. */
  finish(): Promise<Applied>;
  /** Ends the helper, whatever it is doing, and waits for its end. */
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
function whenEnded(child: ChildProcess): Promise<Ended> {
  const reader = reportReader();
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

function start(doing: string, args: readonly string[]): { readonly child: ChildProcess; readonly ended: Promise<Ended> } {
  const path = applyPath();
  const child = spawn(path, args, { stdio: ["pipe", "pipe", "pipe"], env: {} });
  const ended = whenEnded(child).catch((cause: unknown) => {
    throw new BelljarError("internal", `${doing}: '${path}': ${(cause as Error).message}`, {
      cause,
      hint: "the helper is built and installed with belljar: install it again",
    });
  });
  ended.catch(() => undefined); // told by whoever waits for it
  return { child, ended };
}

/** Starts belljar-apply on the directory of one layer. */
export function startApplier(doing: string, root: string, ids: LayerIds): Applier {
  const { child, ended } = start(doing, ["apply", root, ...idArguments(ids)]);
  const { stdin } = child;
  if (stdin === null) throw new Error("no pipe to belljar-apply");
  // It stops reading when it fails; why is in its report.
  stdin.on("error", () => undefined);
  let full = false;
  const failed = async (): Promise<never> => {
    const outcome = await ended;
    throw failureOf(doing, outcome) ?? new BelljarError("internal", `${doing}: belljar-apply ended too early`);
  };
  return {
    send(bytes) {
      if (!stdin.write(bytes)) full = true;
    },
    async room() {
      if (stdin.destroyed || child.exitCode !== null || child.signalCode !== null) await failed();
      if (!full) return;
      full = false;
      const drained = await new Promise<boolean>((resolve) => {
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
      if (!drained) await failed();
    },
    async finish() {
      stdin.end();
      const outcome = await ended;
      const failure = failureOf(doing, outcome);
      if (failure !== null) throw failure;
      const { done, warnings } = outcome.reports;
      if (done === null) throw new BelljarError("internal", `${doing}: belljar-apply said nothing`);
      return { done, warnings };
    },
    async kill() {
      child.kill("SIGKILL");
      await ended.catch(() => undefined);
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
