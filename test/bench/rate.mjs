// Runs a second of fresh sandboxes, and how long one takes while many others run.
import { spawn } from "node:child_process";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { driveGroup, loadTypeScript, longGroup } from "./measure.mjs";
import { launcher, must, program, root } from "./native.mjs";
import { makeRootfs } from "./rootfs.mjs";
import { withServer } from "./server.mjs";
import { file, launcherCase } from "./start.mjs";

const clientCounts = [1, 2, 8];
const blocks = 5;
const others = 100;

/** As many at once as there are clients, until all have been. */
async function lanes(clients, runs, run) {
  let left = runs;
  const one = async () => {
    while (left-- > 0) await run();
  };
  await Promise.all(Array.from({ length: clients }, one));
}

/** Of one case in runs a second. */
const rateOf =
  (dir, { clients, runs }) =>
  async ({ way, run }) => {
    const from = process.hrtime.bigint();
    if (run !== undefined) await lanes(clients, runs, run);
    const ns = run === undefined ? must([program(dir, "load"), String(clients), String(runs), ...way]) : process.hrtime.bigint() - from;
    return (runs * 1e9) / Number(ns);
  };

async function ok(run) {
  const { report } = await run;
  if (report.verdict !== "ok") throw new Error(report.message);
}

async function* rateGroups({ dir, rootfs, runs, cases }) {
  const { Sandbox } = await import(pathToFileURL(join(root, "dist/api.mjs")).href);
  const options = { profile: "default", rootfs, concurrency: Math.max(...clientCounts) };
  const [cold, warm] = [await Sandbox.open(options), await Sandbox.open({ ...options, warm: 8 })];
  const library = [
    { name: "library", run: () => ok(cold.run(["/bin/true"])) },
    { name: "library, warm", run: () => ok(warm.run(["/bin/true"])) },
  ];
  const aims = [{ of: "run server", to: "bare loop", atLeast: 0.7 }];
  try {
    for (const clients of clientCounts) {
      const title = `Runs a second: ${runs} runs by ${clients} ${clients === 1 ? "client" : "clients"}`;
      const group = { title, unit: "runs/s", rounds: blocks, cases: [...cases, ...library], aims };
      yield await longGroup(group, rateOf(dir, { clients, runs: Math.ceil(runs / blocks) }));
    }
  } finally {
    await Promise.all([cold.close(), warm.close()]);
  }
}

/** While sandboxes of the same kind run a program that is busy for so much of the time. */
export async function besides({ dir, plan, count }, what) {
  const child = spawn(program(dir, "hold"), [String(count), "plan", plan, launcher, "run"], { stdio: ["pipe", "pipe", "inherit"] });
  const line = () => new Promise((resolve) => child.stdout.once("data", (text) => resolve(Number(text))));
  const ended = new Promise((resolve) => child.once("close", resolve));
  const failed = ended.then((code) => Promise.reject(new Error(`hold: ${code}`)));
  failed.catch(() => undefined);
  const startNs = await Promise.race([line(), failed]);
  try {
    return await what(startNs);
  } finally {
    child.stdin.end();
    await ended;
  }
}

export async function* rateAndCrowdGroups({ dir, rounds, runs, withoutCgroup }) {
  process.env.XDG_CONFIG_HOME = withoutCgroup;
  const rootfs = makeRootfs(dir);
  const { benchPlan, benchParked } = await loadTypeScript(dir, "test/bench/plans.ts");
  const { note: _, ...launched } = launcherCase(dir, { name: "belljar-launch", plan: benchPlan(rootfs, {}) });
  const fork = { name: "fork and exec", note: "no sandbox", way: ["exec", join(rootfs, "bin/true")] };
  const bare = { name: "bare loop", way: ["bare", rootfs, "/bin/true"] };
  const parts = benchParked(rootfs);
  yield* withServer({ dir, parts, size: 8 }, async function* (server) {
    yield* rateGroups({ dir, rootfs, runs, cases: [bare, fork, launched, server] });
  });
  const cases = [fork, bare, launched];
  const pulse = { set: { mounts: [{ kind: "bind", source: program(dir, "toil"), target: "/toil", access: "read-only" }] } };
  for (const [words, command] of [
    ["wait", ["/toil", "wait"]],
    ["are busy for 1 ms out of 100", ["/toil", "pulse", "1000", "100000"]],
  ]) {
    const plan = file(join(dir, "others.plan"), benchPlan(rootfs, { ...pulse, command }).bytes);
    yield* withServer({ dir, parts, size: 4 }, async function* (server) {
      const group = { title: `Starting while ${others} others ${words}`, cases: [...cases, server], rounds };
      yield await besides({ dir, plan, count: others }, () => driveGroup({ dir }, group));
    });
  }
}
