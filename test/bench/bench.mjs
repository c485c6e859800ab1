// Compares, in one run on one machine, belljar with other programs that do the same; see measure.mjs for how.
// Usage: node test/bench/bench.mjs [--group launcher|command|limits|images|seccomp|library]... [--rounds N] [--json]   --json prints one JSON document instead of tables
import { chmodSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { cpus, release, tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { imageGroups } from "./images.mjs";
import { commandGroups, launcherGroups } from "./launcher.mjs";
import { libraryGroups } from "./library.mjs";
import { limitsGroups } from "./limits.mjs";
import { must, printGroup, root } from "./measure.mjs";
import { seccompGroups } from "./seccomp.mjs";

const kinds = {
  launcher: launcherGroups,
  command: commandGroups,
  limits: limitsGroups,
  images: imageGroups,
  seccomp: seccompGroups,
  library: libraryGroups,
};
const { values: options } = parseArgs({
  options: {
    group: { type: "string", multiple: true, default: Object.keys(kinds) },
    rounds: { type: "string", default: "200" },
    json: { type: "boolean", default: false },
  },
});
for (const name of options.group) if (!(name in kinds)) throw new Error(`no group '${name}': there are ${Object.keys(kinds).join(", ")}`);

const dir = mkdtempSync(join(tmpdir(), "belljar-bench-"));
chmodSync(dir, 0o755);
process.on("exit", () => rmSync(dir, { recursive: true, force: true }));
process.once("SIGINT", () => process.exit(130));

const drive = join(dir, "drive");
must(["cc", "-O2", "-D_GNU_SOURCE", "-Inative/launcher/gen", "-o", drive, "test/bench/drive.c"]);
// A cgroup makes single runs slower by what its first attach takes; where that is not the question it is left out.
const withoutCgroup = join(dir, "config");
mkdirSync(join(withoutCgroup, "belljar"), { recursive: true });
writeFileSync(join(withoutCgroup, "belljar/config.json"), '{ "cgroup": { "use": "none" } }');

const belljar = [process.execPath, join(root, "dist/belljar.js")];
const context = { dir, drive, rounds: Number(options.rounds), belljar, withoutCgroup };
const machine = { kernel: release(), cpu: cpus()[0]?.model ?? "unknown", cpus: cpus().length, node: process.versions.node };
const groups = [];
for (const name of options.group)
  for await (const group of await kinds[name](context)) {
    groups.push(group);
    if (!options.json) printGroup(group);
  }
const load = readFileSync("/proc/loadavg", "utf8").split(" ")[0];
if (options.json) console.log(JSON.stringify({ machine, load, groups }, null, 2));
else console.log(`\n${machine.cpu}, ${machine.cpus} CPUs, Linux ${machine.kernel}, load ${load}`);
