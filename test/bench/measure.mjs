// How a group of cases is measured and told. The cases of a group take turns, round after round, so that whatever the machine does meanwhile
// hits all alike; the first round warms up and is not counted; what counts are medians and their ratios to the first case.
import { spawn } from "node:child_process";
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { build } from "esbuild";
import { addonPath } from "../../build.mjs";
import { must, program, root } from "./native.mjs";

/** A TypeScript module, bundled as the command is: the path of the bundle. */
export async function bundleTypeScript(dir, path) {
  const { outputFiles } = await build({
    absWorkingDir: root,
    entryPoints: [path],
    bundle: true,
    platform: "node",
    format: "esm",
    target: "node20.19",
    plugins: [addonPath(join(root, "native/seccomp-ts-bindings/build/seccomp.node"))],
    write: false,
  });
  const bundled = join(dir, `${path.replace(/\W/g, "-")}.mjs`);
  writeFileSync(bundled, outputFiles[0].contents);
  return bundled;
}

export const loadTypeScript = async (dir, path) => import(pathToFileURL(await bundleTypeScript(dir, path)).href);

export function median(numbers) {
  const sorted = [...numbers].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
}

const quantile = (numbers, q) => [...numbers].sort((a, b) => a - b)[Math.min(numbers.length - 1, Math.floor(q * numbers.length))];

const counted = (figures) => figures.filter((figure) => figure !== null);

/**
 * What was measured of each case, in the group's unit, and what it is to the first case; `more` is the median of what it takes beyond the
 * first in the same round. A case with `missing` was not measured, and says why. Aims: { of, to, atMost | atLeast }, ratios of medians.
 */
export function summarise({ title, unit = "ms", rounds, cases, aims = [], ...more }, samples) {
  const base = median(counted(samples[0]));
  const results = cases.map(({ name, note = null, missing = null }, i) => {
    const figures = counted(samples[i] ?? []);
    if (figures.length === 0) return { name, note, missing: missing ?? "not measured" };
    const beyond = figures.length === samples[0].length ? median(figures.map((figure, round) => figure - samples[0][round])) : null;
    const middle = median(figures);
    return {
      ...{ name, note, rounds: figures.length, median: middle, ratio: middle / base, more: beyond },
      ...{ p10: quantile(figures, 0.1), p90: quantile(figures, 0.9), p99: quantile(figures, 0.99) },
    };
  });
  return { title, unit, rounds, results, aims: aims.map((aim) => reached(aim, results)), ...more };
}

function reached(aim, results) {
  const of = (wanted) => results.find(({ name }) => name === wanted)?.median;
  const [one, other] = [of(aim.of), of(aim.to)];
  return { ...aim, ratio: one === undefined || other === undefined ? null : one / other };
}

/** Short commands, started by test/bench/c/drive.c. A case: { name, way | argv, every?, env?, note? } or { name, missing }. */
export function driveGroup({ dir }, group) {
  const there = group.cases.filter(({ missing }) => missing === undefined);
  const words = there.flatMap(({ way, argv, every = 1, env = {} }, i) => [
    ...(i > 0 ? ["--next"] : []),
    ...(every > 1 ? ["every", String(every)] : []),
    ...Object.entries(env).flatMap(([name, value]) => ["with", `${name}=${value}`]),
    ...(way ?? ["exec", ...argv]),
  ]);
  const lines = must([program(dir, "drive"), String(group.rounds), ...words], { stdio: ["ignore", "pipe", "pipe"] })
    .trim()
    .split("\n");
  const measured = lines.map((line) => JSON.parse(line).map((ns) => (ns === null ? null : ns / 1e6)));
  return summarise(
    group,
    group.cases.map((one) => measured[there.indexOf(one)] ?? []),
  );
}

/** Long commands, with something to put back before each. A case: { name, argv, env?, before?, note? }; `measureOne` gives a figure, milliseconds unless said otherwise. */
export async function longGroup(group, measureOne = timeOne) {
  const samples = group.cases.map(() => []);
  for (let round = 0; round <= group.rounds; round++)
    for (const [at, one] of group.cases.entries()) {
      if (one.missing !== undefined) continue;
      one.before?.();
      const figure = await measureOne(one);
      if (round > 0) samples[at].push(figure);
    }
  return summarise(group, samples);
}

function start({ argv, env = {} }) {
  const child = spawn(argv[0], argv.slice(1), { cwd: "/", env: { ...process.env, ...env }, stdio: ["ignore", "ignore", "pipe"] });
  let words = "";
  child.stderr.setEncoding("utf8").on("data", (text) => {
    words = (words + text).slice(-2000);
  });
  const ended = new Promise((resolve, reject) => {
    child.once("error", reject);
    child.once("close", (code, signal) => (code === 0 ? resolve() : reject(new Error(`${argv.join(" ")}: ${signal ?? code}: ${words}`))));
  });
  return { pid: child.pid, ended };
}

async function timeOne(one) {
  const from = process.hrtime.bigint();
  await start(one).ended;
  return Number(process.hrtime.bigint() - from) / 1e6;
}

/** Bytes of memory of a process that are its own alone or shared with files: VmRSS, and the most it ever was. */
function memoryOf(pid) {
  try {
    const status = readFileSync(`/proc/${pid}/status`, "utf8");
    const kib = (name) => Number(new RegExp(`^${name}:\\s+(\\d+) kB`, "m").exec(status)?.[1] ?? 0);
    return { now: kib("VmRSS"), most: kib("VmHWM") };
  } catch {
    return { now: 0, most: 0 };
  }
}

function descendants(pid) {
  const found = [pid];
  for (const parent of found)
    try {
      for (const task of readdirSync(`/proc/${parent}/task`))
        found.push(...readFileSync(`/proc/${parent}/task/${task}/children`, "utf8").trim().split(" ").filter(Boolean).map(Number));
    } catch {
      // It has ended.
    }
  return found;
}

/** The peak of what a command and its helpers hold together, in MiB: looked at every few milliseconds, and never less than the command's own peak as the kernel has it. */
export async function memoryOne(one) {
  const { pid, ended } = start(one);
  let peak = 0;
  const look = () => {
    const all = descendants(pid).map(memoryOf);
    peak = Math.max(
      peak,
      all.reduce((sum, { now }) => sum + now, 0),
      all[0].most,
    );
  };
  const timer = setInterval(look, 5);
  try {
    await ended;
  } finally {
    clearInterval(timer);
  }
  return peak / 1024;
}
