import { parseArgs } from "node:util";
import { BelljarError } from "../../policy/errors.ts";
import { nearestName } from "../../policy/profile/problems.ts";
import { limitNames } from "../../policy/profile/types.ts";
import { quoted } from "../output/terminal.ts";
import { limitOption, type OptionSpec, runOptions } from "./run-options.ts";

export interface GivenOption {
  readonly name: string;
  /** null for a switch. */
  readonly value: string | null;
}

export interface GivenArguments {
  /** In the order of the command line: later ones win. */
  readonly options: readonly GivenOption[];
  /** Everything from the first word that is no option, or from behind `--`. */
  readonly command: readonly string[];
}

const reading = "reading options";
const limitOptions: ReadonlySet<string> = new Set(limitNames.map(limitOption));

function unknownOption(
  name: string,
  { options, command }: { readonly options: readonly OptionSpec[]; readonly command: string },
): BelljarError {
  const names = options.map((option) => option.name);
  // Most often a name was cut short: --mem.
  const extended = names.filter((known) => name.length > 2 && known.startsWith(name));
  const written = name.length === 1 ? `-${name}` : `--${name}`;
  const guess = name.length === 1 ? null : extended.length === 1 ? extended[0] : nearestName(name, names);
  const hint = !guess
    ? `\`belljar ${command} --help\` lists the options; the program's own options follow behind \`--\``
    : `did you mean '--${guess}'?`;
  return new BelljarError("usage", `${reading}: ${quoted(written)}: unknown option`, { hint });
}

// Not strict: strict would judge the program's arguments too, and its messages know nothing of our table.
function tokensOf(args: readonly string[], options: readonly OptionSpec[]) {
  const config = Object.fromEntries(
    options.map(({ name, short, value }) => [
      name,
      { type: value === undefined ? ("boolean" as const) : ("string" as const), ...(short === undefined ? {} : { short }) },
    ]),
  );
  return parseArgs({ args: [...args], options: config, allowPositionals: true, strict: false, tokens: true }).tokens;
}

/**
 * Reads options up to the first word that is none (or `--`); what follows belongs to the program and is left as it is.
 * A plain reader because every run pays for it: the help and completion of the same table come from yargs.
 * Throws BelljarError `usage` for an unknown option, a missing value, and a value for a switch.
 */
export function readArguments(args: readonly string[], options: readonly OptionSpec[], { command = "run" } = {}): GivenArguments {
  const byName = new Map(options.map((option) => [option.name, option]));
  const given: GivenOption[] = [];
  for (const token of tokensOf(args, options)) {
    if (token.kind === "positional") return { options: given, command: args.slice(token.index) };
    if (token.kind === "option-terminator") return { options: given, command: args.slice(token.index + 1) };
    const option = byName.get(token.name);
    if (option === undefined) throw unknownOption(token.name, { options, command });
    if (option.value === undefined && token.value !== undefined) {
      throw new BelljarError("usage", `${reading}: ${quoted(token.rawName)}: takes no value`);
    }
    if (option.value !== undefined) checkValue(token.rawName, option, token);
    given.push({ name: token.name, value: token.value ?? null });
  }
  return { options: given, command: [] };
}

/** The names of all options before the program's own words, known or not, judged by nothing: is help or JSON wanted? */
export function optionsOf(args: readonly string[], options: readonly OptionSpec[] = runOptions): ReadonlySet<string> {
  const names = new Set<string>();
  for (const token of tokensOf(args, options)) {
    if (token.kind !== "option") break;
    names.add(token.name);
  }
  return names;
}

/** Whether a command is asked for its help and nothing else. A switch with a value (`--help=no`) is left to be refused. */
export function helpWanted(args: readonly string[], options: readonly OptionSpec[] = runOptions): boolean {
  // Most command lines hold no word that could ask for it, and reading them twice would take as long as all else about them.
  if (!args.some((word) => word === "--help" || /^-[^-]*h/.test(word))) return false;
  for (const token of tokensOf(args, options)) {
    if (token.kind !== "option") return false;
    if (token.name === "help" && token.value === undefined) return true;
  }
  return false;
}

function checkValue(
  rawName: string,
  { name, value: wanted = "", mayBeEmpty = false }: OptionSpec,
  token: { readonly value?: string | undefined; readonly inlineValue?: boolean | undefined },
): void {
  const { value, inlineValue } = token;
  const missing = (hint: string) => new BelljarError("usage", `${reading}: ${quoted(rawName)}: needs a value (${wanted})`, { hint });
  if (value === undefined || value === "--") throw missing(`write ${rawName} ${wanted}`);
  if (!inlineValue && value.length > 1 && value.startsWith("-"))
    throw missing(`a value that begins with '-' is written ${rawName}=${value}`);
  // Nothing is called "": a variable of a script that was not set. A limit says itself what it takes.
  if (value === "" && !mayBeEmpty && !limitOptions.has(name)) throw missing("it is empty: was a variable of your shell not set?");
}
