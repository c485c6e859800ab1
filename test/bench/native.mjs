// Running programs to their end; the C programs of the benchmarks: they start, wait and measure, as nothing in between may cost time.
import { spawnSync } from "node:child_process";
import { chmodSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

export const root = join(dirname(fileURLToPath(import.meta.url)), "../..");

/** Runs a command to its end; its stdout. Throws when it fails. */
export function must(argv, more = {}) {
  const { status, stdout, stderr, error } = spawnSync(argv[0], argv.slice(1), {
    cwd: root,
    encoding: "utf8",
    maxBuffer: 64 << 20,
    ...more,
  });
  if (status !== 0) throw new Error(`${argv.slice(0, 3).join(" ")}: ${error?.message ?? stderr?.trim()}`);
  return stdout;
}

const include = ["-Inative/launcher", "-Inative/launcher/gen"];
const warnings = ["-Wall", "-Wextra", "-Werror"];
const ways = ["ways.c", "bare.c", "talk.c"];
const programs = {
  drive: { sources: ["drive.c", ...ways] },
  load: { sources: ["load.c", ...ways] },
  hold: { sources: ["hold.c", ...ways] },
  flow: { sources: ["flow.c", ...ways] },
  toil: { sources: ["toil.c"], static: true },
  work: { sources: ["work.c"], static: true },
  syscalls: { sources: ["syscalls.c"], static: true },
};

const made = new Map();

/** Compiles once; the path. Static ones run in any root file system. */
export function program(dir, name) {
  const known = made.get(name);
  if (known !== undefined) return known;
  const path = join(dir, name);
  const { sources, static: fixed = false } = programs[name];
  const files = sources.map((file) => join("test/bench/c", file));
  must(["cc", "-O2", "-D_GNU_SOURCE", "-pthread", ...warnings, ...(fixed ? ["-static"] : []), ...include, "-o", path, ...files]);
  chmodSync(path, 0o755);
  made.set(name, path);
  return path;
}

export const launcher = join(root, "native/build/belljar-launch");
