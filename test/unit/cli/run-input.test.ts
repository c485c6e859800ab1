import { describe, expect, test } from "vitest";
import { readArguments } from "../../../cli/commands/arguments.ts";
import { limitValue, parseEnv, parseFileIn, parseFileOut, parseVolume, runInputFrom } from "../../../cli/commands/run-input.ts";
import { limitOption, runOptions } from "../../../cli/commands/run-options.ts";
import { limitNames } from "../../../policy/profile/types.ts";
import { caught } from "./caught.ts";

const from = (args: string[], environment: Record<string, string> = {}) => runInputFrom(readArguments(args, runOptions), environment);

describe("values of options", () => {
  test("volumes are read-only unless :rw", () => {
    expect(parseVolume("/a:/b")).toEqual({ source: "/a", target: "/b", access: "read-only" });
    expect(parseVolume("a b:/b:ro").access).toBe("read-only");
    expect(parseVolume("/a:/b:rw")).toEqual({ source: "/a", target: "/b", access: "read-write" });
    for (const text of ["/a", "", ":/b", "/a:", "/a:/b:rx", "/a:/b:rw:z", "/a:/b:"]) {
      expect(
        caught(() => parseVolume(text)),
        text,
      ).toMatchObject({ code: "usage" });
    }
  });
  test("a file in is divided at the last colon, a file out at the first", () => {
    expect(parseFileIn("a")).toEqual({ hostPath: "a", target: null });
    expect(parseFileIn("a:b:c")).toEqual({ hostPath: "a:b", target: "c" });
    expect(parseFileOut("a")).toEqual({ source: "a", hostPath: null });
    expect(parseFileOut("a:b:c")).toEqual({ source: "a", hostPath: "b:c" });
    for (const text of ["", ":x", "x:"]) {
      expect(
        caught(() => parseFileIn(text)),
        text,
      ).toMatchObject({ code: "usage" });
      expect(
        caught(() => parseFileOut(text)),
        text,
      ).toMatchObject({ code: "usage" });
    }
  });
  test("variables: set, inherited, empty, with further equal signs; none without a name", () => {
    expect(parseEnv("A=B=C", {})).toEqual(["A", "B=C"]);
    expect(parseEnv("A=", {})).toEqual(["A", ""]);
    expect(parseEnv("A", { A: "1" })).toEqual(["A", "1"]);
    expect(parseEnv("A", {})).toBeNull();
    for (const text of ["=1", ""]) expect(caught(() => parseEnv(text, {}))).toMatchObject({ code: "usage" });
  });
  test("limits: numbers are numbers, none is null, the rest is left to the profile's check", () => {
    expect(limitValue("processes", "32")).toBe(32);
    expect(limitValue("cpus", "1.5")).toBe(1.5);
    expect(limitValue("memory", "none")).toBeNull();
    for (const text of ["64M", "-1", "1e308", "64 potatoes", "0x10", "", "9".repeat(400)]) expect(limitValue("memory", text)).toBe(text);
    expect(limitValue("cpuset", "0")).toBe("0");
  });
});

describe("options become a run", () => {
  test("every limit has an option of its own name", () => {
    for (const limit of limitNames) {
      expect(from([`--${limitOption(limit)}`, "7", "x"]).input.overrides).toEqual([
        { path: `limits.${limit}`, value: limit === "cpuset" ? "7" : 7, origin: `option --${limitOption(limit)}` },
      ]);
    }
  });
  test("overrides keep the order of the command line", () => {
    const { overrides } = from([
      "--memory",
      "1G",
      "--set",
      "limits.memory=2G",
      "--network=host",
      "--memory=3G",
      "--rootfs",
      "host",
      "x",
    ]).input;
    expect(overrides.map(({ path, value }) => [path, value])).toEqual([
      ["limits.memory", "1G"],
      ["limits.memory", "2G"],
      ["network.mode", "host"],
      ["limits.memory", "3G"],
      ["rootfs", { kind: "host" }],
    ]);
  });
  test("a rootfs folder is made absolute", () => {
    expect(from(["--rootfs", "./r", "x"]).input.overrides[0]?.value).toEqual({ kind: "directory", path: `${process.cwd()}/r` });
  });
  test("the whole form", () => {
    const { input, presentation } = from(
      [
        "-p",
        "judge",
        "-w",
        "sub",
        "-u",
        "0",
        "-e",
        "A",
        "-e",
        "B=2",
        "-v",
        "/a:/b",
        "--in",
        "i",
        "--out",
        "o",
        "--out-max",
        "1M",
        "-q",
        "p",
        "-x",
      ],
      { A: "1" },
    );
    expect(input).toMatchObject({
      profile: "judge",
      command: ["p", "-x"],
      workdir: "sub",
      user: "0",
      env: [
        ["A", "1"],
        ["B", "2"],
      ],
      outMaxBytes: 1024 * 1024,
      capture: false,
      hostScripts: true,
    });
    expect(presentation).toMatchObject({ quiet: true, json: false, report: null });
  });
  test.each([
    [[], "usage", "no command"],
    [["--"], "usage", "no command"],
    [[""], "usage", "no command"],
    [["-t", "--json", "x"], "usage", "--tty"],
    [["-t", "--stdin", "f", "x"], "usage", "--tty"],
    [["--json", "--stdout", "f", "x"], "usage", "--json"],
    [["--image", "debian", "x"], "not-supported", "--image"],
    [["--overlay-driver", "copy", "x"], "not-supported", "--overlay-driver"],
    [["--out-max", "64 potatoes", "x"], "usage", "64 potatoes"],
  ])("refused: %j", (args, code, text) => {
    expect(caught(() => from(args))).toMatchObject({ code, message: expect.stringContaining(text) });
  });
  test("a script needs no command", () => {
    expect(from(["--script", "x.py"]).input).toMatchObject({ script: "x.py", command: [] });
  });
});
