import { BelljarError } from "../../policy/errors.ts";
import { dumpPlan } from "../../policy/wire/index.ts";
import { warningText } from "../output/human.ts";
import { factsDocument } from "../output/json.ts";
import { writeStderr, writeStdout } from "../output/streams.ts";
import { table } from "../output/table.ts";
import type { RunInput } from "../run/input.ts";
import { type PreparedRun, prepareRun } from "../run/prepare.ts";
import { openTextFile } from "../run/report-file.ts";
import { type GivenArguments, helpWanted, readArguments } from "./arguments.ts";
import { compileOptions } from "./compile-options.ts";
import { configAs } from "./run.ts";
import { runInputFrom } from "./run-input.ts";

const line = { command: "profile compile" };

export const compileHelpWanted = (args: readonly string[]): boolean =>
  helpWanted(args[0]?.startsWith("-") === false ? args.slice(1) : args, compileOptions);

/** The profile comes first, or behind options; then more options, then the command. */
function readLine(args: readonly string[]): { readonly profile: string; readonly given: GivenArguments } {
  const before = readArguments(args, compileOptions, line);
  const [profile, ...rest] = before.command;
  if (profile === undefined || profile === "")
    throw new BelljarError("usage", "reading options: 'profile': is missing", { hint: "belljar profile compile judge -o judge.plan" });
  const after = readArguments(rest, compileOptions, line);
  return { profile, given: { options: [...before.options, ...after.options], command: after.command } };
}

async function show(prepared: PreparedRun, options: { readonly json: boolean; readonly dump: boolean }): Promise<void> {
  if (options.dump) {
    const { disassemble } = await import("../../policy/seccomp/disassemble.ts");
    await writeStdout(factsDocument(dumpPlan(prepared.plan, { disassemble })));
    return;
  }
  const { sandboxBytes, execBytes, profileDigest, filterDigest, enforcement, warnings } = prepared;
  if (options.json) {
    const sizes = { sandboxBytes: sandboxBytes.length, execBytes: execBytes.length };
    await writeStdout(factsDocument({ profileDigest, filterDigest, ...sizes, enforcement, warnings }));
    return;
  }
  const rows: [string, string][] = [
    ["profile", profileDigest],
    ["filter", filterDigest],
    ["plan", `${sandboxBytes.length} bytes of sandbox, ${execBytes.length} bytes of exec`],
    ...Object.entries(enforcement).map(([limit, mechanism]): [string, string] => [limit, String(mechanism)]),
  ];
  await writeStdout(table(rows));
}

/** `belljar profile compile`. Throws BelljarError. */
export async function compileCommand(args: readonly string[]): Promise<number> {
  const { profile, given } = readLine(args);
  const has = (name: string) => given.options.some((option) => option.name === name);
  const last = (name: string) => given.options.findLast((option) => option.name === name)?.value ?? null;
  const file = last("write");
  const { input: asked, presentation } = runInputFrom(given, process.env);
  const config = configAs(presentation.runAs);
  const place = file === null ? null : openTextFile(file, "writing the plan", 0o600);
  const input: RunInput = {
    ...asked,
    profile,
    hostScripts: place === null,
    pull: place === null && !has("pull") ? "never" : asked.pull,
    capture: false,
  };
  const { compiledRunId, planFile } = await import("../run/plan-file.ts");
  const prepared = await prepareRun(input, {
    config,
    environment: process.env,
    runId: place === null ? "compiled" : compiledRunId,
    ahead: place !== null,
  });
  try {
    if (!has("json") && !has("dump")) for (const warning of prepared.warnings) writeStderr(warningText(warning));
    if (place === null || has("dump") || has("json")) await show(prepared, { json: has("json"), dump: has("dump") });
    place?.write(planFile(prepared, { hasCommand: asked.command.length > 0, env: asked.env, outMaxBytes: asked.outMaxBytes }));
    return 0;
  } finally {
    place?.close();
    await prepared.release(); // nothing is started
  }
}
