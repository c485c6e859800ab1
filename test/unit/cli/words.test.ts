import { describe, expect, test } from "vitest";
import { helpWanted } from "../../../cli/commands/arguments.ts";
import { findCommand } from "../../../cli/commands/words.ts";

describe("the sub-command is found wherever it stands", () => {
  test.each<[string[], string, string[]]>([
    [["run", "-q", "x"], "run", ["-q", "x"]],
    [["-p", "judge", "run", "--", "x"], "run", ["-p", "judge", "--", "x"]],
    [["-pjudge", "-q", "run", "x", "-q"], "run", ["-pjudge", "-q", "x", "-q"]],
    [["--memory=1G", "--json", "run", "x"], "run", ["--memory=1G", "--json", "x"]],
    [["--json", "doctor"], "doctor", ["--json"]],
    [["--bogus", "run", "x"], "run", ["--bogus", "x"]],
    [["-p", "run"], "", ["-p", "run"]],
    [["-p", "judge"], "", ["-p", "judge"]],
    [["--", "x"], "", ["--", "x"]],
    [[], "", []],
    [["--help"], "--help", []],
    [["-h", "-p", "judge"], "--help", []],
    [["--help", "run"], "run", ["--help"]],
    [["help"], "--help", []],
    [["help", "gc"], "gc", ["--help"]],
    [["-V"], "--version", []],
    [["--version", "run", "x"], "--version", []],
    [["--help=no"], "", ["--help=no"]],
    [["--get-yargs-completions", "belljar", "-p", ""], "--get-yargs-completions", ["belljar", "-p", ""]],
  ])("%j", (args, word, rest) => {
    expect(findCommand(args)).toEqual({ word, rest });
  });
  test("help of run is wanted by its switch only, before the program's words", () => {
    expect(helpWanted(["-p", "judge", "-h"])).toBe(true);
    expect(helpWanted(["--help"])).toBe(true);
    for (const args of [["--help=no", "x"], ["x", "--help"], ["--", "--help"], ["--set", "--help"], []])
      expect(helpWanted(args)).toBe(false);
  });
});
