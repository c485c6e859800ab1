import { describe, expect, test } from "vitest";
import { optionsOf, readArguments } from "../../../cli/commands/arguments.ts";
import { runOptions } from "../../../cli/commands/run-options.ts";
import { caught } from "./caught.ts";

const read = (...args: string[]) => readArguments(args, runOptions);

describe("where the options end", () => {
  test("at the first word that is none: the rest is the program's, untouched", () => {
    const { options, command } = read("-p", "judge", "python3", "-c", "print(1)", "--json", "--", "-p");
    expect(options).toEqual([{ name: "profile", value: "judge" }]);
    expect(command).toEqual(["python3", "-c", "print(1)", "--json", "--", "-p"]);
  });
  test("at --, which is not part of the command", () => {
    expect(read("--json", "--", "--odd", "-x").command).toEqual(["--odd", "-x"]);
    expect(read("--", "--", "x").command).toEqual(["--", "x"]);
  });
  test("the order of options and repeated ones are kept", () => {
    const { options } = read("--memory", "1G", "--set", "limits.memory=2G", "-e", "A=1", "-eB", "--memory=3G", "-tq", "x");
    expect(options.map(({ name, value }) => `${name}=${value}`)).toEqual([
      "memory=1G",
      "set=limits.memory=2G",
      "env=A=1",
      "env=B",
      "memory=3G",
      "tty=null",
      "quiet=null",
    ]);
  });
});

describe("what is refused", () => {
  test.each([
    ["--memroy", "did you mean '--memory'?"],
    ["--mem", "did you mean '--memory'?"],
    ["--cputime", "did you mean '--cpu-time'?"],
    ["--workdri", "did you mean '--workdir'?"],
  ])("an unknown option, with the nearest: %s", (option, hint) => {
    const error = caught(() => read(option, "1"));
    expect(error).toMatchObject({ code: "usage", message: `reading options: '${option}': unknown option`, hint });
  });
  test("an unknown option that resembles none", () => {
    expect(caught(() => read("--frobnicate"))).toMatchObject({ code: "usage", hint: expect.stringContaining("--help") });
    expect(caught(() => read("-x"))).toMatchObject({ code: "usage", message: "reading options: '-x': unknown option" });
  });
  test("a missing value, also where the next word is an option", () => {
    expect(caught(() => read("--memory"))).toMatchObject({ code: "usage", message: "reading options: '--memory': needs a value (SIZE)" });
    expect(caught(() => read("--memory", "--json"))).toMatchObject({ code: "usage" });
    expect(caught(() => read("--memory", "-5"))).toMatchObject({
      code: "usage",
      hint: "a value that begins with '-' is written --memory=-5",
    });
    expect(caught(() => read("--stdin", "--", "x"))).toMatchObject({ code: "usage" });
  });
  test("a value for a switch", () => {
    expect(caught(() => read("--json=yes", "x"))).toMatchObject({ code: "usage", message: "reading options: '--json': takes no value" });
  });
  test("control characters of an option reach no terminal", () => {
    expect(caught(() => read("--\u001b[2Jx"))?.message).not.toContain("\u001b");
  });
});

test("whether JSON or help is wanted is seen without judging, and never in the program's own words", () => {
  expect(optionsOf(["--nonsense", "--json", "x"]).has("json")).toBe(true);
  expect(optionsOf(["x", "--json"]).has("json")).toBe(false);
  expect(optionsOf(["--", "--help"]).has("help")).toBe(false);
  expect(optionsOf(["-h"]).has("help")).toBe(true);
});
