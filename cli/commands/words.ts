import { parseArgs } from "node:util";
import { runOptions } from "./run-options.ts";

export interface CommandLine {
  /** The sub-command; "" when there is none. */
  readonly word: string;
  /** Its arguments. Options that stood before the word come first: there is no place in which an option is passed over. */
  readonly rest: readonly string[];
}

const answers: Readonly<Record<string, string>> = { "-h": "--help", "--help": "--help", "-V": "--version", "--version": "--version" };

/** Where the sub-command stands: the first word that is neither an option of `run` nor the value of one. */
function wordIndex(args: readonly string[]): number | null {
  if (args[0] !== undefined && !args[0].startsWith("-")) return 0;
  const options = Object.fromEntries(
    runOptions.map(({ name, short, value }) => [
      name,
      { type: value === undefined ? ("boolean" as const) : ("string" as const), ...(short === undefined ? {} : { short }) },
    ]),
  );
  const { tokens } = parseArgs({ args: [...args], options, allowPositionals: true, strict: false, tokens: true });
  for (const token of tokens) {
    if (token.kind === "positional") return token.index;
    if (token.kind === "option-terminator") return null;
  }
  return null;
}

/**
 * Finds the sub-command wherever it stands: `belljar -p judge run -- x` is `belljar run -p judge -- x`. `help [WORD]` and
 * leading `--help` become `WORD --help`, and without a word the answer itself is the word (`--help`, `--version`).
 */
export function findCommand(args: readonly string[]): CommandLine {
  // The completion script's own call: words that are still being typed.
  if (args[0]?.startsWith("--get-yargs-completions")) return { word: args[0], rest: args.slice(1) };
  const index = wordIndex(args);
  const leading = args.slice(0, index ?? args.length);
  const answer = leading.map((one) => answers[one]).find((one) => one !== undefined);
  if (answer === "--version") return { word: "--version", rest: [] };
  if (index === null) return { word: answer ?? "", rest: answer === undefined ? args : [] };
  const [word = "", ...rest] = args.slice(index);
  if (word === "help") return rest[0] === undefined ? { word: "--help", rest: [] } : { word: rest[0], rest: ["--help"] };
  return { word, rest: answer === undefined ? [...leading, ...rest] : ["--help"] };
}
