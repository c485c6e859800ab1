import yargs, { type Argv } from "yargs";
import { BelljarError } from "../../policy/errors.ts";
import { builtinProfiles, nearestName } from "../../policy/profile/index.ts";
import { quoted } from "../output/terminal.ts";
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
    // Without a type: help then shows what the value is called, and no type beside it. Values are never read from here.
    command.option(option.name, {
      ...(option.short === undefined ? {} : { alias: option.short }),
      group: option.group,
      describe: option.value === undefined ? option.describe : `${option.value}: ${option.describe}`,
      hidden: option.hidden === true,
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

const commands = ["run", "profile", "doctor", "gc", "completion"] as const;
const profileWords = ["ls", "show", "check", "explain", "diff", "compile", "json", "resolved", "syscall", "set", "dump"];

/** Words of yargs into our form of an error, with the nearest name that is known. */
function usageError(message: string, word: string): BelljarError {
  const text = message.trim().replaceAll("\n", "; ");
  const unknown = /^Unknown (?:argument|command)s?: ([^,]+)/.exec(text)?.[1];
  const guess = unknown === undefined ? null : nearestName(unknown, profileWords);
  const hint = guess === null ? `\`belljar ${word} --help\` shows what is known` : `did you mean '${guess}'?`;
  return new BelljarError("usage", `reading options: ${text.charAt(0).toLowerCase()}${text.slice(1)}`, { hint });
}

function checkCommand(word: string): void {
  const reason = notYet[word];
  if (reason !== undefined) throw new BelljarError("not-supported", `${word}: ${reason}`);
  if (word === "")
    throw new BelljarError("usage", "reading options: no command given", {
      hint: `one of ${commands.join(", ")}; \`belljar --help\` tells more`,
    });
  if (word.startsWith("-") || (commands as readonly string[]).includes(word)) return;
  const guess = nearestName(word, commands);
  throw new BelljarError("usage", `reading options: ${quoted(word)}: unknown command`, {
    hint: guess === null ? "`belljar --help` lists the commands; to run a program: belljar run -- COMMAND" : `did you mean '${guess}'?`,
  });
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

const hostOptions = (command: Argv) =>
  command
    .option("json", { type: "boolean", describe: "print JSON" })
    .option("run-as", { type: "string", describe: "USER: started by root: the ordinary account to become" });

/** Every command but a plain `run`: help, completion, profiles, doctor, gc. Returns the exit status; throws BelljarError. */
export async function otherCommand(args: readonly string[]): Promise<number> {
  const [word = ""] = args;
  checkCommand(word);
  let status = 0;
  const finish: Finish = (value) => {
    status = value;
  };
  const parser = yargs([...args])
    .scriptName("belljar")
    .locale("en")
    .usage("belljar COMMAND [OPTIONS]\n\nRuns code that nobody trusts, as an ordinary user, under a profile, and tells what happened.")
    .command("run", "run a program in a sandbox", runHelp)
    .command("profile", "list, show, check, explain, compare and compile profiles", (y) => profileCommands(y, finish))
    .command("doctor", "tell what this host can do, and what to do about the rest", hostOptions, async ({ json, runAs }) => {
      const { doctorCommand } = await import("./doctor.ts");
      finish(await doctorCommand({ json: json === true, ...(runAs === undefined ? {} : { runAs }) }));
    })
    .command("gc", "remove what killed runs have left", hostOptions, async ({ json, runAs }) => {
      const { gcCommand } = await import("./gc.ts");
      finish(await gcCommand({ json: json === true, ...(runAs === undefined ? {} : { runAs }) }));
    })
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
      throw error ?? usageError(message, word);
    });
  await parser.parseAsync();
  return status;
}
