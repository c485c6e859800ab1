import { execFileSync } from "node:child_process";
import {
  chmodSync,
  existsSync,
  linkSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
  writeSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { checkDestination, checkFilesIn, checkFilesOut, checkVolumeSource } from "../../../cli/run/files.ts";
import { workPath } from "../../../cli/run/paths.ts";
import { checkReportFile, writeReport } from "../../../cli/run/report-file.ts";
import { openStreams } from "../../../cli/run/streams.ts";
import type { RunReport } from "../../../policy/verdict/report-types.ts";
import { caught } from "./caught.ts";

let folder = "";
const at = (name: string) => join(folder, name);
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "belljar-files-"));
});
afterEach(() => rmSync(folder, { recursive: true }));

describe("places in the work folder", () => {
  test.each([
    ["a", "a"],
    ["./a//b/../c", "a/c"],
    ["/work/a", "a"],
    ["..a", "..a"],
  ])("%s is %s", (given, inside) => expect(workPath(given, "copying in")).toBe(inside));
  test.each(["..", "../a", "a/../../b", "/etc/passwd", "/work", "/workshop/a", ".", "", "a/", "a\0b"])("%j is refused", (given) => {
    expect(caught(() => workPath(given, "copying in"))).toMatchObject({ code: "usage" });
  });
});

describe("files in", () => {
  test("regular files with their mode, beneath the work folder", () => {
    writeFileSync(at("a"), "1");
    chmodSync(at("a"), 0o751);
    symlinkSync("a", at("link"));
    expect(
      checkFilesIn([
        { hostPath: at("a"), target: null },
        { hostPath: at("link"), target: "sub/b" },
      ]),
    ).toEqual([
      { hostPath: at("a"), target: "a", mode: 0o751 },
      { hostPath: at("link"), target: "sub/b", mode: 0o751 },
    ]);
  });
  test("absent, folders, fifos", () => {
    mkdirSync(at("d"));
    execFileSync("mkfifo", [at("f")]);
    const refused = (name: string) => caught(() => checkFilesIn([{ hostPath: at(name), target: "x" }]));
    expect(refused("absent")).toMatchObject({
      code: "file-unreadable",
      message: `copying in: '${at("absent")}': no such file or directory`,
    });
    expect(refused("d")).toMatchObject({ code: "file-unreadable", message: expect.stringContaining("is a directory") });
    expect(refused("f")).toMatchObject({ code: "file-unreadable", message: expect.stringContaining("is no regular file") });
  });
  test("two for one place, and a file that is another's folder", () => {
    writeFileSync(at("a"), "1");
    const both = (one: string, two: string) => caught(() => checkFilesIn([one, two].map((target) => ({ hostPath: at("a"), target }))));
    expect(both("x", "./x")).toMatchObject({ code: "usage", message: expect.stringContaining("named twice") });
    expect(both("x/y/z", "x")).toMatchObject({ code: "usage", message: expect.stringContaining("both a file and the folder") });
    expect(both("x", "xy")).toBeUndefined();
  });
  test("more than the launcher keeps open", () => {
    expect(caught(() => checkFilesIn(Array.from({ length: 257 }, () => ({ hostPath: "a", target: null }))))).toMatchObject({
      code: "usage",
    });
  });
});

describe("files out", () => {
  test("to a name, or into a folder that exists", () => {
    mkdirSync(at("d"));
    const [first, second] = checkFilesOut(
      [
        { source: "sub/a", hostPath: at("b") },
        { source: "sub/a", hostPath: at("d") },
      ],
      9,
    );
    expect(first).toEqual({ source: "sub/a", hostPath: at("b"), maxBytes: 9 });
    expect(second?.hostPath).toBe(at("d/a"));
  });
  test("no folder to put it in, a folder in its place, one destination twice", () => {
    mkdirSync(at("d/a"), { recursive: true });
    const refused = (...paths: string[]) =>
      caught(() =>
        checkFilesOut(
          paths.map((hostPath) => ({ source: "a", hostPath })),
          9,
        ),
      );
    expect(refused(at("no/x"))).toMatchObject({
      code: "file-unwritable",
      message: `copying out: '${at("no")}': no such file or directory`,
    });
    expect(refused(at("d"))).toMatchObject({ code: "file-unwritable", message: `copying out: '${at("d/a")}': is a directory` });
    expect(refused(at("x"), at("x"))).toMatchObject({ code: "usage" });
  });
  test.skipIf(process.getuid?.() === 0)("a folder that cannot be written (root writes everywhere)", () => {
    mkdirSync(at("r"), { mode: 0o500 });
    expect(caught(() => checkDestination(at("r/x"), "copying out"))).toMatchObject({
      code: "file-unwritable",
      message: `copying out: '${at("r")}': permission denied`,
    });
  });
});

