import type { OutputSink } from "../run/flows.ts";
import { startJoined } from "../run/joined.ts";
import type { Launcher } from "../run/launcher.ts";
import { endOf } from "../run/outcome.ts";
import type { PreparedRun } from "../run/prepare.ts";
import { type SessionResult, superviseRun } from "../run/session.ts";
import type { Files } from "./folder.ts";
import { onAbort } from "./on-abort.ts";
import type { EncodingOption } from "./options.ts";
import { decoderFor, type InteractResult, type ProgramResult, refuseFailure } from "./results.ts";

/** A program that can be started, and its files. */
export interface ReadyProgram {
  readonly prepared: PreparedRun;
  readonly files: Files;
}

interface Side extends ReadyProgram {
  readonly onStderr: OutputSink | undefined;
}

interface Options extends EncodingOption {
  readonly signal: AbortSignal;
}

function firstOf(judge: SessionResult, contestant: SessionResult): InteractResult<string>["endedFirst"] {
  const [one, other] = [endOf(judge.outcome), endOf(contestant.outcome)];
  if (one === null || other === null) return null;
  return one <= other ? "judge" : "contestant";
}

/** A failure of ours, or of the caller's, on one side ends the other too; it is thrown when both have ended. */
async function superviseBoth(sides: readonly [Side, Side], launchers: readonly [Launcher, Launcher], signal: AbortSignal) {
  const both = new AbortController();
  const undo = onAbort(signal, () => both.abort(signal.reason));
  const supervise = async (index: 0 | 1): Promise<SessionResult> => {
    const { prepared, onStderr } = sides[index];
    try {
      const result = await superviseRun(prepared, launchers[index], { onStderr, onSignals: false, abort: both.signal });
      refuseFailure(result.report);
      return result;
    } catch (error) {
      both.abort(error);
      throw error;
    }
  };
  try {
    const results = await Promise.allSettled([supervise(0), supervise(1)]);
    return results.map((result) => {
      if (result.status === "rejected") throw result.reason;
      return result.value;
    }) as [SessionResult, SessionResult];
  } finally {
    undo();
  }
}

/** Two programs whose plans are ready, joined by their standard streams. */
export async function interact(judge: Side, contestant: Side, options: Options): Promise<InteractResult<string>> {
  const [first, second] = await superviseBoth([judge, contestant], await startJoined(), options.signal);
  const decode = decoderFor(options);
  const resultOf = async ({ prepared, files }: Side, { report, stderr }: SessionResult): Promise<ProgramResult<string>> => ({
    report,
    stderr: decode(stderr) as string,
    outputs: await files.read(report),
    warnings: prepared.warnings,
  });
  return {
    judge: await resultOf(judge, first),
    contestant: await resultOf(contestant, second),
    endedFirst: firstOf(first, second),
  };
}
