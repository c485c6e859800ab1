import { constants } from "node:os";
import { BelljarError } from "../../policy/errors.ts";
import { exitCodeFor } from "../../policy/verdict/report.ts";
import type { RunReport } from "../../policy/verdict/report-types.ts";
import { becomeOrdinary } from "../host/account.ts";
import { type Config, loadConfig } from "../host/config.ts";
import { outputsText, painter, usageText, verdictText, wantsColour, warningText } from "../output/human.ts";
import { imageProgress } from "../output/image-progress.ts";
import { isTerminal } from "../output/is-terminal.ts";
import { runDocument } from "../output/json.ts";
import { writeStderr, writeStdout } from "../output/streams.ts";
import { type OpenRun, openRun, type PreparedRun } from "../run/prepare.ts";
import { runSession, type SessionResult } from "../run/session.ts";
import { type NamedPath, refuseSharedFiles } from "../run/shared-files.ts";
import { openStreams } from "../run/streams.ts";
import { chosenPlaces, serverChoice } from "../server/choice.ts";
import type { Served } from "../server/choose.ts";
import { readArguments } from "./arguments.ts";
import { type GivenRun, type Presentation, runInputFrom } from "./run-input.ts";
import { runOptions } from "./run-options.ts";

/** Ours, not the program's. */
const ownFailure = 125;

/** Root's own configuration names the account to become; the account's configuration is read as the account. */
export function configAs(runAs: string | null) {
  const config = loadConfig();
  const account = becomeOrdinary({ runAs: runAs ?? undefined, configured: config.runAs });
  return account === null ? config : loadConfig();
}

export function checkTerminal(wanted: boolean): void {
  if (wanted && !(isTerminal(0) && isTerminal(1))) {
    throw new BelljarError("usage", "reading options: '--tty': stdin and stdout must be a terminal", {
      hint: "leave out -t where streams are pipes or files",
    });
  }
}

/** A program that succeeded without leaving what was asked of it is a failure of the run; one that failed has its own status. */
function exitStatus({ report, signal }: SessionResult): number {
  const incomplete = report.verdict === "ok" && report.outputs.some(({ error }) => error !== null);
  return incomplete ? ownFailure : exitCodeFor(report, { cancelSignal: signal === null ? undefined : constants.signals[signal] });
}

/** Every host file that a run reads or writes, each for one use. */
export function checkHostFiles(given: Presentation, { plan, scriptPath, profileFiles }: PreparedRun): void {
  const named = (use: string, path: string | null): readonly NamedPath[] => (path === null ? [] : [{ use, path }]);
  refuseSharedFiles(
    [
      ...named("'--stdin'", given.stdin),
      ...plan.exec.filesIn.flatMap(({ hostPath }) => named("'--in'", hostPath)),
      ...named("the command", scriptPath),
      ...profileFiles.flatMap((path) => named("the profile", path)),
    ],
    [
      ...named("'--stdout'", given.stdout),
      ...named("'--stderr'", given.stderr),
      ...named("'--report'", given.report),
      ...named("'--plot'", given.plot),
      ...plan.exec.filesOut.flatMap(({ hostPath }) => named("'--out'", hostPath)),
    ],
  );
}

/** The files that tell of the run: their places are opened before it, and this is what writes them. */
async function openResults({ report, plot }: Presentation): Promise<(result: RunReport) => Promise<void>> {
  if (report === null && plot === null) return async () => undefined;
  const { openReportFile, openTextFile } = await import("../run/report-file.ts");
  const reportFile = report === null ? null : openReportFile(report);
  const plotFile = plot === null ? null : openTextFile(plot, "writing the plot");
  return async (result) => {
    reportFile?.write(result);
    reportFile?.close();
    plotFile?.write((await import("../output/plot/plot.ts")).plotSvg(result));
    plotFile?.close();
  };
}

/** Where a server keeps such a sandbox ready, the run is planned for that; most often there is none, and little is asked. */
async function findServed(run: OpenRun, { presentation, input, config }: GivenRun & { readonly config: Config }): Promise<Served | null> {
  if (!presentation.server || input.terminal) return null;
  const places = chosenPlaces(serverChoice(config, process.env), process.env);
  if (places.length === 0) return null;
  const { findServer } = await import("../server/use.ts");
  return findServer(run, { places, config, wanted: input.profile });
}

/** The run itself, and what is said of it. */
async function runOpened(
  run: OpenRun,
  { input, presentation, served }: GivenRun & { readonly served: Served | null },
): Promise<SessionResult> {
  const paint = painter(wantsColour({ isTTY: isTerminal(2) }, process.env));
  const warned = new Set<string>();
  const warn = ({ warnings }: PreparedRun): void => {
    for (const warning of presentation.quiet ? [] : warnings) if (!warned.has(warning)) writeStderr(warningText(warning, paint));
    for (const warning of warnings) warned.add(warning);
  };
  let prepared = served?.prepared ?? (await run.plan(null));
  warn(prepared);
  checkHostFiles(presentation, prepared);
  const writeResults = await openResults(presentation);
  const streams = openStreams(presentation, input.capture);
  const taken = served === null ? null : await (await import("../server/use.ts")).takeSandbox(served, streams.targets);
  if (served !== null && taken === null) {
    prepared = await run.plan(null);
    warn(prepared);
  }
  const session = { targets: streams.targets, onSignals: true, launcher: taken?.launcher ?? null, ...taken?.flows };
  const result = await runSession(prepared, session).finally(streams.close);
  await writeResults(result.report);
  if (presentation.json) await writeStdout(runDocument(result.report, result.stdout, result.stderr));
  if (presentation.verbose) writeStderr(usageText(result.report, taken === null ? null : (served?.pool.path ?? null)));
  if (!presentation.quiet) writeStderr(verdictText(result.report, paint));
  // A program that copes says so by its end.
  const denials = result.report.verdict === "ok" && !presentation.verbose ? [] : (result.report.denials ?? []);
  if (denials.length > 0 && !presentation.quiet) {
    const { deniedText } = await import("../output/denied.ts");
    writeStderr(deniedText(denials, paint));
  }
  if (!presentation.quiet || result.report.verdict === "ok") writeStderr(outputsText(result.report, paint));
  return result;
}

/** `belljar run`: from its arguments to the exit status. Throws BelljarError for what is wrong on our side before the start. */
export async function runCommand(args: readonly string[]): Promise<number> {
  const given = runInputFrom(readArguments(args, runOptions), process.env);
  const { input, presentation } = given;
  checkTerminal(input.terminal);
  const config = configAs(presentation.runAs);
  const progress = presentation.quiet || !isTerminal(2) ? undefined : imageProgress();
  const run = await openRun(input, { config, environment: process.env, ...(progress === undefined ? {} : { progress }) });
  try {
    const served = await findServed(run, { ...given, config });
    return exitStatus(await runOpened(run, { ...given, served }));
  } finally {
    await run.release();
  }
}
