import type { RunReport } from "../../policy/verdict/report-types.ts";
import { connect, type FlowOptions } from "./flows.ts";
import { type Launcher, type LaunchOutcome, launcherPath, restoreTerminal, startLauncher } from "./launcher.ts";
import { reportOf } from "./outcome.ts";
import type { PreparedRun } from "./prepare.ts";
import type { StreamTarget } from "./streams.ts";

export interface SessionOptions extends Omit<FlowOptions, "captureBytes"> {
  readonly targets: readonly [StreamTarget, StreamTarget, StreamTarget];
  /** The command ends the run on the signals that end itself; a library leaves them to its host. */
  readonly onSignals: boolean;
  readonly abort?: AbortSignal | undefined;
  /** One that has been started already, with pipes; else one is started with `targets`. */
  readonly launcher?: Launcher | null;
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
  readonly ask: () => void;
  /** Resolves when somebody wishes for the end, if ever. */
  readonly wished: Promise<void>;
  /** Somebody wished for the end. */
  readonly asked: () => boolean;
  readonly signal: () => NodeJS.Signals | null;
  readonly stop: () => void;
}

/**
 * Before the launcher is started and until the command exits: a signal that comes when nobody can act on it must neither be lost
 * nor change how the command ends.
 */
function hearEarly(options: Pick<SessionOptions, "onSignals">): () => NodeJS.Signals | null {
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
  run: Launcher,
  options: Pick<SessionOptions, "onSignals" | "abort">,
  { early, stopMs }: { readonly early: NodeJS.Signals | null; readonly stopMs: number },
): Cancelling {
  let first = early;
  let asked = false;
  let timer: NodeJS.Timeout | null = null;
  let wish = () => {};
  const wished = new Promise<void>((resolve) => {
    wish = resolve;
  });
  const ask = () => {
    if (asked) return run.drop();
    asked = true;
    wish();
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
    ask,
    wished,
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
export async function tidyAfter(
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

/** A sink may have to wait for its own reader: so long after the end that somebody wished for. */
const deliveryMs = 1000;
const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms).unref());

/** From a plan for a launcher that waits for it to the report. Throws BelljarError `stream-failed` when a source or sink failed. */
export async function superviseRun(
  prepared: PreparedRun,
  run: Launcher,
  options: Omit<SessionOptions, "targets" | "launcher"> & { readonly early?: () => NodeJS.Signals | null },
): Promise<SessionResult> {
  await run.begin(prepared);
  const cancelling = cancelOn(run, options, { early: options.early?.() ?? null, stopMs: Number(prepared.plan.exec.stopMs) });
  const flows = connect(run, { ...options, captureBytes: prepared.captureBytes }, cancelling.ask);
  // Who wished for the end does not wait for a sink that takes nothing. What a server's launcher still had is here when that ends.
  const delivered = (): Promise<unknown> =>
    run.tidiesItself ? Promise.race([flows.settled().catch(() => undefined), pause(deliveryMs)]) : Promise.resolve();
  void cancelling.wished
    .then(() => run.exited)
    .then(delivered)
    .then(flows.giveUp);
  try {
    const outcome = await run.outcome;
    if (!run.tidiesItself) await tidyAfter(outcome, { launcher: run.path, prepared });
    await flows.settled();
    return {
      report: await reportOf(prepared, outcome, {
        ...{ launcher: run.path, cancelled: cancelling.asked(), signal: cancelling.signal() },
        undelivered: run.undelivered?.() ?? {},
      }),
      stdout: flows.stdout(),
      stderr: flows.stderr(),
      signal: cancelling.signal(),
      outcome,
    };
  } finally {
    cancelling.stop();
  }
}

/**
 * One run from a prepared plan to its report. Everything the program does is in the report; throws BelljarError
 * `launcher-failed` when the launcher could not be started, `stream-failed` when a source or sink failed.
 */
export async function runSession(prepared: PreparedRun, options: SessionOptions): Promise<SessionResult> {
  const early = hearEarly(options);
  const { launcher = null, targets, onSignals } = options;
  const run = launcher ?? (await startLauncher({ launcher: launcherPath(), targets, detached: !onSignals }));
  return superviseRun(prepared, run, { ...options, early });
}
