// Kind of fault: the command line says one thing and the command does another, or nothing, and calls it success.
import { spawn } from "node:child_process";
import { closeSync, mkdirSync, openSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import { needs } from "../helpers/abilities.ts";
import { belljar, belljarCommand, startBelljar } from "../helpers/belljar.ts";
import { until } from "../helpers/deadline.ts";
import { tempDir } from "../helpers/places.ts";

needs("userns")("options before `run` are those of the run", async () => {
  for (const leading of [["-p", "judge"], ["-q"], ["--memory", "64M"]]) {
    const result = await belljar([...leading, "run", "--", "sh", "-c", "echo started; exit 3"]);
    expect(result).toMatchObject({ code: 3, stdout: "started\n" });
  }
  const json = await belljar(["--json", "run", "--", "sh", "-c", "echo started"]);
  expect(JSON.parse(json.stdout)).toMatchObject({ stdout: "started\n", report: { verdict: "ok" } });
});

test("where there is nothing to do, that is an error", async () => {
  for (const args of [
    ["-p", "judge"],
    ["-q"],
    ["--json"],
    ["--", "true"],
    ["--help=no", "run"],
    ["run", "--help=no"],
    ["doctor", "extra"],
    ["gc", "extra"],
  ]) {
    const result = await belljar(args, { report: false });
    expect(result.code, args.join(" ")).toBe(125);
    expect(`${result.stdout}${result.stderr}`, args.join(" ")).toContain("reading options");
  }
});

test("every help has an example; `help`, -V and shells are known", async () => {
  for (const args of [
    [],
    ["run"],
    ["doctor"],
    ["gc"],
    ["completion"],
    ["profile"],
    ...["ls", "show", "check", "explain", "diff", "compile"].map((word) => ["profile", word]),
  ]) {
    const result = await belljar([...args, "--help"], { report: false });
    expect(result.code, args.join(" ")).toBe(0);
    expect(result.stdout, args.join(" ")).toMatch(/Examples:\n +belljar /);
  }
  const [help, word, version] = [await belljar(["help", "doctor"]), await belljar(["doctor", "--help"]), await belljar(["-V"])];
  expect(help.stdout).toBe(word.stdout);
  expect(version.stdout).toMatch(/^\d+\.\d+\.\d+\n$/);
  expect((await belljar(["completion", "zsh"])).stdout).toMatch(/^#compdef belljar/);
  expect((await belljar(["completion", "bash"], { env: { SHELL: "/bin/zsh" } })).stdout).toMatch(/complete .*belljar/);
  expect(await belljar(["completion", "fish"])).toMatchObject({ code: 125, stderr: expect.stringContaining("'fish'") });
});

/** The command with stdout on this file. */
async function withStdout(path: string, args: readonly string[]): Promise<{ readonly code: number | null; readonly stderr: string }> {
  const descriptor = openSync(path, "w");
  try {
    const [program = "", ...words] = belljarCommand;
    const child = spawn(program, [...words, ...args], {
      stdio: ["ignore", descriptor, "pipe"],
      env: { PATH: process.env["PATH"], HOME: tempDir("home") },
    });
    let stderr = "";
    child.stderr?.setEncoding("utf8").on("data", (text: string) => {
      stderr += text;
    });
    return { code: await new Promise((resolve) => child.once("close", resolve)), stderr };
  } finally {
    closeSync(descriptor);
  }
}

test("output of ours that is lost is a failure", async () => {
  for (const args of [
    ["--help"],
    ["profile", "ls"],
    ["profile", "check", "judge"],
    ["profile", "show", "judge"],
    ["gc", "--json"],
    ["completion"],
  ]) {
    const result = await withStdout("/dev/full", args);
    expect(result, args.join(" ")).toEqual({ code: 125, stderr: "belljar: writing to standard output: no space left on the device\n" });
    // The same command with a place for its output succeeds.
    expect((await withStdout("/dev/null", args)).code, args.join(" ")).toBe(0);
  }
});

test("a reader that has gone away ends the command as SIGPIPE would, without a word", async () => {
  const [program = "", ...words] = belljarCommand;
  const child = spawn(program, [...words, "profile", "show", "default"], {
    stdio: ["ignore", "pipe", "pipe"],
    env: { PATH: process.env["PATH"], HOME: tempDir("home") },
  });
  // Long before Node is up in there.
  child.stdout.destroy();
  let stderr = "";
  child.stderr.setEncoding("utf8").on("data", (text: string) => {
    stderr += text;
  });
  expect({ code: await new Promise((resolve) => child.once("close", resolve)), stderr }).toEqual({ code: 141, stderr: "" });
});

test("arguments that are not UTF-8 are refused instead of changed", async () => {
  const dir = tempDir("bytes");
  writeFileSync(join(dir, "run.sh"), `exec "$@" "$(printf 'a\\377b')"\n`);
  for (const args of [
    ["run", "--", "echo"],
    ["profile", "show"],
    ["run", "--report"],
  ]) {
    const result = await belljar(args, { report: false, program: ["sh", join(dir, "run.sh"), ...belljarCommand] });
    expect(result.code).toBe(125);
    expect(result.stderr).toMatch(/^belljar: reading options: 'a\\xffb': is not valid UTF-8\n/);
  }
});

needs("userns")("SIGUSR1 opens no debugger", async () => {
  // Node by itself does: the control.
  const control = spawn(process.execPath, ["--inspect-port=0", "-e", "console.log('up'); setTimeout(() => {}, 20000)"], {
    stdio: ["ignore", "pipe", "pipe"],
  });
  onTestFinished(() => void control.kill("SIGKILL"));
  const heard = new Promise<string>((resolve) => control.stderr.once("data", (chunk: Buffer) => resolve(String(chunk))));
  control.stdout.once("data", () => control.kill("SIGUSR1"));
  expect(await heard).toContain("Debugger listening");

  const run = startBelljar(["run", "--", "sh", "-c", "echo started; exec sleep 20"], { report: false });
  await until(() => run.output().includes("started"), { what: "the program to start" });
  const pid = await run.pid;
  process.kill(pid, "SIGUSR1");
  await until(() => /^ShdPnd:\s*0+$/m.test(readFileSync(`/proc/${pid}/status`, "utf8")), { what: "the signal to be taken" });
  process.kill(pid, "SIGTERM");
  const result = await run.result;
  expect(result.code).toBe(143);
  expect(result.stderr).not.toContain("Debugger");
});

test("profiles: one that a built-in name hides is listed and warned of, and a list has one line for each", async () => {
  const home = tempDir("config");
  mkdirSync(join(home, "belljar/profiles"), { recursive: true });
  const put = (name: string, profile: object) =>
    writeFileSync(join(home, `belljar/profiles/${name}.json`), JSON.stringify({ schemaVersion: 1, ...profile }));
  put("judge", { extends: "default" });
  put("broken", { limits: { memory: "x", wallTime: "y" } });
  put("lost", { extends: "nosuch" });
  put("filter", { seccomp: { syscalls: [{ names: ["no_such_call"], action: "errno:EPERM", comment: "none" }] } });
  const env = { XDG_CONFIG_HOME: home };
  const list = await belljar(["profile", "ls"], { env });
  expect(list.code).toBe(0);
  expect(list.stdout.split("\n").filter((line) => /^judge/.test(line))).toEqual([
    expect.stringMatching(/^judge +built-in/),
    expect.stringMatching(/^judge +shadowed/),
  ]);
  expect(list.stdout).toMatch(/^broken .*\(the first of 2 problems\)$/m);
  expect(list.stdout).not.toContain("\\n");
  expect(list.stderr).toContain("'judge' is the built-in profile");
  const check = await belljar(["profile", "check", "judge", "broken", "lost", "filter", ...Array.from({ length: 12 }, () => "default")], {
    env,
  });
  expect(check.code).toBe(1);
  expect(check.stderr, "no warning of Node's").toBe("");
  expect(check.stdout).toMatch(/^judge: warning: 'judge' is the built-in profile/m);
  expect(check.stdout.match(/limits\.memory: must be/g)).toHaveLength(1);
  expect(check.stdout).toMatch(new RegExp(`^lost: .*'nosuch'.*\\(extended by '${home}/belljar/profiles/lost.json'\\)$`, "m"));
  expect(check.stdout).toMatch(/^filter: (warning: )?.*no_such_call/m);
});
