// The watchmen watched: a harness that cannot fail would let every other test pass.
import { mkdirSync, rmdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { needsHere, whyMissing } from "../helpers/abilities.ts";
import { startBelljar } from "../helpers/belljar.ts";
import { plantCanary } from "../helpers/canary.ts";
import { until } from "../helpers/deadline.ts";
import { mounts, orphanedCgroups } from "../helpers/leaks.ts";
import { cacheDir } from "../helpers/places.ts";

const shell = (script: string, options: Parameters<typeof startBelljar>[1] = {}) =>
  startBelljar([], { program: ["/bin/sh", "-c", script], ...options });

test("code, streams and stdin pass through the reaper", async () => {
  const { code, signal, stdout, stderr, leftovers } = await shell("cat; echo err >&2; exit 7", { stdin: "some text" }).result;
  expect({ code, signal, stdout, stderr, leftovers }).toEqual({
    code: 7,
    signal: null,
    stdout: "some text",
    stderr: "err\n",
    leftovers: [],
  });
});

test("a signal is told from a code", async () => {
  const { code, signal } = await shell("kill -9 $$").result;
  expect({ code, signal }).toEqual({ code: null, signal: 9 });
});

test("a daemon in a session of its own is a leftover, and is killed", async () => {
  const handle = shell("setsid sleep 1000 </dev/null >/dev/null 2>&1 & exit 0", { graceMs: 100, assertClean: false });
  const { leftovers } = await handle.result;
  expect(leftovers.map(({ name }) => name)).toEqual(["sleep"]);
  const pid = leftovers[0]?.pid ?? 0;
  expect(() => process.kill(pid, 0)).toThrow("ESRCH");
});

test("a leftover process fails the test that made it", async () => {
  await expect(shell("setsid sleep 1000 </dev/null >/dev/null 2>&1 & exit 0", { graceMs: 100 }).result).rejects.toThrow(
    /processes left by/,
  );
});

test("a file left in the temporary folder fails the test that made it", async () => {
  await expect(shell('echo x >"$TMPDIR/rubbish"').result).rejects.toThrow(/files left by/);
});

test("a command that does not end is killed with all its children", async () => {
  const handle = shell("echo $$; sleep 1000 & wait", { deadlineMs: 300 });
  await expect(handle.result).rejects.toThrow(/not finished within 300 ms/);
  const pid = Number(handle.output());
  expect(() => process.kill(pid, 0)).toThrow("ESRCH");
});

test("on a terminal: typing, size and settings", async () => {
  const handle = shell("tty; stty size; read line; stty size; echo got $line; stty -echo; exit 3", { terminal: { rows: 24, columns: 80 } });
  await until(() => handle.output().includes("24 80"), { what: "the first size" });
  const { lflag } = await handle.termios();
  expect(lflag & 0o10, "ECHO").toBe(0o10);
  await handle.resize(40, 100);
  handle.type("words\n");
  const { code, stdout, termios } = await handle.result;
  expect(stdout).toMatch(/\/dev\/pts\/\d+/);
  expect(stdout).toMatch(/40 100\r\ngot words/);
  expect(code).toBe(3);
  expect((termios?.lflag ?? -1) & 0o10, "ECHO").toBe(0);
});

test("a changed canary is noticed, and so is its content in an output", () => {
  const canary = plantCanary();
  canary.check("nothing of it here");
  expect(() => canary.check(`leak: ${canary.content}`)).toThrow(/content in an output/);
  writeFileSync(canary.path, "changed");
  expect(() => canary.check()).toThrow(/the canary's content/);
});

test("a cgroup whose launcher is dead is an orphan", (context) => {
  needsHere(context, "cgroup1");
  const dir = join("/sys/fs/cgroup/memory", `belljar-${process.getuid?.()}`, "belljar-run-4194304-test"); // above the largest pid
  mkdirSync(dir);
  try {
    expect(orphanedCgroups()).toContain(dir);
  } finally {
    rmdirSync(dir);
  }
});

test("the host's mounts are seen", () => {
  expect(mounts().some((line) => / \/ \/proc( |$)/.test(line))).toBe(true);
});

test("a missing ability skips with its reason", () => {
  expect(whyMissing("root")).toBe("this is no root");
  const skipped: string[] = [];
  const context = {
    skip(reason: string) {
      skipped.push(reason);
      throw new Error("skipped");
    },
  };
  expect(() => needsHere(context as never, "root")).toThrow("skipped");
  expect(skipped).toEqual(["needs root: this is no root"]);
});

test("tests keep what they keep outside the tree", () => {
  expect(cacheDir.startsWith("/")).toBe(true);
});
