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
  test("--sample is a time with its unit, and nothing is sampled without it", () => {
    expect(from(["x"]).input.sampleMs).toBe(0);
    expect(from(["--sample", "50ms", "x"]).input.sampleMs).toBe(50);
    for (const text of ["50", "0ms", "x", "", "-1ms", "0.5ms"])
      expect(
        caught(() => from([`--sample=${text}`, "x"])),
        text,
      ).toMatchObject({ code: "usage", message: expect.stringContaining("--sample") });
  });
  test("every limit has an option of its own name", () => {
    for (const limit of limitNames) {
      const text = limit.endsWith("Time") ? "7s" : "7";
      expect(from([`--${limitOption(limit)}`, text, "x"]).input.overrides).toEqual([
        {
          path: `limits.${limit}`,
          value: ["7s", "cpuset"].includes(text === "7s" ? text : limit) ? text : 7,
          origin: `option --${limitOption(limit)}`,
        },
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
    [["-t", "--json", "x"], "usage", "--tty"],
    [["-t", "--stdin", "f", "x"], "usage", "--tty"],
    [["--json", "--stdout", "f", "x"], "usage", "--json"],
    [["--image", "debian", "--rootfs", "host", "x"], "usage", "'--image' and '--rootfs'"],
    [["--pull", "often", "x"], "usage", "'--pull' 'often'"],
    [["--entrypoint", "[1]", "x"], "usage", "'--entrypoint' '[1]'"],
    [["--entrypoint", "[", "x"], "usage", "'--entrypoint' '['"],
    [["--out-max", "64 potatoes", "x"], "usage", "'--out-max': must be a size"],
    [["--out-max", "0", "x"], "usage", "'--out-max': must be more than 0"],
    [["--wall-time", "5", "x"], "usage", "--wall-time: limits.wallTime: must have a unit"],
    [["--cpu-time", "1.5", "x"], "usage", "--cpu-time: limits.cpuTime: must have a unit"],
    [["--set", "limits.wallTime=5", "x"], "usage", "must have a unit"],
    [["--set", 'limits["cpuTime"]="5"', "x"], "usage", "must have a unit"],
    [["--report", "", "x"], "usage", "'--report': needs a value (FILE)"],
    [["-w", "", "x"], "usage", "'-w': needs a value"],
    [["--rootfs=", "x"], "usage", "'--rootfs': needs a value"],
    [["--memory", "--", "x"], "usage", "'--memory': needs a value (SIZE)"],
  ])("refused: %j", (args, code, text) => {
    expect(caught(() => from(args))).toMatchObject({ code, message: expect.stringContaining(text) });
  });
  test("what else a duration may be", () => {
    for (const text of ["5s", "5ms", "none", "0"])
      expect(
        caught(() => from(["--wall-time", text, "x"])),
        text,
      ).toBeUndefined();
    expect(caught(() => from(["--set", "limits.wallTime=5", "x"]))?.hint).toBe("5s for seconds or 5ms for milliseconds");
    expect(caught(() => from(["--memory", "5", "--set", "limits.disk=5", "x"]))).toBeUndefined();
  });
  test("a script needs no command", () => {
    expect(from(["--script", "x.py"]).input).toMatchObject({ script: "x.py", command: [] });
  });
});
