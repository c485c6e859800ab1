import { type OptionSpec, runOptions } from "./run-options.ts";

const learning = "Learning:";

/** Those of `run` that say how the report is shown mean nothing here: there are two runs. */
const notHere: ReadonlySet<string> = new Set(["report", "json", "verbose", "no-server"]);

/** The options of `belljar learn`: its own, and those that say what is run and how. */
export const learnOptions: readonly OptionSpec[] = [
  { name: "write", short: "o", value: "FILE", group: learning, describe: "the profile that is written" },
  { name: "merge", group: learning, describe: "add to what is in FILE from earlier runs" },
  { name: "no-verify", group: learning, describe: "do not run the program again under the new profile" },
  {
    name: "allow-forbidden",
    value: "CALL",
    repeat: true,
    group: learning,
    describe: "let the program make a call that the base profile refuses, and learn it",
  },
  ...runOptions.filter(({ name }) => !notHere.has(name)),
];

export const learnUsage =
  "belljar learn -o FILE [OPTIONS] [--] COMMAND [ARG...]\n\nRuns a program in the sandbox, watches its system calls and those of its threads and children, and writes the smallest profile " +
  "under which it runs again. What the base profile (-p) refuses stays refused.";

export const learnExamples: readonly (readonly [string, string])[] = [
  ["belljar learn -o tool.json -- python3 -m json.tool --help", "learn, and run again to verify"],
  ["belljar run -p ./tool.json -- python3 -m json.tool --help", "run under what was learnt"],
  ["belljar learn -o tool.json --merge --stdin other.txt ./tool.py", "add what another input needs"],
  ["belljar learn -p judge -i alpine -o app.json", "an image's own command, with judge as the base"],
  ["belljar learn -o gdb.json --allow-forbidden ptrace -- gdb --version", "with a call that the base forbids"],
];

export const learnEpilogue =
  "Exit status: 0 written, and the program ran again under it to the same end; 1 written, and it did not; 125 nothing was written.";
