import { BelljarError } from "../../policy/errors.ts";
import { painter, wantsColour, warningText } from "../output/human.ts";
import { imageProgress } from "../output/image-progress.ts";
import { factsDocument } from "../output/json.ts";
import { writeStderr, writeStdout } from "../output/streams.ts";
import { table } from "../output/table.ts";
import { printable, quoted } from "../output/terminal.ts";
import { listPools } from "../server/list.ts";
import { type Serving, serve } from "../server/serve.ts";
import { type GivenArguments, helpWanted, readArguments } from "./arguments.ts";
import { configAs } from "./run.ts";
import { runInputFrom } from "./run-input.ts";
import { serveOptions } from "./serve-options.ts";
import { unitText } from "./serve-unit.ts";

export const serveHelpWanted = (args: readonly string[]): boolean => helpWanted(args, serveOptions);

const reading = "reading options";
const defaultSize = 4;
const roomBeyondSize = 64;
/** As many as the server has room for. */
const most = 4096;

function countOf(given: GivenArguments, name: string): number | null {
  const text = given.options.findLast((option) => option.name === name)?.value ?? null;
  if (text === null) return null;
  const count = /^\d{1,9}$/.test(text) ? Number(text) : 0;
  if (count < 1 || count > most)
    throw new BelljarError("usage", `${reading}: '--${name}' ${quoted(text)}: is no whole number from 1 to ${most}`);
  return count;
}

function sizesOf(given: GivenArguments): { readonly size: number; readonly max: number } {
  const size = countOf(given, "size") ?? defaultSize;
  const max = countOf(given, "max") ?? Math.min(most, size + roomBeyondSize);
  if (max < size)
    throw new BelljarError("usage", `${reading}: '--max' ${quoted(String(max))}: is less than the ${size} that are kept ready`);
  return { size, max };
}

/** The words of this very command, without the one that asks for the unit. */
function ownCommand(args: readonly string[]): readonly string[] {
  const [script = ""] = process.argv.slice(1);
  return [process.execPath, script, "serve", ...args.filter((word) => word !== "--unit")];
}

async function list(json: boolean): Promise<number> {
  const pools = listPools(process.env);
  if (json) await writeStdout(factsDocument({ schemaVersion: 1, pools }));
  else if (pools.length === 0) await writeStdout("no pool is served\n");
  else
    await writeStdout(
      table([
        ["PROFILE", "IMAGE", "READY", "MOST", "LIMITS BY", "PROCESS", "FOLDER"],
        ...pools.map(({ profile, image, size, max, cgroup, pid, path }) => [
          ...[profile ?? "(another build's)", image ?? "-", String(size ?? "-"), String(max ?? "-"), cgroup ?? "-"],
          ...[String(pid), path],
        ]),
      ]),
    );
  return 0;
}

async function untilEnded({ stop, ended }: Serving): Promise<void> {
  const signals = ["SIGINT", "SIGTERM", "SIGHUP"] as const;
  for (const signal of signals) process.on(signal, stop);
  await ended;
}

/** The one word that may stand among the options is `ls`. */
function argumentsOf(args: readonly string[]): GivenArguments & { readonly isList: boolean } {
  const first = readArguments(args, serveOptions, { command: "serve" });
  const isList = first.command[0] === "ls";
  const behind = isList
    ? readArguments(first.command.slice(1), serveOptions, { command: "serve" })
    : { options: [], command: first.command };
  const [other] = behind.command;
  if (other !== undefined)
    throw new BelljarError("usage", `${reading}: ${quoted(other)}: takes no argument but ls`, {
      hint: "a pool serves any program: leave it out",
    });
  return { options: [...first.options, ...behind.options], command: [], isList };
}

/** `belljar serve`: serves until it is ended, then 0. Throws BelljarError for what is wrong before, and for a server that ends by itself. */
export async function serveCommand(args: readonly string[]): Promise<number> {
  const { isList, ...given } = argumentsOf(args);
  const has = (name: string): boolean => given.options.some((option) => option.name === name);
  const { input, presentation } = runInputFrom(given, process.env);
  const config = configAs(presentation.runAs);
  if (isList) return list(has("json"));
  const { size, max } = sizesOf(given);
  const what = `profile ${printable(input.profile)}`;
  if (has("unit")) {
    await writeStdout(unitText({ command: ownCommand(args), what, folder: process.cwd() }));
    return 0;
  }
  const paint = painter(wantsColour({ isTTY: process.stderr.isTTY === true }, process.env));
  const progress = presentation.quiet || process.stderr.isTTY !== true ? {} : { progress: imageProgress() };
  const serving = await serve({ input, size, max, config, environment: process.env, ...progress });
  const ended = untilEnded(serving);
  if (!presentation.quiet) {
    for (const warning of serving.warnings) writeStderr(warningText(warning, paint));
    await writeStdout(`serving ${what}: ${size} sandboxes ready, in ${printable(serving.path)}\n`);
  }
  await ended;
  return 0;
}
