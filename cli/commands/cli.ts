import yargs, { type Argv } from "yargs";
import { BelljarError } from "../../policy/errors.ts";
import { builtinProfiles, nearestName } from "../../policy/profile/index.ts";
import { writeStdout } from "../output/streams.ts";
import { printable, quoted } from "../output/terminal.ts";
import { userProfileNames } from "../run/profiles.ts";
import { imageCommands, imageWords, pullCommands } from "./image.ts";
import { learnEpilogue, learnExamples, learnOptions, learnUsage } from "./learn-options.ts";
import { withOptions } from "./option-help.ts";
import { profileCommands } from "./profile.ts";
import { runExamples, runOptions } from "./run-options.ts";
import { serveEpilogue, serveExamples, serveOptions, serveUsage } from "./serve-options.ts";
import { version } from "./version.ts";

const widest = 110;

/** Sets the exit status of a command; what each handler ends with. */
export type Finish = (status: number) => void;

function runHelp(command: Argv): Argv {
  withOptions(command, runOptions);
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

const commands = ["run", "serve", "learn", "image", "pull", "profile", "doctor", "gc", "completion"] as const;
function serveHelp(command: Argv): Argv {
  withOptions(command, serveOptions);
  for (const [line, what] of serveExamples) command.example(line, what);
  return command.usage(serveUsage).epilogue(serveEpilogue);
}

function learnHelp(command: Argv): Argv {
  withOptions(command, learnOptions);
  for (const [line, what] of learnExamples) command.example(line, what);
  return command.usage(learnUsage).epilogue(learnEpilogue);
}

const profileWords = ["ls", "show", "check", "explain", "diff", "compile", "json", "resolved", "syscall", "arg", "all", "set", "dump"];
const answers: readonly string[] = ["--help", "--version"];

/** The sentences of yargs, as ours: pattern, and what to say about what it found. */
const sentences: readonly (readonly [pattern: RegExp, say: (found: string) => string])[] = [
  [/^Unknown (?:argument|command)s?: ([^,]+)/, (name) => `${quoted(name)}: unknown option or argument`],
  [/^(?:Not enough arguments following: |Missing argument value: )(.+)$/, (name) => `'--${printable(name)}': needs a value`],
  [/^Too many non-option arguments/, () => "too many arguments"],
  [/^Not enough non-option arguments/, () => "an argument is missing"],
  [/^Missing required arguments?: (.+)$/, (name) => `${quoted(name)}: is missing`],
];

function usageError(message: string, word: string): BelljarError {
  const text = message.trim().replaceAll("\n", "; ");
  const [found] = sentences.flatMap(([pattern, say]) => {
    const match = pattern.exec(text);
    return match === null ? [] : [{ name: match[1] ?? "", said: say(match[1] ?? "") }];
  });
  const words = word === "profile" ? profileWords : word === "image" || word === "pull" ? imageWords : [];
  const guess = found === undefined ? null : nearestName(found.name, words);
  const hint = guess === null ? `\`belljar ${word} --help\` shows what is known` : `did you mean '${guess}'?`;
  return new BelljarError("usage", `reading options: ${found?.said ?? `${text.charAt(0).toLowerCase()}${text.slice(1)}`}`, { hint });
}

function checkCommand(word: string, rest: readonly string[]): void {
  if (word === "" && rest[0] !== undefined && rest[0] !== "--")
    throw new BelljarError("usage", `reading options: ${quoted(rest[0])}: no command given`, {
      hint: `options follow a command (${commands.join(", ")}): belljar run [OPTIONS] -- COMMAND`,
    });
  if (word === "")
    throw new BelljarError("usage", "reading options: no command given", {
      hint: `one of ${commands.join(", ")}; \`belljar --help\` tells more`,
    });
  if (answers.includes(word) || word.startsWith(completing) || (commands as readonly string[]).includes(word)) return;
  const guess = nearestName(word, commands);
  throw new BelljarError("usage", `reading options: ${quoted(word)}: unknown command`, {
    hint: guess === null ? "`belljar --help` lists the commands; to run a program: belljar run -- COMMAND" : `did you mean '${guess}'?`,
  });
}

/** What the completion scripts call. */
const completing = "--get-yargs-completions";
/** The script of yargs for bash looks at what follows the last break of "debian:12" and, where nothing does, at the break itself; bash replaces "$2". */
const currentWord = /"\$\{COMP_WORDS\[COMP_CWORD\]\}"/;

/** Profile names behind -p, files and options elsewhere. */
function completeProfiles(
  _current: string,
  argv: { readonly _?: readonly string[] },
  standard: (onDone?: (error: Error | null, found: string[] | undefined) => void) => void,
  done: (found: string[]) => void,
): void {
  const words = process.argv.slice(process.argv.indexOf(completing) + 1);
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

const hostOptions =
  (usage: string, ...examples: readonly (readonly [line: string, what: string])[]) =>
  (command: Argv): Argv =>
    examples
      .reduce((parser, [line, what]) => parser.example(line, what), command.usage(usage))
      .option("json", { type: "boolean", describe: "print JSON" })
      .option("run-as", { type: "string", nargs: 1, describe: "USER: started by root: the ordinary account to become" });

interface HostOptions {
  readonly json: boolean;
  readonly runAs?: string;
}

/** These commands take options and nothing else. */
function hostOptionsOf(argv: { readonly _: readonly (string | number)[]; readonly [name: string]: unknown }): HostOptions {
  const { json, runAs } = argv as { readonly json?: unknown; readonly runAs?: unknown };
  const other = argv._[1];
  if (other !== undefined) throw new BelljarError("usage", `reading options: ${quoted(String(other))}: takes no argument`);
  return { json: json === true, ...(typeof runAs === "string" ? { runAs } : {}) };
}

const shells = ["bash", "zsh"] as const;
/** yargs would print the script itself. */
const completionHelp = `belljar completion [bash|zsh]

Prints a completion script; without a name, for the shell of $SHELL.

Examples:
  belljar completion bash >> ~/.bashrc
  belljar completion zsh >> ~/.zshrc
`;

/** yargs chooses by $SHELL; a shell that is named is that one, and one that it has no script for is refused. */
function chooseShell(rest: readonly string[]): void {
  const [shell, other] = rest;
  if (shell === undefined || shell.startsWith("-")) return;
  if (other !== undefined || !(shells as readonly string[]).includes(shell)) {
    throw new BelljarError("usage", `reading options: ${quoted(other ?? shell)}: there is completion for ${shells.join(" and ")} only`, {
      hint: "belljar completion bash >> ~/.bashrc",
    });
  }
  process.env["SHELL"] = `/bin/${shell}`;
  delete process.env["ZSH_NAME"];
}

/** What yargs is given: never a line on which it could find nothing to do. */
function argumentsFor(word: string, rest: readonly string[]): readonly string[] {
  if (answers.includes(word)) return [word];
  if (word === "run" || word === "learn" || word === "serve") return [word, "--help"]; // everything else of theirs has another reader
  if (word !== "completion") return [word, ...rest];
  chooseShell(rest);
  return rest[0]?.startsWith("-") ? [word, ...rest] : [word];
}

/** Every command but a plain `run`: help, completion, images, profiles, doctor, gc. Returns the exit status; throws BelljarError. */
export async function otherCommand(word: string, rest: readonly string[]): Promise<number> {
  checkCommand(word, rest);
  if (word === "completion" && rest.some((one) => one === "--help" || one === "-h")) {
    await writeStdout(completionHelp);
    return 0;
  }
  if (word === completing) {
    const { completeImages } = await import("./complete-images.ts");
    const found = await completeImages(rest);
    if (found !== null) {
      await writeStdout(found.map((name) => `${name}\n`).join(""));
      return 0;
    }
  }
  let status = 0;
  const finish: Finish = (value) => {
    status = value;
  };
  // A folder that is always there: yargs asks for the current one, which may have been deleted, and needs it for nothing.
  const parser = pullCommands(
    yargs([...argumentsFor(word, rest)], "/")
      .scriptName("belljar")
      .locale("en")
      .usage("belljar COMMAND [OPTIONS]\n\nRuns code that nobody trusts, as an ordinary user, under a profile, and tells what happened.")
      .command("run", "run a program in a sandbox", runHelp)
      .command("serve", "keep sandboxes ready for runs", serveHelp)
      .command("learn", "write the smallest profile that a program runs under", learnHelp)
      .command("image", "get, load, save, list, name and remove images", (y) => imageCommands(y, finish)),
    finish,
  )
    .command("profile", "list, show, check, explain, compare and compile profiles", (y) => profileCommands(y, finish))
    .command(
      "doctor",
      "tell what this host can do, and what to do about the rest",
      hostOptions(
        "belljar doctor [OPTIONS]\n\nTells what this host can do, and what to do about the rest. Status 1 when a default run cannot work.",
        ["belljar doctor", "for people"],
        ["belljar doctor --json", "for programs, and for reports of faults"],
      ),
      async (argv) => {
        const options = hostOptionsOf(argv);
        const { doctorCommand } = await import("./doctor.ts");
        finish(await doctorCommand(options));
      },
    )
    .command(
      "gc",
      "remove what killed runs have left",
      hostOptions("belljar gc [OPTIONS]\n\nRemoves what killed runs have left; never what belongs to a live run.", [
        "belljar gc",
        "remove, and tell of each thing",
      ]),
      async (argv) => {
        const options = hostOptionsOf(argv);
        const { gcCommand } = await import("./gc.ts");
        finish(await gcCommand(options));
      },
    )
    .completion("completion", "print a completion script for bash or zsh", completeProfiles)
    .example("belljar run -- python3 -c 'print(6 * 7)'", "run a command")
    .example("belljar run --help", "all options of a run")
    .example("belljar doctor", "what this host can do")
    .example("belljar completion bash >> ~/.bashrc", "complete commands and options")
    .alias("help", "h")
    .version(version)
    .alias("version", "V")
    .demandCommand(1, "no command given")
    .strict()
    .exitProcess(false)
    .showHelpOnFail(false)
    .wrap(Math.min(widest, process.stdout.columns ?? widest))
    .fail((message, error) => {
      throw error ?? usageError(message, word);
    });
  let printed = "";
  // With a callback yargs prints nothing itself, so that lost output is an error here as everywhere.
  await parser.parseAsync([...argumentsFor(word, rest)], {}, (_error, _argv, output) => {
    printed = output;
  });
  if (word === "completion") printed = printed.replace(currentWord, () => '"$2"');
  if (printed !== "") await writeStdout(`${printed}\n`);
  return status;
}
