import yargs, { type Argv } from "yargs";
import { BelljarError } from "../../policy/errors.ts";
import { builtinProfiles, nearestName } from "../../policy/profile/index.ts";
import { userProfileNames } from "../run/profiles.ts";
import { profileCommands } from "./profile.ts";
import { runExamples, runOptions } from "./run-options.ts";
import { version } from "./version.ts";

/** Announced in the design and not there yet: named, so that nobody searches for a misspelling. */
const notYet: Readonly<Record<string, string>> = {
  image: "OCI images are not supported yet; --rootfs DIR runs on an unpacked root file system",
  pull: "OCI images are not supported yet; --rootfs DIR runs on an unpacked root file system",
  learn: "learning a profile from a run is not supported yet",
};

const widest = 110;

/** Sets the exit status of a command; what each handler ends with. */
export type Finish = (status: number) => void;

function runHelp(command: Argv): Argv {
  for (const option of runOptions) {
    if (option.name === "help") continue;
    command.option(option.name, {
      ...(option.short === undefined ? {} : { alias: option.short }),
      type: option.value === undefined ? "boolean" : "string",
      group: option.group,
      describe: option.value === undefined ? option.describe : `${option.value}: ${option.describe}`,
      ...(option.repeat ? { array: true, nargs: 1 } : {}),
    });
  }
  for (const [line, what] of runExamples) command.example(line, what);
  return command
    .usage(
      "belljar run [OPTIONS] [--] COMMAND [ARG...]\n\nRuns a program in a sandbox and reports what happened. A relative COMMAND with a slash is a host script.",
    )
    .epilogue(
      "Exit status: the program's own; 128+N when signal N killed it; 124 for a limit; 125 when belljar failed or refused; " +
        "126 not executable; 127 not found; 130 and 143 when cancelled.",
    );
}

function usageError(message: string, words: readonly string[], known: readonly string[]): BelljarError {
  const text = message.trim().replaceAll("\n", "; ");
  const unknown = /^Unknown (?:argument|command)s?: ([^,]+)/.exec(text)?.[1];
  const guess = unknown === undefined ? null : nearestName(unknown, known);
  const command = words
    .filter((word) => /^[a-z]/.test(word))
    .slice(0, 2)
    .join(" ");
  const hint =
    guess === null
      ? `\`belljar ${command.split(" ")[0] ?? ""} --help\` shows what is known`.replace("  ", " ")
      : `did you mean '${guess}'?`;
  return new BelljarError("usage", `reading options: ${text.charAt(0).toLowerCase()}${text.slice(1)}`, { hint });
}

/** Profile names behind -p, files and options elsewhere. */
function completeProfiles(
  _current: string,
  argv: { readonly _?: readonly string[] },
  standard: (onDone?: (error: Error | null, found: string[] | undefined) => void) => void,
  done: (found: string[]) => void,
): void {
  const words = process.argv.slice(process.argv.indexOf("--get-yargs-completions") + 1);
  const before = words.at(-2) ?? "";
  const wantsProfile = before === "-p" || before === "--profile" || argv._?.includes("profile") === true;
  if (!wantsProfile) {
    standard();
    return;
  }
  done([
    ...Object.keys(builtinProfiles),
    ...userProfileNames(),
    ...(argv._?.includes("profile") ? ["ls", "show", "check", "explain", "diff", "compile"] : []),
  ]);
}

/** Every command but a plain `run`: help, completion, profiles, doctor, gc. Returns the exit status; throws BelljarError. */
export async function otherCommand(args: readonly string[]): Promise<number> {
  const [word = ""] = args;
  const reason = notYet[word];
  if (reason !== undefined) throw new BelljarError("not-supported", `${word}: ${reason}`);
  let status = 0;
  const finish: Finish = (value) => {
    status = value;
  };
  const commands = ["run", "profile", "doctor", "gc", "completion"];
  const parser = yargs([...args])
    .scriptName("belljar")
    .locale("en")
    .usage("belljar COMMAND [OPTIONS]\n\nRuns code that nobody trusts, as an ordinary user, under a profile, and tells what happened.")
    .command("run", "run a program in a sandbox", runHelp)
    .command("profile", "list, show, check, explain, compare and compile profiles", (y) => profileCommands(y, finish))
    .command(
      "doctor",
      "tell what this host can do, and what to do about the rest",
      (y) => y.option("json", { type: "boolean", describe: "print JSON" }),
      async ({ json }) => {
        const { doctorCommand } = await import("./doctor.ts");
        finish(await doctorCommand({ json: json === true }));
      },
    )
    .command(
      "gc",
      "remove what killed runs have left",
      (y) => y.option("json", { type: "boolean", describe: "print JSON" }),
      async ({ json }) => {
        const { gcCommand } = await import("./gc.ts");
        finish(await gcCommand({ json: json === true }));
      },
    )
    .completion("completion", "print a completion script for bash or zsh", completeProfiles)
    .example("belljar run -- python3 -c 'print(6 * 7)'", "run a command")
    .example("belljar run --help", "all options of a run")
    .example("belljar doctor", "what this host can do")
    .example("belljar completion >> ~/.bashrc", "complete commands and options")
    .alias("help", "h")
    .version(version)
    .demandCommand(1, "no command given")
    .strict()
    .exitProcess(false)
    .showHelpOnFail(false)
    .wrap(Math.min(widest, process.stdout.columns ?? widest))
    .fail((message, error) => {
      throw error ?? usageError(message, args, commands);
    });
  await parser.parseAsync();
  return status;
}
