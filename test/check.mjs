// Everything that can be said about the sources without running them. Goes on after a failure, so that one run tells all.
// Usage: node test/check.mjs [STEP...]
import { spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, readdirSync, rmSync } from "node:fs";
import { availableParallelism, tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const root = join(dirname(fileURLToPath(import.meta.url)), "..");
const scratch = mkdtempSync(join(tmpdir(), "belljar-check-"));
const node = process.execPath;
const has = (name) => (process.env.PATH ?? "").split(":").some((dir) => existsSync(join(dir, name)));

const filesBelow = (dir, pattern) =>
  readdirSync(join(root, dir), { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile() && pattern.test(entry.name))
    .map((entry) => join(entry.parentPath, entry.name).slice(root.length + 1))
    .filter((path) => !/\/(build|gen|node_modules)\//.test(path))
    .sort();

/** Each compiler has a folder of its own, so that a check never touches what runs. */
const make = (build, ...args) => ["make", "-s", "-C", "native", `-j${availableParallelism()}`, "WERROR=1", `BUILD=build/${build}`, ...args];
const addon = (...args) => [node, "native/seccomp-ts-bindings/build.mjs", ...args];
const cFiles = [...filesBelow("native", /\.[ch]$/), ...filesBelow("test", /\.c$/)];
const programs = filesBelow("test", /\.c$/).filter((path) => !path.startsWith("test/native/"));
const cross = process.arch === "x64" && has("aarch64-linux-gnu-gcc");

/** name, command lines, environment. */
const steps = [
  { name: "biome", commands: [[node, "node_modules/@biomejs/biome/bin/biome", "ci", "--error-on-warnings", "."]] },
  { name: "types", commands: [[node, "node_modules/typescript/bin/tsc", "--noEmit"]] },
  {
    name: "generated",
    commands: ["policy", "cli"].flatMap((room) => filesBelow(room, /^generate\.mjs$/)).map((script) => [node, script, "--check"]),
  },
  { name: "clang-format", commands: [["clang-format", "--dry-run", "-Werror", ...cFiles]] },
  {
    name: "gcc",
    commands: [make("check-gcc", "CC=gcc", "all", "addon", "tests"), addon("--compile-only", join(scratch, "gcc.o"))],
    env: { CC: "gcc", CFLAGS: "-Werror" },
  },
  {
    name: "clang",
    commands: [make("check-clang", "CC=clang", "all", "addon", "tests"), addon("--compile-only", join(scratch, "clang.o"))],
    env: { CC: "clang", CFLAGS: "-Werror" },
  },
  {
    name: "aarch64",
    commands: [make("check-aarch64", "CC=aarch64-linux-gnu-gcc", "all", "addon"), addon("--compile-only", join(scratch, "aarch64.o"))],
    env: { CC: "aarch64-linux-gnu-gcc", CFLAGS: "-Werror" },
    skip: cross ? null : "no cross compiler on this machine",
  },
  // musl's own headers warn where glibc's do not: that it builds is what counts.
  {
    name: "musl",
    commands: [["make", "-s", "-C", "native", "musl"]],
    skip: has("musl-gcc") ? null : "no musl-gcc on this machine",
  },
  { name: "analyzer", commands: [make("check-gcc", "check")] },
  {
    name: "test programs",
    commands: programs.map((path) => [
      "cc",
      "-std=gnu17",
      "-O1",
      "-Wall",
      "-Wextra",
      "-Werror",
      "-D_GNU_SOURCE",
      "-Inative/launcher",
      "-Inative/launcher/gen",
      "-c",
      "-o",
      join(scratch, "program.o"),
      path,
    ]),
  },
];

const wanted = process.argv.slice(2);
const unknown = wanted.find((name) => !steps.some((step) => step.name === name));
if (unknown !== undefined) {
  console.error(`check: unknown step '${unknown}': one of ${steps.map((step) => step.name).join(", ")}`);
  process.exit(2);
}
const failed = [];
for (const { name, commands, env = {}, skip = null } of steps) {
  if (wanted.length > 0 && !wanted.includes(name)) continue;
  if (skip !== null) {
    console.log(`check: ${name}: skipped: ${skip}`);
    continue;
  }
  const start = performance.now();
  const bad = commands.filter((argv) => {
    const { status, error } = spawnSync(argv[0], argv.slice(1), { cwd: root, env: { ...process.env, ...env }, stdio: "inherit" });
    if (error) console.error(`check: ${argv[0]}: ${error.message}`);
    return status !== 0;
  });
  console.log(`check: ${name}: ${bad.length === 0 ? "ok" : "FAILED"} (${((performance.now() - start) / 1000).toFixed(1)} s)`);
  if (bad.length > 0) failed.push(name);
}
rmSync(scratch, { recursive: true, force: true });
if (failed.length > 0) console.error(`check: failed: ${failed.join(", ")}`);
process.exitCode = failed.length === 0 ? 0 : 1;
