// What sandboxes hold, the kernel's part included: of the whole machine, before many of them are made and while they are there. What is not
// theirs moves meanwhile, too: so there are many of them, and several rounds.
import { spawn } from "node:child_process";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { loadTypeScript, summarise } from "./measure.mjs";
import { launcher, program } from "./native.mjs";
import { makeRootfs } from "./rootfs.mjs";
import { startServer } from "./server.mjs";
import { file } from "./start.mjs";

const parts = ["AnonPages", "Shmem", "Slab", "PageTables", "KernelStack", "Percpu"];
const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

/** KiB. Not MemAvailable: what the kernel could free, it counts as free, and moves by more than what is measured. */
function machineMemory() {
  const text = readFileSync("/proc/meminfo", "utf8");
  return Object.fromEntries(parts.map((name) => [name, Number(new RegExp(`^${name}:\\s+(\\d+)`, "m").exec(text)?.[1] ?? 0)]));
}

/** KiB in use by processes and by the kernel for them, of the whole machine. */
const memoryInUse = (memory = machineMemory()) => parts.reduce((sum, name) => sum + memory[name], 0);

/** Until what ended before has been given back, for the kernel takes namespaces apart behind the processes; others may never be quiet. */
async function settled() {
  let last = 0;
  for (let turn = 0; turn < 25; turn++) {
    const now = memoryInUse();
    if (Math.abs(now - last) < 512) return;
    last = now;
    await pause(200);
  }
}

/** Starts test/bench/c/hold.c and measures while all are there. */
async function held({ dir, count, way }) {
  const child = spawn(program(dir, "hold"), [String(count), ...way], { stdio: ["pipe", "pipe", "inherit"] });
  const lines = [];
  let tell = () => undefined;
  child.stdout.setEncoding("utf8").on("data", (text) => {
    lines.push(...text.trim().split("\n"));
    tell();
  });
  const ended = new Promise((resolve) => child.once("close", resolve));
  await Promise.race([
    new Promise((resolve) => {
      tell = resolve;
    }),
    ended.then((code) => Promise.reject(new Error(`hold: ${code}`))),
  ]);
  await settled();
  const memory = machineMemory();
  child.stdin.end();
  await ended;
  return { memory, startMs: Number(lines[0]) / 1e6, endMs: Number(lines[1]) / 1e6 };
}

const childrenOf = (pid) => {
  try {
    return readFileSync(`/proc/${pid}/task/${pid}/children`, "utf8").trim().split(" ").filter(Boolean);
  } catch {
    return [];
  }
};

/** Of the server's members those whose init has made the task that waits. */
const standing = (server) => childrenOf(server).filter((member) => childrenOf(member).some((init) => childrenOf(init).length > 0));

/** Members of a run server that wait: made by it, so that there is no launcher of its own for each. */
async function served({ dir, count, plan }) {
  const from = Date.now();
  const server = await startServer({ dir, parts: plan, size: count, max: count });
  if (server.missing !== undefined) return null;
  while (standing(server.pid).length < count) await pause(200);
  const startMs = Date.now() - from;
  await settled();
  const memory = machineMemory();
  await server.close();
  return { memory, startMs, endMs: null };
}

export async function* memoryGroups({ dir, quick }) {
  const rootfs = makeRootfs(dir);
  const { benchPlan, benchParked } = await loadTypeScript(dir, "test/bench/plans.ts");
  const toil = { mounts: [{ kind: "bind", source: program(dir, "toil"), target: "/toil", access: "read-only" }] };
  const parked = benchParked(rootfs);
  const planFile = (name, plan) => file(join(dir, name), plan);
  const running = benchPlan(rootfs, { set: { ...toil, "limits.wallTime": "10m" }, command: ["/toil", "wait"] });
  const count = 1000;
  const cases = [
    {
      name: "prepared, by a launcher of its own",
      way: ["parked", planFile("held.plan", parked.template), planFile("held.exec", parked.exec)],
    },
    { name: "prepared, in a run server", plan: parked },
    { name: "running a program that waits", way: ["plan", planFile("running.plan", running.bytes)] },
  ];
  const rounds = quick ? 1 : 3;
  const samples = cases.map(() => []);
  const details = cases.map(() => []);
  for (let round = 0; round < rounds; round++)
    for (const [at, { way, plan }] of cases.entries()) {
      await settled();
      const before = machineMemory();
      const seen = way === undefined ? await served({ dir, count, plan }) : await held({ dir, count, way: [...way, launcher, "run"] });
      if (seen === null) continue;
      samples[at].push((memoryInUse(seen.memory) - memoryInUse(before)) / count);
      const { memory, ...times } = seen;
      details[at].push({ ...times, ...Object.fromEntries(parts.map((name) => [name, (memory[name] - before[name]) / count])) });
    }
  const noted = cases.map(({ name }, at) => {
    const [last] = details[at].slice(-1);
    if (last === undefined) return { name, missing: "the server does not come up" };
    const kib = parts.map((part) => `${part} ${last[part].toFixed(0)}`);
    return { name, note: `of it ${kib.join(", ")}; all ${count} there after ${(last.startMs / 1000).toFixed(1)} s` };
  });
  const title = `Memory of a sandbox, of ${count} at once`;
  const group = { title, unit: "KiB", rounds, cases: noted, details };
  const limits = [{ of: "prepared, in a run server", atMostFigure: 1024 }];
  yield { ...summarise(group, samples), limits };
}
