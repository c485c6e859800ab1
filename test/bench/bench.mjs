// Compares, in one run on one machine: the launcher with bubblewrap, and the command with Node's own start. Pairs are interleaved; what counts are
// medians and their ratios, since the figures themselves move from machine to machine.
// Usage: node test/bench/bench.mjs [--rounds N] [--json]      --json prints one JSON document instead of tables
import { spawnSync } from "node:child_process";
import { chmodSync, copyFileSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { cpus, release, tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { parseArgs } from "node:util";
import { build } from "esbuild";
import { addonPath } from "../../build.mjs";

const root = join(dirname(fileURLToPath(import.meta.url)), "../..");
const { values: options } = parseArgs({
  options: { rounds: { type: "string", default: "200" }, json: { type: "boolean", default: false } },
});
const rounds = Number(options.rounds);
const dir = mkdtempSync(join(tmpdir(), "belljar-bench-"));
process.on("exit", () => rmSync(dir, { recursive: true, force: true }));

function must(argv, more = {}) {
  const { status, stdout, stderr, error } = spawnSync(argv[0], argv.slice(1), {
    cwd: root,
    encoding: "utf8",
    maxBuffer: 64 << 20,
    ...more,
  });
  if (status !== 0) throw new Error(`${argv.slice(0, 3).join(" ")}: ${error?.message ?? stderr.trim()}`);
  return stdout;
}

/** A root file system with nothing but a static busybox. */
function makeRootfs() {
  const rootfs = join(dir, "rootfs");
  for (const name of ["bin", "dev", "proc", "tmp", "work", "etc"]) mkdirSync(join(rootfs, name), { recursive: true });
  const busybox = ["/bin/busybox", "/usr/bin/busybox", "/bin/busybox.static"].find((path) => existsSync(path));
  if (busybox === undefined) throw new Error("no busybox");
  copyFileSync(busybox, join(rootfs, "bin/busybox"));
  chmodSync(join(rootfs, "bin/busybox"), 0o755);
  for (const name of ["true", "sh"]) symlinkSync("busybox", join(rootfs, "bin", name));
  chmodSync(dir, 0o755);
  return rootfs;
}

/** The planner is TypeScript: bundled as the command is. */
async function loadPlanner() {
  const { outputFiles } = await build({
    absWorkingDir: root,
    entryPoints: ["test/bench/plans.ts"],
    bundle: true,
    platform: "node",
    format: "esm",
    target: "node20.19",
    plugins: [addonPath(join(root, "native/seccomp-ts-bindings/build/seccomp.node"))],
    write: false,
  });
  const path = join(dir, "plans.mjs");
  writeFileSync(path, outputFiles[0].contents);
  return import(pathToFileURL(path).href);
}

function median(numbers) {
  const sorted = [...numbers].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
}

const quantile = (numbers, q) => [...numbers].sort((a, b) => a - b)[Math.min(numbers.length - 1, Math.floor(q * numbers.length))];

/** Runs the cases of one group in turn, `count` rounds; gives name -> { medianMs, p10Ms, p90Ms, ratio to the first }. */
function measure(drive, cases, count) {
  const argv = cases.flatMap(({ argv: command, plan }, i) => [
    ...(i > 0 ? ["--next"] : []),
    ...(plan ? ["plan", plan] : ["exec"]),
    ...command,
  ]);
  const lines = must([drive, String(count), ...argv], { stdio: ["ignore", "pipe", "pipe"] })
    .trim()
    .split("\n")
    .map((line) => JSON.parse(line).map((ns) => ns / 1e6));
  const base = median(lines[0]);
  return cases.map(({ name, note = null }, i) => ({
    name,
    note,
    medianMs: median(lines[i]),
    p10Ms: quantile(lines[i], 0.1),
    p90Ms: quantile(lines[i], 0.9),
    ratio: median(lines[i]) / base,
  }));
}

const rootfs = makeRootfs();
const drive = join(dir, "drive");
must(["cc", "-O2", "-D_GNU_SOURCE", "-Inative/launcher/gen", "-o", drive, "test/bench/drive.c"]);
const { benchPlan } = await loadPlanner();
const launcher = join(root, "native/build/belljar-launch");
const which = (name) => ["/usr/bin", "/usr/local/bin", "/bin"].map((place) => join(place, name)).find((path) => existsSync(path));

function launcherCase(name, cgroup) {
  const plan = benchPlan(rootfs, cgroup);
  if (plan === null) return null;
  const path = join(dir, `${cgroup}.plan`);
  writeFileSync(path, plan.bytes);
  return { name, argv: [launcher, "run"], plan: path, note: `memory by ${plan.enforcement.memory}, CPU by ${plan.enforcement.cpuTime}` };
}

/** The same namespaces and the same places: the rootfs read-only, /proc, /dev with its nodes and ptys, /tmp and /work writable. */
const bwrap = which("bwrap");
const bubblewrap = bwrap && {
  name: "bubblewrap",
  note: must([bwrap, "--version"]).trim(),
  argv: [
    bwrap,
    ...["--unshare-user", "--unshare-pid", "--unshare-ipc", "--unshare-uts", "--unshare-cgroup", "--unshare-net", "--hostname", "belljar"],
    ...["--uid", "1000", "--gid", "1000", "--die-with-parent", "--new-session", "--cap-drop", "ALL", "--clearenv"],
    ...["--ro-bind", rootfs, "/", "--proc", "/proc", "--dev", "/dev", "--tmpfs", "/tmp", "--tmpfs", "/work", "--chdir", "/work"],
    ...["--", "/bin/true"],
  ],
};

const floor = { name: "fork and exec alone", argv: [join(rootfs, "bin/true")], note: "no sandbox" };
const sandboxes = [
  bubblewrap,
  launcherCase("belljar-launch, no cgroup", "none"),
  launcherCase("belljar-launch, cgroup v1", "cgroup1"),
  launcherCase("belljar-launch, cgroup v2", "cgroup2"),
  floor,
];
const command = join(root, "dist/belljar.js");
mkdirSync(join(dir, "config/belljar"), { recursive: true });
writeFileSync(join(dir, "config/belljar/config.json"), '{ "cgroup": { "use": "none" } }');
const plannedGroups = [
  { title: "/bin/true of busybox in one root file system", cases: sandboxes, count: rounds },
  {
    title: "The command",
    cases: [
      { name: "node -e 0", argv: [process.execPath, "-e", "0"], note: `Node ${process.versions.node}` },
      {
        name: "belljar run -- /bin/true",
        argv: [process.execPath, command, "run", "--", "/bin/true"],
        note: "the host's /usr, default profile",
      },
      {
        name: "the same without a cgroup",
        argv: ["/usr/bin/env", `XDG_CONFIG_HOME=${join(dir, "config")}`, process.execPath, command, "run", "--", "/bin/true"],
        note: "by the user's configuration",
      },
    ],
    count: Math.max(5, Math.floor(rounds / 4)),
  },
];

const machine = { kernel: release(), cpu: cpus()[0]?.model ?? "unknown", cpus: cpus().length, node: process.versions.node };
const cell = (ms) => ms.toFixed(2);
const groups = [];
for (const { title, cases, count } of plannedGroups) {
  const results = measure(drive, cases.filter(Boolean), count);
  groups.push({ title, rounds: count, results });
  if (options.json) continue;
  console.log(`\n${title} (${count} rounds)\n`);
  console.log("| what | median ms | 10 % .. 90 % | ratio | |\n|---|---|---|---|---|");
  for (const { name, medianMs, p10Ms, p90Ms, ratio, note } of results) {
    console.log(`| ${name} | ${cell(medianMs)} | ${cell(p10Ms)} .. ${cell(p90Ms)} | ${ratio.toFixed(2)} | ${note ?? ""} |`);
  }
}
const load = readFileSync("/proc/loadavg", "utf8").split(" ")[0];
if (options.json) console.log(JSON.stringify({ machine, load, groups }, null, 2));
else console.log(`\n${machine.cpu}, ${machine.cpus} CPUs, Linux ${machine.kernel}, load ${load}`);
if (!bubblewrap) console.error("bubblewrap is not installed: nothing to compare the launcher with");
