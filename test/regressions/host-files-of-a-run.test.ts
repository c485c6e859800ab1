// Kind of fault: a file of the caller's is overwritten, or the report goes where the program wants it.
import { existsSync, linkSync, lstatSync, mkdirSync, readdirSync, readFileSync, rmdirSync, writeFileSync } from "node:fs";
import { basename, join } from "node:path";
import { expect } from "vitest";
import { needs } from "../helpers/abilities.ts";
import { belljar } from "../helpers/belljar.ts";
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
