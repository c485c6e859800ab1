import { execFileSync } from "node:child_process";
import { once } from "node:events";
import {
  chmodSync,
  closeSync,
  constants,
  existsSync,
  linkSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
  writeSync,
} from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { checkDestination, checkFilesIn, checkFilesOut, checkVolumeSource } from "../../../cli/run/files.ts";
import { workPath } from "../../../cli/run/paths.ts";
import { openReportFile } from "../../../cli/run/report-file.ts";
import { type NamedPath, refuseSharedFiles } from "../../../cli/run/shared-files.ts";
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
  const written = (path: string, meanwhile: () => void = () => undefined) => {
    const file = openReportFile(path);
    meanwhile();
    try {
      file.write(report);
    } finally {
      file.close();
    }
  };
  test("is replaced whole, and nothing else stays", () => {
    writeFileSync(at("r.json"), "old".repeat(1000));
    written(at("r.json"));
    expect(JSON.parse(readFileSync(at("r.json"), "utf8"))).toEqual(report);
    expect(statSync(at("r.json")).mode & 0o777).toBe(0o666 & ~process.umask());
    expect(readdirSync(folder)).toEqual(["r.json"]);
  });
  test("goes into the folder that was there before the run, whatever has taken its name", () => {
    mkdirSync(at("reports"));
    mkdirSync(at("elsewhere"));
    written(at("reports/r.json"), () => {
      renameSync(at("reports"), at("moved"));
      symlinkSync("elsewhere", at("reports"));
    });
    expect(readdirSync(at("elsewhere"))).toEqual([]);
    expect(JSON.parse(readFileSync(at("moved/r.json"), "utf8"))).toEqual(report);
  });
  test("takes the place of a link or a fifo that was put there meanwhile, and never goes through it", () => {
    writeFileSync(at("victim"), "precious");
    written(at("r.json"), () => symlinkSync("victim", at("r.json")));
    expect(readFileSync(at("victim"), "utf8")).toBe("precious");
    expect(lstatSync(at("r.json")).isFile()).toBe(true);
    rmSync(at("r.json"));
    written(at("r.json"), () => execFileSync("mkfifo", [at("r.json")]));
    expect(lstatSync(at("r.json")).isFile()).toBe(true);
  });
  test("may be a device, a fifo of the caller's or a descriptor", () => {
    written("/dev/null");
    expect(statSync("/dev/null").isCharacterDevice()).toBe(true);
    execFileSync("mkfifo", [at("fifo")]);
    const reader = openSync(at("fifo"), constants.O_RDONLY | constants.O_NONBLOCK);
    written(at("fifo"), () => rmSync(at("fifo")));
    expect(JSON.parse(readFileSync(reader, "utf8"))).toEqual(report);
    closeSync(reader);
    // What was written there before stays, as behind `>>`.
    const log = openSync(at("log"), "w");
    writeSync(log, "before\n");
    written(`/dev/fd/${log}`);
    closeSync(log);
    const [first, ...rest] = readFileSync(at("log"), "utf8").split("\n");
    expect([first, JSON.parse(rest.join("\n"))]).toEqual(["before", report]);
  });
  test("is refused before the run where it cannot be", () => {
    expect(caught(() => openReportFile(folder))).toMatchObject({
      code: "file-unwritable",
      message: expect.stringContaining("is a directory"),
    });
    for (const path of [at("no/r.json"), "/dev/fd/999999", "/proc/nothing/r.json"]) {
      expect(
        caught(() => openReportFile(path)),
        path,
      ).toMatchObject({ code: "file-unwritable" });
    }
    expect(existsSync(at("no"))).toBe(false);
  });
  test.skipIf(process.getuid?.() === 0)("in a folder that cannot be entered (root enters every one)", () => {
    mkdirSync(at("closed"), { mode: 0o000 });
    expect(caught(() => openReportFile(at("closed/r.json")))).toMatchObject({
      code: "file-unwritable",
      message: expect.stringContaining("permission denied"),
    });
    chmodSync(at("closed"), 0o700);
  });
});

describe("one file for two uses", () => {
  const named = (use: string, name: string) => ({ use: `'--${use}'`, path: at(name) });
  const refused = (inputs: readonly NamedPath[], outputs: readonly NamedPath[]) =>
    caught(() => refuseSharedFiles(inputs, outputs))?.message;
  beforeEach(() => {
    writeFileSync(at("a"), "");
    linkSync(at("a"), at("hard"));
    symlinkSync("a", at("soft"));
    symlinkSync("new", at("dangling"));
    mkdirSync(at("d"));
    symlinkSync("d", at("e"));
  });
  test.each(["a", "hard", "soft", "d/../a"])("an output that is an input, as %s", (name) => {
    expect(refused([named("in", "a")], [named("report", name)])).toContain("is the file that '--in' reads");
    expect(refused([named("stdin", "a"), named("in", "a")], [named("out", "b")])).toBeUndefined();
  });
  test.each([
    ["new", "new"],
    ["new", "dangling"],
    ["d/x", "e/x"],
    ["a", "hard"],
  ])("two outputs, %s and %s, there or not", (one, two) => {
    for (const [first, second] of [
      ["stdout", "report"],
      ["stderr", "out"],
      ["report", "out"],
      ["stderr", "stdout"],
    ] as const) {
      expect(refused([], [named(first, one), named(second, two)]), `${first} ${second}`).toContain(`is the file that '--${first}' writes`);
    }
    // As `2>&1`: one file, opened once.
    expect(refused([], [named("stdout", one), named("stderr", two)])).toBeUndefined();
  });
  test("devices and different files are no matter", () => {
    const device = (use: string) => ({ use, path: "/dev/null" });
    expect(refused([device("'--stdin'")], [device("'--stdout'"), device("'--report'")])).toBeUndefined();
    expect(refused([named("in", "a")], [named("stdout", "b"), named("report", "c")])).toBeUndefined();
  });
});

describe("files that do not fit", () => {
  const request = (name: string, target = name) => ({ hostPath: at(name), target });
  test("more bytes than the disk limit, in pages, as tmpfs counts", () => {
    writeFileSync(at("a"), Buffer.alloc(5000));
    writeFileSync(at("b"), "x");
    const refusal = (disk: number | null) => caught(() => checkFilesIn([request("a"), request("b")], { disk, inodes: null }));
    expect(refusal(8192)).toMatchObject({
      code: "usage",
      message: expect.stringContaining("12 KiB"),
      hint: expect.stringContaining("--disk"),
    });
    expect(refusal(12288)).toBeUndefined();
    expect(refusal(null)).toBeUndefined();
  });
  test("more files and folders than the limit", () => {
    writeFileSync(at("a"), "");
    const refusal = (inodes: number) => caught(() => checkFilesIn([request("a", "x/y/a"), request("a", "x/b")], { disk: null, inodes }));
    expect(refusal(3)).toMatchObject({
      code: "usage",
      message: expect.stringContaining("4 files and folders"),
      hint: expect.stringContaining("--inodes"),
    });
    expect(refusal(4)).toBeUndefined();
  });
  test("a socket is no regular file, and not said to lack a reader", async () => {
    const server = createServer().listen(at("socket"));
    await once(server, "listening");
    expect(caught(() => checkFilesIn([request("socket")]))).toMatchObject({
      code: "file-unreadable",
      message: expect.stringContaining("is no regular file"),
    });
    server.close();
  });
});
