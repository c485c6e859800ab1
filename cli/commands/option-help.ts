import type { Argv } from "yargs";
import type { OptionSpec } from "./run-options.ts";

/** Options of a command that reads them itself, for yargs to show and complete. */
export function withOptions(command: Argv, options: readonly OptionSpec[]): Argv {
  for (const option of options) {
    if (option.name === "help") continue;
    // Without a type: help then shows what the value is called, and no type beside it. Values are never read from here.
    command.option(option.name, {
      ...(option.short === undefined ? {} : { alias: option.short }),
      group: option.group,
      describe: option.value === undefined ? option.describe : `${option.value}: ${option.describe}`,
    });
  }
  return command;
}
