// How a group of cases is measured and told. The cases of a group take turns, round after round, so that whatever the machine does meanwhile
// hits all alike; the first round warms up and is not counted; what counts are medians and their ratios to the first case.
import { spawn, spawnSync } from "node:child_process";
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { build } from "esbuild";
import { addonPath } from "../../build.mjs";

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

function median(numbers) {
  const sorted = [...numbers].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
}

const quantile = (numbers, q) => [...numbers].sort((a, b) => a - b)[Math.min(numbers.length - 1, Math.floor(q * numbers.length))];

/** What was measured of each case, in the group's unit, and what it is to the first case; `more` is the median of what it takes beyond the first in the same round. */
export function summarise({ title, unit = "ms", rounds, cases }, samples) {
  const base = median(samples[0]);
  const results = cases.map(({ name, note = null }, i) => ({
    ...{ name, note, median: median(samples[i]), p10: quantile(samples[i], 0.1), p90: quantile(samples[i], 0.9) },
    ratio: median(samples[i]) / base,
    more: median(samples[i].map((figure, round) => figure - samples[0][round])),
  }));
  return { title, unit, rounds, results };
}

/** Short commands, started by test/bench/drive.c. A case: { name, argv, plan?, note? }. */
export function driveGroup(drive, group) {
  const argv = group.cases.flatMap(({ argv: command, plan }, i) => [
    ...(i > 0 ? ["--next"] : []),
    ...(plan ? ["plan", plan] : ["exec"]),
    ...command,
  ]);
  const lines = must([drive, String(group.rounds), ...argv], { stdio: ["ignore", "pipe", "pipe"] })
    .trim()
    .split("\n")
    .map((line) => JSON.parse(line).map((ns) => ns / 1e6));
  return summarise(group, lines);
}

/** Long commands, with something to put back before each. A case: { name, argv, env?, before?, note? }; `measureOne` gives a figure, milliseconds unless said otherwise. */
export async function longGroup(group, measureOne = timeOne) {
  const samples = group.cases.map(() => []);
  for (let round = 0; round <= group.rounds; round++)
    for (const [at, one] of group.cases.entries()) {
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

export function printGroup({ title, unit, rounds, results }) {
  console.log(`\n### ${title} (${rounds} rounds)\n`);
  console.log(`| what | median ${unit} | 10 % .. 90 % | ratio | |\n|---|---|---|---|---|`);
  const cell = (figure) => figure.toFixed(figure < 100 ? 2 : 0);
  for (const { name, median: middle, p10, p90, ratio, note } of results)
    console.log(`| ${name} | ${cell(middle)} | ${cell(p10)} .. ${cell(p90)} | ${ratio.toFixed(2)} | ${note ?? ""} |`);
}
