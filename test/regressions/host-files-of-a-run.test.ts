// Kind of fault: a file of the caller's is overwritten, or the report goes where the program wants it.
import { spawn } from "node:child_process";
import { existsSync, linkSync, lstatSync, mkdirSync, readdirSync, readFileSync, rmdirSync, writeFileSync } from "node:fs";
import { basename, join } from "node:path";
import { expect } from "vitest";
import { needs } from "../helpers/abilities.ts";
import { belljar, belljarCommand } from "../helpers/belljar.ts";
import { plantCanary } from "../helpers/canary.ts";
import { tempDir } from "../helpers/places.ts";

needs("userns")("no output is an input, nor another output, under whatever name; nothing is started or truncated", async () => {
  const cwd = tempDir("shared");
  writeFileSync(join(cwd, "data"), "precious");
  linkSync(join(cwd, "data"), join(cwd, "hard"));
  writeFileSync(join(cwd, "p.json"), JSON.stringify({ schemaVersion: 1, extends: "default" }));
  writeFileSync(join(cwd, "a.sh"), "#!/bin/sh\necho started\n");
  const before = readdirSync(cwd).map((name) => [name, readFileSync(join(cwd, name), "utf8")]);
  const echo = ["--", "echo", "started"];
  for (const args of [
    ["--stdin", "data", "--stdout", "hard", ...echo],
    ["--stdin", "data", "--report", "./hard", ...echo],
    ["--in", "data", "--out", "x:hard", ...echo],
    ["--in", "data", "--stderr", "data", ...echo],
    ["-p", "./p.json", "--report", "p.json", ...echo],
    ["--report", "a.sh", "./a.sh"],
    ["--stdout", "new", "--report", "./new", ...echo],
    ["--stderr", "new", "--out", "x:new", ...echo],
    ["--out", "x:data", "--report", "hard", ...echo],
  ]) {
    const result = await belljar(["run", ...args], { cwd, report: false });
    expect(result, args.join(" ")).toMatchObject({
      code: 125,
      stdout: "",
      stderr: expect.stringMatching(/is the file that .* (reads|writes)/),
    });
  }
  expect(readdirSync(cwd).map((name) => [name, readFileSync(join(cwd, name), "utf8")])).toEqual(before);
  // Both streams in one file: opened once, nothing lost.
  const both = await belljar(["run", "--stdout", "log", "--stderr", "log", "--", "sh", "-c", "echo out; echo err >&2"], {
    cwd,
    report: false,
  });
  expect(both.code).toBe(0);
  expect(readFileSync(join(cwd, "log"), "utf8").split("\n").sort()).toEqual(["", "err", "out"]);
});

needs("userns")("a program with a writable volume cannot send the report elsewhere", async () => {
  const canary = plantCanary();
  const name = basename(canary.path);
  const cwd = tempDir("report");
  mkdirSync(join(cwd, "v/reports"), { recursive: true });
  // The folder is swapped for a link to another one while the program runs.
  const swap = `cd /v && mv reports aside && ln -s '${canary.dir}' reports`;
  const swapped = await belljar(
    ["run", "-v", `${join(cwd, "v")}:/v:rw`, "--report", join(cwd, "v/reports", name), "--", "sh", "-c", swap],
    { cwd, report: false },
  );
  expect(swapped.code).toBe(0);
  expect(lstatSync(join(cwd, "v/reports")).isSymbolicLink(), "the attack took place").toBe(true);
  canary.check(swapped.stdout, swapped.stderr);
  expect(JSON.parse(readFileSync(join(cwd, "v/aside", name), "utf8"))).toMatchObject({ verdict: "ok" });
  // A fifo in its place is replaced, not waited for.
  const planted = await belljar(
    ["run", "-v", `${join(cwd, "v")}:/v:rw`, "--report", join(cwd, "v/r.json"), "--", "sh", "-c", "mkfifo /v/r.json"],
    { cwd, report: false },
  );
  expect(planted.code).toBe(0);
  expect(lstatSync(join(cwd, "v/r.json")).isFile()).toBe(true);
});

