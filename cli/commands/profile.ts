import type { Argv } from "yargs";
import { BelljarError } from "../../policy/errors.ts";
import { policyFacts } from "../../policy/profile/index.ts";
import { dumpPlan } from "../../policy/wire/index.ts";
import { becomeOrdinary } from "../host/account.ts";
import { loadConfig } from "../host/config.ts";
import { warningText } from "../output/human.ts";
import { factsDocument } from "../output/json.ts";
import { writeStderr, writeStdout } from "../output/streams.ts";
import { table } from "../output/table.ts";
import { printableLines } from "../output/terminal.ts";
import type { RunInput } from "../run/input.ts";
import { prepareRun } from "../run/prepare.ts";
import { loadProfile } from "../run/profiles.ts";
import type { Finish } from "./cli.ts";
import { check, list, overridesFrom, resolveFrom } from "./profile-check.ts";
import { diff } from "./profile-diff.ts";
import { explain } from "./profile-explain.ts";

async function show(reference: string, resolved: boolean, set: readonly string[]): Promise<number> {
  if (!resolved && set.length > 0) throw new BelljarError("usage", "reading options: '--set': needs --resolved");
  if (resolved) await writeStdout(factsDocument(policyFacts(resolveFrom(reference, set).policy)));
  else await writeStdout(`${printableLines(loadProfile(reference, null).text.trimEnd())}\n`);
  return 0;
}

/** The plan of a run that is not started: what would be set up on this very host, for this very command. */
async function compile(
  reference: string,
  command: readonly string[],
  options: { readonly dump: boolean; readonly set: readonly string[]; readonly json: boolean },
): Promise<number> {
  const input: RunInput = {
    profile: reference,
    overrides: overridesFrom(options.set),
    command: command.length === 0 ? ["true"] : command,
    script: null,
    hostScripts: true,
    workdir: null,
    env: [],
    user: null,
    entrypoint: null,
    pull: "never",
    terminal: false,
    volumes: [],
    filesIn: [],
    sampleMs: 0,
    filesOut: [],
    outMaxBytes: null,
    stdin: "pump",
    capture: false,
  };
  const config = loadConfig();
  becomeOrdinary({ configured: config.runAs });
  const prepared = await prepareRun(input, { config, environment: process.env, runId: "compiled" });
  await prepared.release(); // nothing is started
  if (options.dump) {
    const { disassemble } = await import("../../policy/seccomp/disassemble.ts");
    await writeStdout(factsDocument(dumpPlan(prepared.plan, { disassemble })));
    return 0;
  }
  const { sandboxBytes, execBytes, profileDigest, filterDigest, enforcement, warnings } = prepared;
  const facts = { profileDigest, filterDigest, sandboxBytes: sandboxBytes.length, execBytes: execBytes.length, enforcement, warnings };
  if (options.json) await writeStdout(factsDocument(facts));
  else {
    for (const warning of warnings) writeStderr(warningText(warning));
    const rows: [string, string][] = [
      ["profile", profileDigest],
      ["filter", filterDigest],
      ["plan", `${sandboxBytes.length} bytes of sandbox, ${execBytes.length} bytes of exec`],
      ...Object.entries(enforcement).map(([limit, mechanism]): [string, string] => [limit, String(mechanism)]),
    ];
    await writeStdout(table(rows));
  }
  return 0;
}

const words = (value: unknown): readonly string[] => (Array.isArray(value) ? value.map(String) : []);

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
    .command(
      "compile <profile> [command..]",
      "compile the plan of a run on this host, without running it",
      (y) =>
        shows(json(set(profile(y))), "belljar profile compile judge --dump -- python3 a.py")
          .positional("command", { type: "string", array: true, describe: "program and arguments [true]" })
          .option("dump", { type: "boolean", default: false, describe: "print the whole plan as JSON, filters disassembled" }),
      async (argv) =>
        finish(
          await compile(String(argv["profile"]), [...words(argv["command"]), ...words(argv["--"])], {
            dump: argv["dump"] === true,
            set: words(argv["set"]),
            json: argv["json"] === true,
          }),
        ),
    )
    .demandCommand(1, "no sub-command given: ls, show, check, explain, diff or compile")
    .example("belljar profile explain judge", "what judge means, field by field")
    .example("belljar profile explain strict --syscall openat", "what happens to one system call")
    .example("belljar profile diff default strict", "what one allows and the other does not")
    .example("belljar profile check ./mine.json", "check a file")
    .example("belljar profile compile judge --dump", "the plan and its filters");
}
