import type { Argv } from "yargs";
import { BelljarError } from "../../policy/errors.ts";
import { policyFacts } from "../../policy/profile/index.ts";
import { factsDocument } from "../output/json.ts";
import { writeStdout } from "../output/streams.ts";
import { printableLines } from "../output/terminal.ts";
import { loadProfile } from "../run/profiles.ts";
import type { Finish } from "./cli.ts";
import { compileExamples, compileOptions, compileUsage } from "./compile-options.ts";
import { withOptions } from "./option-help.ts";
import { check, list, resolveFrom } from "./profile-check.ts";
import { diff } from "./profile-diff.ts";
import { explain } from "./profile-explain.ts";

async function show(reference: string, resolved: boolean, set: readonly string[]): Promise<number> {
  if (!resolved && set.length > 0) throw new BelljarError("usage", "reading options: '--set': needs --resolved");
  if (resolved) await writeStdout(factsDocument(policyFacts(resolveFrom(reference, set).policy)));
  else await writeStdout(`${printableLines(loadProfile(reference, null).text.trimEnd())}\n`);
  return 0;
}

const words = (value: unknown): readonly string[] => (Array.isArray(value) ? value.map(String) : []);

function compileHelp(command: Argv): Argv {
  withOptions(command, compileOptions);
  for (const [line, what] of compileExamples) command.example(line, what);
  return command.usage(compileUsage);
}

/** `belljar profile …`, for yargs. */
export function profileCommands(parser: Argv, finish: Finish): Argv {
  const json = (y: Argv) => y.option("json", { type: "boolean", default: false, describe: "print JSON" });
  const set = (y: Argv) =>
    y.option("set", { type: "string", array: true, nargs: 1, default: [], describe: "PATH=VALUE: override a field" });
  const shows = (y: Argv, example: string) => y.example(example, "");
  const profile = (y: Argv) => y.positional("profile", { type: "string", demandOption: true, describe: "name or file" });
  return parser
    .command(
      "ls",
      "list profiles",
      (y) => shows(json(y), "belljar profile ls"),
      async (argv) => finish(await list(argv["json"] === true)),
    )
    .command(
      "show <profile>",
      "print a profile as written, or resolved",
      (y) =>
        shows(json(set(profile(y))), "belljar profile show judge --resolved").option("resolved", {
          type: "boolean",
          default: false,
          describe: "with every field, in base units",
        }),
      async (argv) => finish(await show(String(argv["profile"]), argv["resolved"] === true, words(argv["set"]))),
    )
    .command(
      "check <profiles..>",
      "check profiles; status 1 when one is invalid",
      (y) =>
        shows(json(y), "belljar profile check ./mine.json").positional("profiles", {
          type: "string",
          array: true,
          demandOption: true,
          describe: "names or files",
        }),
      async (argv) => finish(await check(words(argv["profiles"]), argv["json"] === true)),
    )
    .command(
      "explain <profile>",
      "say what holds and which file or option set it",
      (y) =>
        shows(json(set(profile(y))), "belljar profile explain strict --syscall socketpair --arg 0=1")
          .option("syscall", { type: "string", nargs: 1, describe: "say what happens to a system call, by name or number" })
          .option("arg", { type: "string", array: true, nargs: 1, default: [], describe: "N=VALUE: with this argument, counted from 0" }),
      async (argv) =>
        finish(
          await explain(String(argv["profile"]), {
            syscall: typeof argv["syscall"] === "string" ? argv["syscall"] : null,
            args: words(argv["arg"]),
            set: words(argv["set"]),
            json: argv["json"] === true,
          }),
        ),
    )
    .command(
      "diff <profile> <other>",
      "show how two profiles differ: fields, and system calls by their compiled filters",
      (y) =>
        shows(json(profile(y)), "belljar profile diff default strict")
          .positional("other", { type: "string", demandOption: true, describe: "name or file" })
          .option("all", { type: "boolean", default: false, describe: "calls, too, that both refuse in different ways" }),
      async (argv) =>
        finish(await diff(String(argv["profile"]), String(argv["other"]), { json: argv["json"] === true, all: argv["all"] === true })),
    )
    .command("compile <profile> [command..]", "compile a plan on this host: to look at, or to run without Node", compileHelp)
    .demandCommand(1, "no sub-command given: ls, show, check, explain, diff or compile")
    .example("belljar profile explain judge", "what judge means, field by field")
    .example("belljar profile explain strict --syscall openat", "what happens to one system call")
    .example("belljar profile diff default strict", "what one allows and the other does not")
    .example("belljar profile check ./mine.json", "check a file")
    .example("belljar profile compile judge --dump", "the plan and its filters")
    .example("belljar profile compile judge -o judge.plan", "for belljar-launch judge.plan -- COMMAND");
}
