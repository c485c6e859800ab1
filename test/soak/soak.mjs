// Many runs through one run server, among kills of everything, each checked; see test/README.md. Runs beneath a subreaper: main.mjs.
// Usage: npm run soak -- [--runs N] [--seed S] [--clients N] [--lanes N] [--every N] [--summary FILE] [--only NAME] [--calm]
import { chmodSync, copyFileSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { parseArgs } from "node:util";
import { stop } from "esbuild";
import { bundleTypeScript, loadTypeScript } from "../bench/measure.mjs";
import { root } from "../bench/native.mjs";
import { makeRootfs } from "../bench/rootfs.mjs";
import { Chaos } from "./chaos.mjs";
import { Clients } from "./clients.mjs";
import { leftovers } from "./leftovers.mjs";
import { programs, usualLimits } from "./programs.mjs";
import { numbersOf } from "./random.mjs";
import { Server } from "./server.mjs";

const { values } = parseArgs({
  options: {
    runs: { type: "string", default: "100000" },
    seed: { type: "string", default: String(Math.floor(Math.random() * 2 ** 31)) },
    clients: { type: "string", default: "4" },
    lanes: { type: "string", default: "4" },
    every: { type: "string", default: "5000" },
    summary: { type: "string" },
    only: { type: "string" },
    calm: { type: "boolean", default: false },
  },
});
const [runs, seed, clientCount, lanes, every] = ["runs", "seed", "clients", "lanes", "every"].map((name) => Number(values[name]));
const size = 4;
const maxFailures = 20;
/** A run that takes so long is stuck: it waits for its turn, for its limits, and for a busy machine. */
const stuckMs = 120_000;

const dir = mkdtempSync(join(tmpdir(), "belljar-soak-"));
chmodSync(dir, 0o755);
process.on("exit", () => rmSync(dir, { recursive: true, force: true }));

// ---- what is run, and through what ----

const rootfs = makeRootfs(dir);
const { soakPlans, compileFile } = await loadTypeScript(dir, "test/soak/plans.ts");
copyFileSync(compileFile(join(root, "test/fixtures/programs/limits.c")), join(rootfs, "bin/limits"));
for (const name of ["cat", "dd", "env", "ls", "touch", "wc"]) symlinkSync("busybox", join(rootfs, "bin", name));
writeFileSync(join(rootfs, "etc/data"), "no program\n", { mode: 0o755 });
const plans = soakPlans(rootfs, programs, usualLimits);
const pool = join(dir, "pool");
mkdirSync(pool, { mode: 0o700 });
const [plan, socket, parts] = [join(pool, "plan"), join(pool, "socket"), join(dir, "parts.json")];
writeFileSync(plan, plans.file);
writeFileSync(
  parts,
  JSON.stringify(Object.fromEntries(Object.entries(plans.parts).map(([name, bytes]) => [name, bytes.toString("base64")]))),
);
const wire = await bundleTypeScript(dir, "test/soak/wire.ts");
await stop(); // its process would be one that is left

const random = numbersOf(seed);
const failures = [];
const fail = (what) => {
  failures.push(what);
  console.error(`soak: FAILED: ${what}`);
};

const launcher = process.env.BELLJAR_LAUNCHER ?? join(root, "native/build/belljar-launch");
const server = new Server({ launcher, plan, socket, size, max: 64, onDeath: fail });
await server.start();
const clients = new Clients({ args: [wire, parts, socket], count: clientCount, lanes });
const chaos = new Chaos({ server, socket, random, killClient: () => clients.kill(random()) });

// ---- runs ----

const counts = { checked: 0, left: 0, retried: 0, refused: 0, excused: 0, clientKilled: 0 };
const verdicts = {};
const memory = [];

const chosen = programs.filter(({ name }) => values.only === undefined || name.includes(values.only));
const weights = chosen.reduce((sum, { weight }) => sum + weight, 0);
function choose() {
  let at = random() * weights;
  for (const program of chosen) {
    at -= program.weight;
    if (at < 0) return program;
  }
  return chosen[0];
}

function count(said) {
  counts.checked++;
  const verdict = said.record?.verdict ?? "none";
  verdicts[verdict] = (verdicts[verdict] ?? 0) + 1;
  if (said.record === null) counts.left++;
}

async function timed(job) {
  let timer;
  const late = new Promise((resolve) => {
    timer = setTimeout(() => resolve("stuck"), stuckMs);
  });
  const said = await Promise.race([clients.run(job), late]);
  clearTimeout(timer);
  return said;
}

/** One run, until it has been checked. */
async function oneRun(id) {
  const program = choose();
  const job = { id, name: program.name, seed: Math.floor(random() * 2 ** 32) };
  const where = () => `run ${id}, ${job.name}, seed ${job.seed}`;
  for (let attempt = 0; attempt < 500 && failures.length < maxFailures; attempt++) {
    const said = await timed(job);
    if (said === "stuck") return fail(`${where()}: no end after ${stuckMs} ms`);
    if (said === null) {
      counts.clientKilled++;
      return;
    }
    if (said.refused) {
      // Making a sandbox has failed, and nothing ran: after a kill that is so for a while.
      counts.refused++;
      await delay(50);
      continue;
    }
    if (said.objection === null && said.error !== "ECONNREFUSED" && said.error !== "ENOENT") return count(said);
    const excuse = chaos.excuse(said.from);
    const vanished = said.record === null;
    if (excuse === "server" && vanished) {
      counts.retried++;
      await delay(20);
      continue;
    }
    // A program whose first process was killed from outside died of that signal: nobody can tell who sent it.
    const isHit = said.record?.verdict === "sandbox-error" || said.record?.signal === 9;
    if (excuse !== null && (vanished || isHit)) {
      counts.excused++;
      return;
    }
    return fail(`${where()}: ${said.objection ?? said.error}; ${JSON.stringify(said)}`);
  }
  if (failures.length < maxFailures) fail(`${where()}: no sandbox is to be had`);
}

/** With nothing under way: what is left, and what the server holds. */
async function look(after) {
  await chaos.settled();
  let lines = [];
  const known = () => [process.pid, ...clients.pids];
  for (const end = Date.now() + 20_000; Date.now() < end; await delay(50)) {
    lines = leftovers({
      ...{ root: process.ppid, known: known(), server: server.pid, size, folder: pool, cgroupParents: plans.cgroupParents },
    });
    if (lines.length === 0) break;
  }
  for (const line of lines.slice(0, 5)) fail(`after ${after} runs: left: ${line}`);
  const figures = { runs: after, server: server.starts, ...server.figures() };
  const [first] = memory.filter((one) => one.server === figures.server);
  if (first !== undefined && (figures.rssKiB > first.rssKiB + 128 || figures.descriptors !== first.descriptors))
    fail(`after ${after} runs: the server grew: ${JSON.stringify(first)} to ${JSON.stringify(figures)}`);
  memory.push(figures);
}

const from = performance.now();
await look(0);
let issued = 0;
while (issued < runs && failures.length < maxFailures) {
  const until = Math.min(runs, issued + every);
  const lane = async () => {
    while (issued < until && failures.length < maxFailures) {
      const id = issued++;
      if (!values.calm) chaos.step();
      await oneRun(id);
    }
  };
  await Promise.all(Array.from({ length: clientCount * lanes }, lane));
  await look(issued);
  if (values.summary !== undefined || runs > every)
    console.error(`soak: ${issued} of ${runs} runs, ${Math.round((issued * 1000) / (performance.now() - from))} a second`);
}
const seconds = (performance.now() - from) / 1000;

// ---- the end ----

clients.close();
const [code, signal] = await server.end("SIGTERM");
if (code !== 0) fail(`the server ended with ${signal ?? code}: ${server.words.slice(-500)}`);
let lines = [];
for (const end = Date.now() + 10_000; Date.now() < end; await delay(50)) {
  lines = leftovers({ root: process.ppid, known: [process.pid], server: 0, size, folder: pool, cgroupParents: plans.cgroupParents });
  if (lines.length === 0) break;
}
for (const line of lines) fail(`at the end: left: ${line}`);
const kills = chaos.counts;
if (counts.excused > kills.member + kills.init + kills.task + 16 * (kills.server + kills.terminated))
  fail(`${counts.excused} runs ended without a right verdict: more than were killed`);
const summary = {
  ...{ runs: issued, seed, seconds: Math.round(seconds), runsPerSecond: Math.round(issued / seconds) },
  ...{ counts, verdicts, kills, serverStarts: server.starts, memory, serverSaid: server.words.slice(-2000), failures },
};
if (values.summary !== undefined) writeFileSync(values.summary, JSON.stringify(summary, null, 2));
console.log(JSON.stringify(summary));
process.exit(failures.length === 0 ? 0 : 1);
