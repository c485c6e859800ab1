// Bad input: one clear error that names the thing, the exit status of the contract, and nothing started.
import { execFileSync } from "node:child_process";
import { chmodSync, mkdirSync, readdirSync, symlinkSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { join } from "node:path";
import { expect, onTestFinished } from "vitest";
import { needs } from "../helpers/abilities.ts";
import { type BelljarResult, belljar } from "../helpers/belljar.ts";
import { tempDir } from "../helpers/places.ts";

const started = ["--", "sh", "-c", "echo started"] as const;
const profileWith = (fields: object): string => JSON.stringify({ schemaVersion: 1, name: "bad", ...fields });

/** Files of every folder that a case runs in. */
const files: Readonly<Record<string, string>> = {
  "good.json": profileWith({ extends: "default" }),
  "unknown-key.json": profileWith({ limits: { memori: "1G" } }),
  "duplicate-key.json": '{"schemaVersion":1,"limits":{"memory":"1G",\n"memory":"2G"}}',
  "wrong-type.json": profileWith({ limits: { memory: true } }),
  "cycle-a.json": profileWith({ extends: "./cycle-b.json" }),
  "cycle-b.json": profileWith({ extends: "./cycle-a.json" }),
  "no-base.json": profileWith({ extends: "./absent.json" }),
  "truncated.json": '{"schemaVersion":1',
  "huge.json": `${" ".repeat(2 * 1024 * 1024)}{}`,
  "nested.json": `{"schemaVersion":1,"process":${"[".repeat(100_000)}`,
  "binary.json": "\u0000\u0001\u0002",
  "empty.json": "",
  "array.json": "[]",
  "future.json": JSON.stringify({ schemaVersion: 99 }),
  "several.json": profileWith({ limits: { memory: "64 potatoes", wallTime: -1 }, nonsense: 1 }),
  "loose.json": profileWith({ extends: "default", network: { mode: "host" } }),
  "unreadable.json": "{}",
  "data.txt": "data",
  "unreadable.txt": "data",
  "crlf.sh:755": "#!/bin/sh\r\necho started\r\n",
  "no-interpreter.sh:755": "#!/nonexistent/interpreter\necho started\n",
  "no-language.lua": "print('started')\n",
  "empty:755": "",
  "plain:755": "echo started\n",
};

function folder(): string {
  const dir = tempDir("bad");
  for (const [name, content] of Object.entries(files)) {
    const [path = "", mode] = name.split(":");
    writeFileSync(join(dir, path), content);
    if (mode !== undefined) chmodSync(join(dir, path), Number.parseInt(mode, 8));
  }
  for (const name of ["unreadable.json", "unreadable.txt"]) chmodSync(join(dir, name), 0);
  mkdirSync(join(dir, "directory"));
  symlinkSync("nowhere", join(dir, "dangling"));
  return dir;
}

type Case = readonly [name: string, args: readonly string[], says: readonly (string | RegExp)[], code?: number];

const options: readonly Case[] = [
  ["an unknown option", ["--nope", ...started], ["'--nope'", "unknown option"]],
  ["a misspelt option", ["--memroy", "1G", ...started], ["'--memroy'", "did you mean '--memory'"]],
  ["an option without its value", ["--memory"], ["'--memory'", "needs a value"]],
  ["a value for a switch", ["--json=yes", ...started], ["--json"]],
  ["no command", [], ["no command"]],
  ["no command behind --", ["--"], ["no command"]],
  ["an empty command", ["--", ""], ["no command"]],
  ["a volume of one part", ["-v", "/tmp", ...started], ["'/tmp'", "SRC:DST"]],
  ["a volume with a mode that there is not", ["-v", "/tmp:/x:rx", ...started], ["'/tmp:/x:rx'"]],
  ["an environment variable without a name", ["-e", "=x", ...started], ["'=x'"]],
  ["a network that there is not", ["--network", "bridge", ...started], ["bridge", "none", "host"]],
  ["a user that there is not", ["-u", "nosuch", ...started], ["'nosuch'", "no such user"]],
  ["a field that there is not", ["--set", "limits.memori=1", ...started], ["limits.memori", "did you mean"]],
  ["--set without a value", ["--set", "limits.memory", ...started], ["PATH=VALUE"]],
  ["an image reference that is none", ["-i", "Some Image", ...started], ["--image", "must be an image reference"]],
  ["an image together with a root file system", ["-i", "debian:12", "--rootfs", "host", ...started], ["--image", "--rootfs"]],
  ["--tty without a terminal", ["-t", ...started], ["--tty", "terminal"]],
  ["--json with --stdout", ["--json", "--stdout", "x", ...started], ["--stdout"]],
];

const limits: readonly Case[] = ["0", "-1", "1e308", "64 potatoes", "", "NaN", "9999999999999999999"].flatMap((value): readonly Case[] =>
  [
    ["--memory", "limits.memory"],
    ["--wall-time", "limits.wallTime"],
    ["--processes", "limits.processes"],
    ["--cpu-time", "limits.cpuTime"],
    ["--cpus", "limits.cpus"],
  ].map(([option = "", path = ""]): Case => [`${option}=${JSON.stringify(value)}`, [`${option}=${value}`, ...started], [path, option]]),
);

const profiles: readonly Case[] = [
  ["an unknown name", ["-p", "nosuch", ...started], ["'nosuch'", "known profiles", "judge"]],
  ["a missing file", ["-p", "./absent.json", ...started], ["'./absent.json'", "no such file"]],
  ["an unreadable file", ["-p", "./unreadable.json", ...started], ["unreadable.json", "permission denied"]],
  ["a directory", ["-p", "./directory", ...started], ["directory"]],
  ["an unknown key", ["-p", "./unknown-key.json", ...started], ["unknown-key.json", "limits.memori", 'did you mean "memory"']],
  ["a duplicate key", ["-p", "./duplicate-key.json", ...started], ["duplicate-key.json", "limits.memory", "twice"]],
  ["a wrong type", ["-p", "./wrong-type.json", ...started], ["wrong-type.json", "limits.memory", "true"]],
  ["a cycle", ["-p", "./cycle-a.json", ...started], ["cycle-a.json", "cycle-b.json", "cycle"]],
  ["a missing base", ["-p", "./no-base.json", ...started], ["absent.json"]],
  ["a truncated file", ["-p", "./truncated.json", ...started], ["truncated.json", /line 1/]],
  ["a huge file", ["-p", "./huge.json", ...started], ["huge.json", "larger than"]],
  ["a nesting bomb", ["-p", "./nested.json", ...started], ["nested.json"]],
  ["a binary file", ["-p", "./binary.json", ...started], ["binary.json", /line 1/]],
  ["an empty file", ["-p", "./empty.json", ...started], ["empty.json"]],
  ["an array", ["-p", "./array.json", ...started], ["array.json", "object"]],
  ["a schema of the future", ["-p", "./future.json", ...started], ["future.json", "schemaVersion"]],
  ["several faults at once", ["-p", "./several.json", ...started], ["limits.memory", "limits.wallTime", "nonsense"]],
  ["a loosening without a comment", ["-p", "./loose.json", ...started], ["loose.json", "network", "comment"]],
];

const paths: readonly Case[] = [
  ["an unreadable stdin file", ["--stdin", "unreadable.txt", ...started], ["'unreadable.txt'", "permission denied"]],
  ["a missing stdin file", ["--stdin", "absent", ...started], ["'absent'", "no such file"]],
  ["a directory as stdin", ["--stdin", "directory", ...started], ["'directory'", "directory"]],
  ["a missing input", ["--in", "absent", ...started], ["'absent'", "no such file"]],
  ["an unreadable input", ["--in", "unreadable.txt", ...started], ["'unreadable.txt'", "permission denied"]],
  ["a directory as input", ["--in", "directory", ...started], ["'directory'", "directory"]],
  ["a dangling link as input", ["--in", "dangling", ...started], ["'dangling'", "no such file"]],
  ["a fifo as input", ["--in", "fifo", ...started], ["'fifo'", "regular"]],
  ["an input that escapes", ["--in", "data.txt:../escaped", ...started], ["'../escaped'", "/work"]],
  ["an input at an absolute place", ["--in", "data.txt:/etc/passwd", ...started], ["'/etc/passwd'", "/work"]],
  ["two inputs at one place", ["--in", "data.txt:x", "--in", "good.json:x", ...started], ["twice"]],
  ["an output that escapes", ["--out", "../../escaped", ...started], ["'../../escaped'", "/work"]],
  ["an output to nowhere", ["--out", "x:/nonexistent/x", ...started], ["/nonexistent", "no such file"]],
  ["a report to nowhere", ["--report", "/nonexistent/x", ...started], ["/nonexistent"]],
  ["a report in place of a directory", ["--report", "directory", ...started], ["directory"]],
  ["a missing volume", ["-v", "/absent:/x", ...started], ["'/absent'", "no such file"]],
  ["a volume at a relative place", ["-v", "/tmp:x", ...started], ['"x"', "absolute"]],
  ["a volume that climbs", ["-v", "/tmp:/a/../../x", ...started], ['".."']],
  ["a volume over /proc", ["-v", "/tmp:/proc", ...started], ["/proc"]],
  ["a volume over /", ["-v", "/tmp:/", ...started], ['"/"']],
  ["a volume in a folder of the host that cannot hold it", ["-v", "/tmp:/usr/share/nowhere", ...started], ["/usr/share/nowhere"]],
  ["a missing rootfs", ["--rootfs", "/absent", ...started], ["/absent"]],
];

const starts: readonly Case[] = [
  ["a command that there is not", ["--", "nosuchcommand"], ["'nosuchcommand'", "not found"], 127],
  ["an absolute command that there is not", ["--", "/work/nosuch"], ["'/work/nosuch'", "not found"], 127],
  ["a relative command that there is not", ["--", "./nosuch"], ["'./nosuch'", "not found"], 127],
  ["a directory as a command", ["--", "/usr"], ["'/usr'", "directory"], 126],
  ["a host directory as a script", ["./directory"], ["directory"], 126],
  ["a file that is not executable", ["--", "/etc/passwd"], ["'/etc/passwd'", "not executable"], 126],
  ["a missing interpreter", ["./no-interpreter.sh"], ["/nonexistent/interpreter"], 127],
  ["a missing interpreter inside", ["--in", "no-interpreter.sh", "--", "/work/no-interpreter.sh"], ["/nonexistent/interpreter"], 126],
  ["CRLF in the #! line", ["./crlf.sh"], ["CRLF"], 126],
  ["CRLF in the #! line inside", ["--in", "crlf.sh", "--", "/work/crlf.sh"], ["CRLF"], 126],
  ["a script for a language that is not here", ["./no-language.lua"], ["lua", "not found"], 127],
  ["an empty script", ["./empty"], ["empty"], 126],
  ["a script of no known kind", ["./plain"], ["#!"], 126],
  ["an empty program inside", ["--in", "empty", "--", "/work/empty"], [/not executable|#!/], 126],
  ["an unreadable script", ["./unreadable.txt"], ["unreadable.txt", "permission denied"], 126],
  ["a working directory that there is not", ["-w", "/absent", ...started], ["/absent"], 126],
  ["--script that there is not", ["--script", "absent"], ["'absent'", "no such file"], 127],
];

function expectOneError(result: BelljarResult, says: readonly (string | RegExp)[], code: number): void {
  expect(result.code, result.stderr).toBe(code);
  if (result.stdout.startsWith('{"error":')) {
    // --json, however malformed: the error is the document.
    const { message } = JSON.parse(result.stdout).error as { readonly message: string };
    for (const word of says) expect(message).toContain(word);
    expect(result.stderr).toBe("");
    return;
  }
  expect(result.stdout).toBe("");
  const lines = result.stderr.trimEnd().split("\n");
  expect(lines[0]).toMatch(/^belljar: /);
  for (const word of says)
    expect(result.stderr).toMatch(word instanceof RegExp ? word : new RegExp(word.replace(/[.*+?^${}()|[\]\\]/g, "\\$&")));
  // One line of error, at most one hint; a profile with several faults lists them.
  expect(lines.filter((line) => line.startsWith("belljar: "))).toHaveLength(1);
  expect(lines.filter((line) => line.startsWith("hint: ")).length).toBeLessThanOrEqual(1);
  expect(result.stderr).not.toMatch(/\n +at |node:internal|Error:/);
}

for (const [group, cases] of Object.entries({ options, limits, profiles, paths, starts })) {
  for (const [name, args, says, code = 125] of cases) {
    needs("userns")(`${group}: ${name}`, async () => {
      const cwd = folder();
      if (args.includes("fifo")) execFileSync("mkfifo", [join(cwd, "fifo")]);
      const before = readdirSync(cwd);
      const result = await belljar(["run", ...args], { cwd, report: false });
      expectOneError(result, says, code);
      expect(readdirSync(cwd), "nothing was written").toEqual(before);
    });
  }
}

needs("userns")("a socket as input", async () => {
  const cwd = folder();
  const server = createServer().listen(join(cwd, "socket"));
  onTestFinished(() => void server.close());
  expectOneError(await belljar(["run", "--in", "socket", ...started], { cwd, report: false }), ["'socket'"], 125);
});

needs("userns")("--json: the error is the document", async () => {
  const cwd = folder();
  for (const [args, code] of [
    [["--memory", "64 potatoes"], "usage"],
    [["-p", "nosuch"], "profile-not-found"],
    [["-p", "./unknown-key.json"], "profile-invalid"],
    [["-p", "./unreadable.json"], "profile-unreadable"],
    [["--in", "absent"], "file-unreadable"],
    [["--out", "x:/nonexistent/x"], "file-unwritable"],
  ] as const) {
    const result = await belljar(["run", "--json", ...args, ...started], { cwd });
    expect(result.code).toBe(125);
    const document = JSON.parse(result.stdout);
    expect(Object.keys(document)).toEqual(["error"]);
    expect(Object.keys(document.error).sort()).toEqual(["code", "hint", "message"]);
    expect(document.error.code, args.join(" ")).toBe(code);
  }
});

needs("userns")("--json: a program that cannot be started has a report that says so", async () => {
  const result = await belljar(["run", "--json", "--", "nosuchcommand"]);
  expect(result.code).toBe(127);
  expect(result.report).toMatchObject({
    verdict: "start-failed",
    exitCode: null,
    signal: null,
    error: { message: expect.stringContaining("nosuchcommand") },
  });
});

needs("userns")("control characters of the arguments never reach the terminal", async () => {
  const hostile = "\u001b[31m\u0007\u202e";
  for (const args of [[`--memory=${hostile}`], ["-p", `./${hostile}`], ["--in", hostile], ["-u", hostile], [`--${hostile}`]]) {
    const result = await belljar(["run", ...args, ...started], { report: false });
    expect(result.code).toBe(125);
    // biome-ignore lint/suspicious/noControlCharactersInRegex: they are the subject
    expect(result.stderr).not.toMatch(/[\u0000-\u0009\u000b-\u001f\u007f-\u009f\u202e]/);
  }
  const program = await belljar(["run", "--", `/work/${hostile}`], { report: false });
  expect(program.code).toBe(127);
  // biome-ignore lint/suspicious/noControlCharactersInRegex: they are the subject
  expect(program.stderr).not.toMatch(/[\u0000-\u0009\u000b-\u001f\u007f-\u009f\u202e]/);
});

needs("userns")("an unknown command, and none", async () => {
  for (const args of [["frobnicate"], []]) {
    const result = await belljar(args);
    expect(result.code).toBe(125);
    expect(result.stdout).toBe("");
    expect(result.stderr).toMatch(/^belljar: .*\nhint: .*\n$/);
  }
});
