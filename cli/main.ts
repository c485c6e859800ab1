import { isatty } from "node:tty";
import { BelljarError } from "../policy/errors.ts";
import { optionsOf } from "./commands/arguments.ts";
import { runCommand } from "./commands/run.ts";
import { errorText, painter, toBelljarError, wantsColour } from "./output/human.ts";
import { errorDocument } from "./output/json.ts";
import { writeStderr, writeStdout } from "./output/streams.ts";

/** Ours, not the program's: refused, failed or misused. */
const ownFailure = 125;
/** Found, but it cannot be executed. */
const notExecutable = 126;

function checkPlatform(): void {
  const machine = process.arch === "x64" || process.arch === "arm64";
  if (process.platform === "linux" && machine) return;
  throw new BelljarError(
    "not-supported",
    `starting: ${process.platform} on ${process.arch}: belljar runs on Linux on x86_64 and aarch64 only`,
  );
}

async function dispatch(args: readonly string[]): Promise<number> {
  checkPlatform();
  const [command, ...rest] = args;
  // The one command whose start-up time is part of what it is for: nothing that others need is loaded.
  if (command === "run" && !optionsOf(rest).has("help")) return runCommand(rest);
  const { otherCommand } = await import("./commands/cli.ts");
  return otherCommand(args);
}

async function fail(thrown: unknown, args: readonly string[]): Promise<number> {
  const error = toBelljarError(thrown);
  const json = args[0] === "run" ? optionsOf(args.slice(1)).has("json") : args.includes("--json");
  if (json) await writeStdout(errorDocument(error));
  else writeStderr(errorText(error, painter(wantsColour({ isTTY: isatty(2) }, process.env))));
  if (process.env["BELLJAR_DEBUG"]) writeStderr(`${error.stack}\n${String((error.cause as Error | undefined)?.stack ?? "")}\n`);
  return error.code === "start-failed" ? notExecutable : ownFailure;
}

const args = process.argv.slice(2);
// No top-level await: the command is bundled as CommonJS, which V8 can keep compiled.
dispatch(args)
  .catch((error: unknown) => fail(error, args))
  .then((code) => process.exit(code));
