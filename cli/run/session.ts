import type { Readable } from "node:stream";
import type { RunReport } from "../../policy/verdict/report-types.ts";
import { type Capture, capture } from "./capture.ts";
import { type Launch, type LaunchOutcome, launch, launcherPath, restoreTerminal } from "./launcher.ts";
import { reportOf } from "./outcome.ts";
import type { PreparedRun } from "./prepare.ts";
import type { StreamTarget } from "./streams.ts";

export interface SessionOptions {
  readonly targets: readonly [StreamTarget, StreamTarget, StreamTarget];
  /** What goes to a stdin that is a pipe. */
  readonly stdinData?: Uint8Array;
  /** The same from a stream. */
  readonly stdinSource?: Readable;
  /** The command ends the run on the signals that end itself; a library leaves them to its host. */
  readonly onSignals: boolean;
  readonly abort?: AbortSignal;
}

export interface SessionResult {
  readonly report: RunReport;
  readonly stdout: Uint8Array;
  readonly stderr: Uint8Array;
  /** The signal that made us end the run, if one did. */
  readonly signal: NodeJS.Signals | null;
  /** What the launcher sent. */
  readonly outcome: LaunchOutcome;
}

const endingSignals = ["SIGINT", "SIGTERM", "SIGHUP"] as const;
/** A launcher that was asked twice, or does not answer in this time (after that of the program), loses its lifeline. */
const patienceMs = 5000;

interface Cancelling {
  /** Somebody wished for the end. */
  readonly asked: () => boolean;
  readonly signal: () => NodeJS.Signals | null;
  readonly stop: () => void;
}

/**
 * Before the launcher is started and until the command exits: a signal that comes when nobody can act on it must neither be lost
 * nor change how the command ends.
 */
function hearEarly(options: SessionOptions): () => NodeJS.Signals | null {
  let early: NodeJS.Signals | null = null;
  if (options.onSignals)
    for (const signal of endingSignals)
      process.on(signal, () => {
        early ??= signal;
      });
  return () => early;
}

/** Passes on the wish to end: the first asks, the next (or impatience) drops the lifeline. */
function cancelOn(
  run: Launch,
  options: SessionOptions,
  { early, stopMs }: { readonly early: NodeJS.Signals | null; readonly stopMs: number },
): Cancelling {
  let first = early;
  let asked = false;
  let timer: NodeJS.Timeout | null = null;
  const ask = () => {
    if (asked) return run.drop();
    asked = true;
    run.cancel();
    timer = setTimeout(run.drop, stopMs + patienceMs);
  };
  const onSignal = (signal: NodeJS.Signals) => {
    first ??= signal;
    ask();
  };
  if (options.onSignals) for (const signal of endingSignals) process.on(signal, onSignal);
  if (options.abort?.aborted || early !== null) ask();
  options.abort?.addEventListener("abort", ask);
  return {
    asked: () => asked,
    signal: () => first,
    stop: () => {
      if (timer !== null) clearTimeout(timer);
      for (const signal of endingSignals) process.off(signal, onSignal);
      options.abort?.removeEventListener("abort", ask);
    },
  };
}

/** What a launcher that was killed could not do itself: the terminal and the cgroups. */
async function tidyAfter(
  outcome: LaunchOutcome,
  { launcher, prepared }: { readonly launcher: string; readonly prepared: PreparedRun },
): Promise<void> {
  if (outcome.record !== null) return;
  if (outcome.terminal !== null) await restoreTerminal(launcher, outcome.terminal);
  const { sandbox } = prepared.plan;
  const { removeLeftCgroups } = await import("../host/run-cgroups.ts");
  await removeLeftCgroups(
    sandbox.cgroups.map(({ parent }) => parent),
    sandbox.runId,
  );
}

const none: Capture = { bytes: () => new Uint8Array() };
const collect = (stream: Readable | null, limitBytes: number) => (stream === null ? none : capture(stream, limitBytes));

/**
 * One run from a prepared plan to its report. Everything the program does is in the report; throws BelljarError
 * `launcher-failed` only when the launcher could not be started.
 */
export async function runSession(prepared: PreparedRun, options: SessionOptions): Promise<SessionResult> {
  const launcher = launcherPath();
  const early = hearEarly(options);
  const run = await launch({
    launcher,
    sandbox: prepared.sandboxBytes,
    exec: prepared.execBytes,
    targets: options.targets,
    detached: !options.onSignals,
    scope: prepared.scope,
  });
  const cancelling = cancelOn(run, options, { early: early(), stopMs: Number(prepared.plan.exec.stopMs) });
  const [stdout, stderr] = [collect(run.stdout, prepared.captureBytes), collect(run.stderr, prepared.captureBytes)];
  // A program need not read its input: that breaks the pipe and nothing else.
  run.stdin?.on("error", () => undefined);
  if (options.stdinSource !== undefined && run.stdin !== null) options.stdinSource.pipe(run.stdin);
  else run.stdin?.end(options.stdinData ?? new Uint8Array());
  try {
    const outcome = await run.outcome;
    await tidyAfter(outcome, { launcher, prepared });
    return {
      report: await reportOf(prepared, outcome, { launcher, cancelled: cancelling.asked(), signal: cancelling.signal() }),
      stdout: stdout.bytes(),
      stderr: stderr.bytes(),
      signal: cancelling.signal(),
      outcome,
    };
  } finally {
    cancelling.stop();
  }
}
