// How long it takes to run a program that does nothing, by every way there is, in one run.
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { driveGroup, loadTypeScript } from "./measure.mjs";
import { launcher } from "./native.mjs";
import { makeRootfs } from "./rootfs.mjs";
import { runtimeCases } from "./runtimes.mjs";
import { withServer } from "./server.mjs";

/** Writes it; the path. */
export const file = (path, bytes) => {
  writeFileSync(path, bytes);
  return path;
};

/** The launcher with a plan made beforehand, as the command would make it for the profile `default`; or why there is none. */
export function launcherCase(dir, { name, plan }) {
  if (plan === null) return { name, missing: "the machine has no such cgroup that a user may use" };
  const note = `memory by ${plan.enforcement.memory}, CPU time by ${plan.enforcement.cpuTime}`;
  return { name, note, way: ["plan", file(join(dir, `${name.replace(/\W+/g, "-")}.plan`), plan.bytes), launcher, "run"] };
}

/** The same made ahead: what is timed is a run in a sandbox that stands. */
export function parkedCase(dir, { template, exec }) {
  const [plan, part] = [file(join(dir, "parked.plan"), template), file(join(dir, "parked.exec"), exec)];
  return { name: "prepared sandbox", note: "no cgroup; from the exec part to the record", way: ["parked", plan, part, launcher, "run"] };
}

const asked = (name, { kind, rootfs, config, note }) => ({
  ...{ name, note, env: { XDG_CONFIG_HOME: config } },
  way: ["ask", process.execPath, "test/bench/asked.mjs", kind, rootfs],
});

export async function* startGroups({ dir, rounds, belljar, withoutCgroup }) {
  const rootfs = makeRootfs(dir);
  const { benchPlan, benchParked } = await loadTypeScript(dir, "test/bench/plans.ts");
  const planned = (name, cgroup) => launcherCase(dir, { name, plan: benchPlan(rootfs, { cgroup }) });
  const command = ["exec", ...belljar, "run", "--rootfs", rootfs, "--", "/bin/true"];
  const parts = benchParked(rootfs);
  const library = { rootfs, config: withoutCgroup };
  const cases = [
    { name: "fork and exec", note: "no sandbox", way: ["exec", join(rootfs, "bin/true")] },
    { name: "bare loop", note: "the same namespaces and mounts, and nothing else", way: ["bare", rootfs, "/bin/true"] },
    ...runtimeCases({ dir, rootfs }),
    planned("belljar-launch", "none"),
    planned("belljar-launch, cgroup v1", "cgroup1"),
    planned("belljar-launch, cgroup v2", "cgroup2"),
    parkedCase(dir, parts),
    asked("Node's spawn()", { kind: "spawn", ...library, note: "no sandbox" }),
    asked("library", { kind: "cold", ...library, note: "`sandbox.run()`, no cgroup" }),
    asked("library, warm", { kind: "warm", ...library, note: "`Sandbox.open({ warm: 4 })`, no cgroup" }),
    { name: "node -e 0", note: `Node ${process.versions.node}`, every: 4, way: ["exec", process.execPath, "-e", "0"] },
    { name: "belljar run", note: "no cgroup", every: 4, env: { XDG_CONFIG_HOME: withoutCgroup }, way: command },
    { name: "belljar run, cgroup", note: "of whatever kind there is", every: 4, way: command },
  ];
  yield* withServer({ dir, parts, size: 4 }, async function* (server) {
    const at = cases.findIndex(({ name }) => name === "prepared sandbox") + 1;
    const all = [...cases.slice(0, at), server, ...cases.slice(at)];
    yield driveGroup({ dir }, { title: "Starting a program that does nothing", cases: all, rounds, aims });
  });
}

/** What the figures are compared with besides the first. */
const aims = [
  { of: "belljar-launch", to: "bubblewrap", atMost: 0.8 },
  { of: "prepared sandbox", to: "fork and exec", atMost: 1.3 },
  { of: "run server", to: "fork and exec", atMost: 1.3 },
  { of: "belljar run", to: "node -e 0", atMost: 1.6 },
];
