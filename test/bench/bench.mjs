// Compares, in one run on one machine, belljar with other programs that do the same; see measure.mjs for how.
// Usage: node test/bench/bench.mjs [--group NAME]... [--rounds N] [--runs N] [--quick] [--json [FILE]]
import { chmodSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { growthGroups } from "./growth.mjs";
import { imageGroups } from "./images.mjs";
import { insideGroups } from "./inside.mjs";
import { libraryGroups } from "./library.mjs";
import { limitsGroups } from "./limits.mjs";
import { load, machineFacts } from "./machine.mjs";
import { memoryGroups } from "./memory.mjs";
import { root } from "./native.mjs";
import { rateAndCrowdGroups } from "./rate.mjs";
import { endPodman } from "./runtimes.mjs";
import { seccompGroups } from "./seccomp.mjs";
import { startGroups } from "./start.mjs";
import { groupText, machineText } from "./table.mjs";

const kinds = {
  start: startGroups,
  rate: rateAndCrowdGroups,
  memory: memoryGroups,
  growth: growthGroups,
  inside: insideGroups,
  library: libraryGroups,
  seccomp: seccompGroups,
  limits: limitsGroups,
  images: imageGroups,
};
const { values: options } = parseArgs({
  options: {
    group: { type: "string", multiple: true },
    rounds: { type: "string" },
    runs: { type: "string" },
    quick: { type: "boolean", default: false },
    json: { type: "string" },
  },
});
const quickly = Object.keys(kinds).filter((name) => name !== "images" && name !== "limits");
const chosen = options.group ?? (options.quick ? quickly : Object.keys(kinds));
for (const name of chosen) if (!(name in kinds)) throw new Error(`no group '${name}': there are ${Object.keys(kinds).join(", ")}`);

const dir = mkdtempSync(join(tmpdir(), "belljar-bench-"));
chmodSync(dir, 0o755);
process.on("exit", () => {
  endPodman(process.env.XDG_RUNTIME_DIR);
  rmSync(dir, { recursive: true, force: true });
});
process.once("SIGINT", () => process.exit(130));

// A cgroup makes single runs slower by what its first attach takes; where that is not the question it is left out.
const withoutCgroup = join(dir, "config");
mkdirSync(join(withoutCgroup, "belljar"), { recursive: true });
writeFileSync(join(withoutCgroup, "belljar/config.json"), '{ "cgroup": { "use": "none" } }');
// What podman and others keep for a run; a user without a session has no such folder.
process.env.XDG_RUNTIME_DIR = join(dir, "runtime");
mkdirSync(process.env.XDG_RUNTIME_DIR, { mode: 0o700 });

const context = {
  dir,
  withoutCgroup,
  quick: options.quick,
  belljar: [process.execPath, join(root, "dist/belljar.js")],
  rounds: Number(options.rounds ?? (options.quick ? 60 : 200)),
  runs: Number(options.runs ?? (options.quick ? 2000 : 10_000)),
};
const before = load();
const groups = [];
for (const kind of chosen)
  for await (const group of await kinds[kind](context)) {
    groups.push({ kind, ...group });
    console.log(`\n${groupText(group)}`);
  }
const machine = machineFacts({ before, after: load() });
console.log(`\n${machineText(machine)}`);
if (options.json !== undefined) writeFileSync(options.json, `${JSON.stringify({ machine, groups }, null, 2)}\n`);
