import { BelljarError } from "../policy/errors.ts";
import { helpWanted, optionsOf } from "./commands/arguments.ts";
import { runCommand } from "./commands/run.ts";
import { type CommandLine, findCommand } from "./commands/words.ts";
import { leaveAtOnce } from "./host/spawn-addon.ts";
import { errorText, painter, toBelljarError, wantsColour } from "./output/human.ts";
import { isTerminal } from "./output/is-terminal.ts";
import { errorDocument } from "./output/json.ts";
import { isReaderGone, writeStderr, writeStdout } from "./output/streams.ts";
import { checkArgumentBytes } from "./run/raw-text.ts";

/** Ours, not the program's: refused, failed or misused. */
const ownFailure = 125;
/** Found, but it cannot be executed. */
const notExecutable = 126;
const notFound = 127;
/** 128 + SIGPIPE. */
const brokenPipe = 141;

function checkPlatform(): void {
  const machine = process.arch === "x64" || process.arch === "arm64";
  if (process.platform === "linux" && machine) return;
  throw new BelljarError(
    "not-supported",
    `starting: ${process.platform} on ${process.arch}: belljar runs on Linux on x86_64 and aarch64 only`,
  );
}

async function dispatch({ word, rest }: CommandLine): Promise<number> {
  checkPlatform();
  checkArgumentBytes(rest);
  // The one command whose start-up time is part of what it is for: nothing that others need is loaded.
  if (word === "run" && !helpWanted(rest)) return runCommand(rest);
  if (word === "learn") {
    const { learnCommand, learnHelpWanted } = await import("./commands/learn.ts");
    if (!learnHelpWanted(rest)) return learnCommand(rest);
  }
  if (word === "profile" && rest[0] === "compile") {
    const { compileCommand, compileHelpWanted } = await import("./commands/profile-compile.ts");
    if (!compileHelpWanted(rest.slice(1))) return compileCommand(rest.slice(1));
  }
  if (word === "serve") {
    const { serveCommand, serveHelpWanted } = await import("./commands/serve.ts");
    if (!serveHelpWanted(rest)) return serveCommand(rest);
  }
  const { otherCommand } = await import("./commands/cli.ts");
  return otherCommand(word, rest);
}

const statuses: Readonly<Record<string, number>> = { "start-failed": notExecutable, "command-not-found": notFound };

async function fail(thrown: unknown, { word, rest }: CommandLine): Promise<number> {
  // As a program does that SIGPIPE ends: whoever closed the pipe knows already.
  if (isReaderGone(thrown)) return brokenPipe;
  const error = toBelljarError(thrown);
  const json = word === "run" ? optionsOf(rest).has("json") : rest.includes("--json");
  const said =
    json &&
    (await writeStdout(errorDocument(error)).then(
      () => true,
      () => false,
    ));
  if (!said) writeStderr(errorText(error, painter(wantsColour({ isTTY: isTerminal(2) }, process.env))));
  if (process.env["BELLJAR_DEBUG"]) writeStderr(`${error.stack}\n${String((error.cause as Error | undefined)?.stack ?? "")}\n`);
  return statuses[error.code] ?? ownFailure;
}

const line = findCommand(process.argv.slice(2));
// No top-level await: the command is bundled as CommonJS, which V8 can keep compiled.
dispatch(line)
  .catch((error: unknown) => fail(error, line))
  .then((code) => {
    leaveAtOnce(code);
    process.exit(code);
  });