test("a volume needs a source", () => {
  expect(checkVolumeSource({ source: folder })).toBe(folder);
  expect(caught(() => checkVolumeSource({ source: at("absent") }))).toMatchObject({
    code: "file-unreadable",
    message: `mounting: '${at("absent")}': no such file or directory`,
  });
});

describe("streams", () => {
  const none = { stdin: null, stdout: null, stderr: null };
  test("the caller's, or pipes where output is collected", () => {
    expect(openStreams(none, false).targets).toEqual(["inherit", "inherit", "inherit"]);
    expect(openStreams(none, true).targets).toEqual(["inherit", "pipe", "pipe"]);
  });
  test("an output file is truncated, and opened once for both outputs", () => {
    writeFileSync(at("o"), "before");
    linkSync(at("o"), at("same"));
    const { targets, close } = openStreams({ ...none, stdout: at("o"), stderr: at("same") }, false);
    expect(targets[1]).toBe(targets[2]);
    writeSync(targets[1] as number, "x");
    close();
    expect(readFileSync(at("o"), "utf8")).toBe("x");
  });
  test("an output that is the input is refused, and keeps its content", () => {
    writeFileSync(at("f"), "precious");
    symlinkSync("f", at("link"));
    expect(caught(() => openStreams({ ...none, stdin: at("f"), stdout: at("link") }, false))).toMatchObject({ code: "usage" });
    expect(readFileSync(at("f"), "utf8")).toBe("precious");
  });
  test("nothing is truncated when another stream cannot be opened", () => {
    writeFileSync(at("o"), "before");
    expect(caught(() => openStreams({ ...none, stdout: at("o"), stderr: at("no/x") }, false))).toMatchObject({ code: "file-unwritable" });
    expect(readFileSync(at("o"), "utf8")).toBe("before");
  });
  test("an input that is absent or a folder", () => {
    expect(caught(() => openStreams({ ...none, stdin: at("no") }, false))).toMatchObject({
      code: "file-unreadable",
      message: `opening stdin: '${at("no")}': no such file or directory`,
    });
    expect(caught(() => openStreams({ ...none, stdin: folder }, false))).toMatchObject({ code: "file-unreadable" });
  });
});

describe("the report file", () => {
  const report = { verdict: "ok" } as RunReport;
  test("is replaced whole, and nothing else stays", () => {
    writeFileSync(at("r.json"), "old".repeat(1000));
    writeReport(at("r.json"), report);
    expect(JSON.parse(readFileSync(at("r.json"), "utf8"))).toEqual(report);
    expect(statSync(at("r.json")).mode & 0o777).toBe(0o666 & ~process.umask());
    expect(execFileSync("ls", ["-A", folder], { encoding: "utf8" })).toBe("r.json\n");
  });
  test("may be a device", () => {
    expect(checkReportFile("/dev/null")).toBe("/dev/null");
    writeReport("/dev/null", report);
    expect(statSync("/dev/null").isCharacterDevice()).toBe(true);
  });
  test("is refused where it cannot be", () => {
    expect(caught(() => checkReportFile(folder))).toMatchObject({
      code: "file-unwritable",
      message: expect.stringContaining("is a directory"),
    });
    expect(caught(() => checkReportFile(at("no/r.json")))).toMatchObject({ code: "file-unwritable" });
    expect(caught(() => writeReport(at("no/r.json"), report))).toMatchObject({ code: "file-unwritable" });
    expect(existsSync(at("no"))).toBe(false);
  });
});
