// The library: what a run takes that is asked for from within a program, beside Node's own spawn of the same program without any sandbox.
import { spawn } from "node:child_process";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { longGroup } from "./measure.mjs";
import { root } from "./native.mjs";

const program = ["/bin/true"];

function spawned() {
  const child = spawn(program[0], { stdio: ["pipe", "pipe", "pipe"] });
  child.stdin.end();
  for (const stream of [child.stdout, child.stderr]) stream.resume();
  return new Promise((resolve) => child.once("close", resolve));
}

async function ok(run) {
  const { report } = await run;
  if (report.verdict !== "ok") throw new Error(report.message);
}

const timed = async ({ run }) => {
  const start = performance.now();
  await run();
  return performance.now() - start;
};

/** As many at once as there are lanes, until all have been; runs a second. */
const rate =
  (lanes, runs) =>
  async ({ run }) => {
    let left = runs;
    const start = performance.now();
    await Promise.all(
      Array.from({ length: lanes }, async () => {
        while (left-- > 0) await run();
      }),
    );
    return (runs * 1000) / (performance.now() - start);
  };

export async function* libraryGroups({ rounds, withoutCgroup }) {
  process.env.XDG_CONFIG_HOME = withoutCgroup;
  const { run, Sandbox } = await import(pathToFileURL(join(root, "dist/api.mjs")).href);
  const cold = await Sandbox.open({ profile: "judge", concurrency: 8 });
  const warm = await Sandbox.open({ profile: "judge", concurrency: 8, warm: 8 });
  const cases = [
    { name: "spawn(), no sandbox", run: spawned },
    { name: "sandbox.run(), warm", note: "a spare sandbox for each", run: () => ok(warm.run(program)) },
    { name: "sandbox.run()", run: () => ok(cold.run(program)) },
    { name: "run()", note: "opens and closes a sandbox", run: () => ok(run({ profile: "judge", command: program })) },
  ];
  try {
    yield await longGroup({ title: "The library: /bin/true, profile judge, no cgroup", rounds, cases }, timed);
    for (const lanes of [1, 2, 8])
      yield await longGroup(
        { title: `Runs a second, ${lanes} at once`, unit: "runs/s", rounds: 5, cases: cases.slice(0, 3) },
        rate(lanes, 200),
      );
  } finally {
    await Promise.all([cold.close(), warm.close()]);
  }
}