needs("userns")("what cannot be read or written is said, and is no fault of belljar's own", async () => {
  const cwd = tempDir("closed");
  mkdirSync(join(cwd, "closed"), { mode: 0o000 });
  const denied = await belljar(["run", "--report", "closed/r.json", "--", "true"], { cwd, report: false });
  expect(denied).toMatchObject({
    code: 125,
    stderr: expect.stringMatching(/^belljar: writing the report: 'closed\/r.json': permission denied/),
  });
  rmdirSync(join(cwd, "closed"));
});

needs("userns")("the current folder may have been deleted", async () => {
  const gone = [
    "sh",
    "-c",
    'mkdir gone && cd gone && rmdir ../gone && exec "$@"',
    "sh",
    process.execPath,
    join(import.meta.dirname, "../../dist/belljar.js"),
  ];
  for (const [args, code] of [
    [["doctor", "--json"], null],
    [["profile", "ls"], 0],
    [["gc"], 0],
    [["run", "--", "true"], 0],
    [["--help"], 0],
  ] as const) {
    const result = await belljar(args, { program: gone, report: false });
    expect(`${result.stdout}${result.stderr}`, args.join(" ")).not.toContain("internal");
    if (code !== null) expect(result.code, args.join(" ")).toBe(code);
  }
  const relative = await belljar(["run", "-p", "./x.json", "--", "true"], { program: gone, report: false });
  expect(relative).toMatchObject({ code: 125, stderr: expect.stringContaining("the current folder has been deleted") });
});

needs("userns")("input that cannot fit is refused before the start", async () => {
  const cwd = tempDir("large");
  writeFileSync(join(cwd, "a"), Buffer.alloc(2 * 1024 * 1024));
  const refused = await belljar(["run", "--disk", "1M", "--in", "a", "--", "echo", "started"], { cwd, report: false });
  expect(refused).toMatchObject({ code: 125, stdout: "", stderr: expect.stringMatching(/disk limit of 1 MiB\nhint: --disk/) });
  expect((await belljar(["run", "--disk", "3M", "--in", "a", "--", "test", "-s", "a"], { cwd, report: false })).code).toBe(0);
  expect(existsSync(join(cwd, "a"))).toBe(true);
});

needs("userns")("a host file that cannot take what is copied out is named, and it is not the program's file that is at fault", async () => {
  const cwd = tempDir("full");
  const mounted = 'mount -t tmpfs -o size=64k tmpfs "$0" && exec "$@"';
  const onFullDisk = (args: readonly string[]) =>
    belljar(args, { cwd, report: false, program: ["unshare", "-Urm", "sh", "-c", mounted, cwd, ...belljarCommand] });
  const write = ["--", "sh", "-c", "head -c 500000 /dev/zero > big; exit 0"];
  const out = await onFullDisk(["run", "--json", "--out", `big:${join(cwd, "there")}`, ...write]);
  expect(out.code).toBe(125);
  expect(JSON.parse(out.stdout).report).toMatchObject({
    verdict: "ok",
    outputs: [{ path: "big", bytes: null, error: expect.stringMatching(`'${join(cwd, "there")}' cannot be written: ENOSPC`) }],
  });
  const stream = await onFullDisk(["run", "--stdout", join(cwd, "log"), "--", "head", "-c", "500000", "/dev/zero"]);
  expect(stream).toMatchObject({ code: 125, stderr: expect.stringMatching(/^belljar: sandbox-error: .*program's stdout.*ENOSPC/) });
});

needs("userns")("output that nobody reads any more is counted, and not called delivered", async () => {
  const dir = tempDir("unread");
  const [program = "", ...words] = belljarCommand;
  const run = ["run", "--report", join(dir, "report.json"), "--", "printf", "hello"];
  const child = spawn(program, [...words, ...run], { stdio: ["ignore", "pipe", "inherit"], env: { PATH: process.env["PATH"], HOME: dir } });
  child.stdout.destroy(); // long before Node is up in there
  expect(await new Promise((resolve) => child.once("close", resolve))).toBe(0);
  expect(JSON.parse(readFileSync(join(dir, "report.json"), "utf8"))).toMatchObject({
    verdict: "ok",
    output: { stdoutBytes: 5, stderrBytes: 0, truncated: true },
  });
});
