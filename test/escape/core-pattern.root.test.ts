// A core_pattern that names a program makes the kernel start it as root, outside every sandbox, for each crash. Only root can set one.
import { spawnSync } from "node:child_process";
import { chmodSync, existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { fixtureProgram } from "../helpers/compile.ts";
import { until } from "../helpers/deadline.ts";

interface Place {
  readonly uid: number;
  readonly gid: number;
  readonly home: string;
  readonly tree: string;
  readonly node: string;
}
const place = JSON.parse(process.env["BELLJAR_TEST_PLACE"] ?? "{}") as Place;
const setting = "/proc/sys/kernel/core_pattern";
const before = readFileSync(setting, "utf8");
let folder: string;
let marker: string;
let program: string;

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "belljar-core-"));
  chmodSync(folder, 0o755);
  marker = join(folder, "reached");
  const handler = join(folder, "handler");
  writeFileSync(handler, `#!/bin/sh\necho "$1" >>${marker}\n`, { mode: 0o755 });
  program = join(folder, "crash");
  writeFileSync(program, readFileSync(fixtureProgram("crash")), { mode: 0o755 });
  writeFileSync(setting, `|${handler} %p`);
});

afterAll(() => {
  writeFileSync(setting, before);
  rmSync(folder, { recursive: true, force: true });
});

const asUser = { uid: place.uid, gid: place.gid, cwd: "/", env: { PATH: "/usr/bin:/bin", HOME: place.home }, encoding: "utf8" } as const;

const sandboxed = (...args: readonly string[]) =>
  spawnSync(place.node, [join(place.tree, "dist/belljar.js"), "run", "-q", "--in", program, "--", "./crash", ...args], asUser);

/** A crash of our own that the handler is sure to report: when it was seen, every earlier one would have been. */
async function crashOutside(): Promise<void> {
  spawnSync("/bin/sh", ["-c", `ulimit -c unlimited; exec ${program}`], asUser);
  await until(() => existsSync(marker), { what: "the handler" });
}

const reports = (): number => readFileSync(marker, "utf8").trim().split("\n").length;

test("positive control: a crash outside reaches the handler", async () => {
  await crashOutside();
  expect(reports()).toBe(1);
});

test.each([
  [[], ""],
  [["lower"], "0\n"], // told that it was done, and it was not
])("a crash in the sandbox does not: crash %j", async (args, printed) => {
  rmSync(marker, { force: true });
  const { status, stdout } = sandboxed(...args);
  expect([status, stdout]).toEqual([134, printed]);
  await crashOutside();
  expect(reports()).toBe(1);
});
