import { spawn } from "node:child_process";
import { existsSync } from "node:fs";
import type { Socket } from "node:net";
import { join } from "node:path";
import type { Readable, Writable } from "node:stream";
import { BelljarError } from "../../policy/errors.ts";
import type { Scope } from "../host/systemd-scope.ts";
import { quoted } from "../output/terminal.ts";
import { reasonOf } from "./files.ts";
import { makeInbox } from "./inbox.ts";
import { startDirect } from "./launcher-direct.ts";
import type { StreamTarget } from "./streams.ts";
import type { Undelivered } from "./undelivered.ts";

/** The launcher: beside the bundle, beside the sources, or where $BELLJAR_LAUNCHER says. */
export function launcherPath(environment: Readonly<Record<string, string | undefined>> = process.env): string {
  const named = environment["BELLJAR_LAUNCHER"];
  if (named !== undefined && named !== "") return named;
  const besideBundle = join(import.meta.dirname, "../native/build/belljar-launch");
  return existsSync(besideBundle) ? besideBundle : join(import.meta.dirname, "../../native/build/belljar-launch");
}

export interface LauncherOptions {
  readonly launcher: string;
  readonly targets: readonly [StreamTarget, StreamTarget, StreamTarget];
  /** In a session of its own: signals of the caller's terminal do not reach it. */
  readonly detached: boolean;
}

/** What a launcher is given. */
export interface LaunchPlanBytes {
  readonly sandboxBytes: Uint8Array;
  readonly execBytes: Uint8Array;
  /** Made with the launcher in it before it gets its plan; null where the plan's cgroups need none. */
  readonly scope: Scope | null;
}

export interface LaunchOutcome {
  /** Bytes of the RunRecord; null when the launcher ended without one. */
  readonly record: Uint8Array | null;
  readonly outputs: readonly Uint8Array[];
  /** Bytes of DenialRecords. */
  readonly denials: readonly Uint8Array[];
  /** Bytes of SampleRecords, in order. */
  readonly samples: readonly Uint8Array[];
  /** Saved terminal settings, when a terminal was put into raw mode. */
  readonly terminal: Uint8Array | null;
  readonly exitCode: number | null;
  readonly signal: NodeJS.Signals | null;
  /** What was wrong with the control stream, if anything. */
  readonly problem: string | null;
}

/** A launcher that has been started. Until it has its plan it only waits for it, or for our end. */
export interface Launcher {
  readonly path: string;
  /** Somebody else removes what it leaves where it is killed. */
  readonly tidiesItself: boolean;
  readonly stdin: Writable | null;
  readonly stdout: Readable | null;
  readonly stderr: Readable | null;
  /** Hands over both parts of the plan: the run begins. Throws BelljarError `limit-unenforceable` when there is no scope to be had. */
  readonly begin: (plan: LaunchPlanBytes) => Promise<void>;
  /** After a plan whose exec part is a template: resolves when the program's task waits, if it ever does. */
  readonly parked: Promise<void>;
  /** Tells that task what to run. */
  readonly resume: (execBytes: Uint8Array) => void;
  /** Asks for an orderly end: the record still comes and says `cancelled`. */
  readonly cancel: () => void;
  /** Closes the lifeline: the launcher kills everything and cleans up. */
  readonly drop: () => void;
  /** What of the program's output this process could not pass on. */
  readonly undelivered?: () => Undelivered;
  /** It has exited; what it wrote may still be on its way. */
  readonly exited: Promise<void>;
  /** It has exited, and all its streams have ended. */
  readonly outcome: Promise<LaunchOutcome>;
}

function startError(path: string, cause: unknown): BelljarError {
  return new BelljarError("launcher-failed", `starting the launcher: ${quoted(path)}: ${reasonOf(cause)}`, {
    cause,
    hint: "the launcher is built and installed with belljar: install it again",
  });
}

/** A launcher that was killed meanwhile has no scope; its end is told as any other. */
export async function enter(
  scope: Scope,
  { pid, drop, outcome }: Pick<Launcher, "drop" | "outcome"> & { readonly pid: number },
): Promise<void> {
  const { enterScope } = await import("../host/systemd-scope.ts");
  const died = new AbortController();
  void outcome.then(() => died.abort());
  try {
    await enterScope(scope, pid, died.signal);
  } catch (error) {
    drop();
    const { signal } = await outcome;
    if (signal === null) throw error;
  }
}

/**
 * Starts the launcher. It gets its plan over descriptor 3, a stream socket that is also the lifeline, an empty environment and no
 * other descriptor. Throws BelljarError `launcher-failed` when it cannot start.
 */
export async function startLauncher(options: LauncherOptions): Promise<Launcher> {
  const direct = startDirect(options);
  if (direct !== null) return direct;
  const inbox = makeInbox();
  const child = spawn(options.launcher, ["run"], {
    stdio: [...options.targets, "pipe"],
    env: {},
    cwd: "/",
    detached: options.detached,
  });
  const exited = new Promise<void>((resolve) => {
    child.once("exit", () => resolve());
  });
  const outcome = new Promise<LaunchOutcome>((resolve) => {
    child.once("close", (exitCode, signal) => resolve({ ...inbox.messages(), exitCode, signal }));
  });
  if (child.pid === undefined) {
    throw startError(options.launcher, await new Promise((resolve) => child.once("error", resolve)));
  }
  const control = child.stdio[3] as Socket;
  control.on("data", (chunk: Buffer) => {
    if (!inbox.read(chunk)) control.destroy();
  });
  // A launcher that is gone breaks the socket; its exit says all there is to say.
  control.on("error", () => undefined);
  child.on("error", () => undefined);
  const { pid } = child;
  const drop = (): void => void control.destroy();
  return {
    path: options.launcher,
    tidiesItself: false,
    stdin: child.stdin,
    stdout: child.stdout,
    stderr: child.stderr,
    begin: async ({ sandboxBytes, execBytes, scope }) => {
      if (scope !== null) await enter(scope, { pid, drop, outcome });
      control.write(sandboxBytes);
      control.write(execBytes);
    },
    parked: inbox.parked,
    resume: (execBytes) => void control.write(execBytes),
    cancel: () => void (control.writable && control.write("C")),
    drop,
    exited,
    outcome,
  };
}

/** Gives the terminal on descriptor 0 back the settings that a killed launcher could not restore. */
export async function restoreTerminal(launcher: string, saved: Uint8Array): Promise<void> {
  const child = spawn(launcher, ["restore-terminal"], { stdio: ["inherit", "ignore", "ignore", "pipe"], env: {}, cwd: "/" });
  const closed = new Promise<void>((resolve) => {
    child.once("close", () => resolve());
    child.once("error", () => resolve());
  });
  const pipe = child.stdio[3] as Socket | null | undefined;
  pipe?.on("error", () => undefined);
  pipe?.end(saved);
  await closed;
}
