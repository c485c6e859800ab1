import { type OptionSpec, runOptions } from "./run-options.ts";

/** What belongs to one run, or to how it is told of; a program that runs the plan has its own. */
const ofOneRun: ReadonlySet<string> = new Set([
  ...["profile", "script", "tty", "no-server", "in", "out", "stdin", "stdout", "stderr"],
  ...["report", "plot", "quiet", "verbose", "json", "help"],
]);

const output = "Output:";

/** The options of `belljar profile compile`: what of a run is known ahead, under the same names. */
export const compileOptions: readonly OptionSpec[] = [
  {
    name: "write",
    short: "o",
    value: "FILE",
    group: output,
    describe: "write the plan for belljar-launch FILE [OPTIONS] -- COMMAND",
  },
  { name: "dump", group: output, describe: "print the whole plan as JSON, filters disassembled" },
  { name: "json", group: output, describe: "print JSON" },
  { name: "help", short: "h", group: output, describe: "show this help" },
  ...runOptions.filter(({ name }) => !ofOneRun.has(name)),
];

export const compileUsage =
  "belljar profile compile PROFILE [OPTIONS] [--] [COMMAND [ARG...]]\n\n" +
  "Compiles the plan of a run on this host, without running it. Of the run's options those that are known ahead: the others are belljar-launch's.";

export const compileExamples: readonly (readonly [string, string])[] = [
  ["belljar profile compile judge -o judge.plan", "then: belljar-launch judge.plan -- COMMAND"],
  ["belljar profile compile judge -o cpp.plan --memory 256M -v /srv/tests:/tests", "with limits and folders of its own"],
  ["belljar profile compile judge --dump -- python3 a.py", "the plan and its filters"],
];
