// What belljar is for, on real programs: one that behaves and several that do not. Each scene says what the program tries, shows the command
// and what came of it, and is checked: the demo fails when a verdict, or what the host saw, is not as it should be.
import { spawn } from "node:child_process";
import { randomBytes } from "node:crypto";
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { listLayers, makeImage } from "./image.mjs";

const here = dirname(fileURLToPath(import.meta.url));
const belljar = join(here, "../../dist/belljar.js");
const scripts = join(here, "scripts");
const dir = mkdtempSync(join(tmpdir(), "belljar-demo-"));
const colour = process.stdout.isTTY && !process.env.NO_COLOR;
const paint = (code, text) => (colour ? `\x1b[${code}m${text}\x1b[0m` : text);
/** What a program printed may be anything: no control characters to the terminal, and not too much of it. */
const printable = (text, max = 300) => {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is removed
  const clean = text.replace(/[\u0000-\u0008\u000b-\u001f\u007f-\u009f]/g, "?").trimEnd();
  return clean.length > max ? `${clean.slice(0, max)}... (${text.length} characters)` : clean;
};
const indent = (text) => text.replace(/^/gm, "    ");

/** Runs to the end, or kills after a minute: the demo itself is the outer bound. */
function run(argv, cwd) {
  return new Promise((resolve, reject) => {
    const child = spawn(argv[0], argv.slice(1), { cwd, stdio: ["ignore", "pipe", "pipe"], timeout: 60_000, killSignal: "SIGKILL" });
    const out = { stdout: "", stderr: "" };
    for (const name of ["stdout", "stderr"]) {
      child[name].setEncoding("utf8").on("data", (text) => {
        if (out[name].length < 1 << 20) out[name] += text;
      });
    }
    child.on("error", reject);
    child.on("close", (code, signal) => resolve({ code, signal, ...out }));
  });
}

// ---- the host's side: a secret, and a server that counts its visitors ----

const secret = `secret-${randomBytes(12).toString("hex")}`;
const secretFile = join(dir, "secret.txt");
writeFileSync(secretFile, secret, { mode: 0o644 });
const numbers = join(dir, "numbers.txt");
writeFileSync(numbers, "1\n2\n39\n");
let visitors = 0;
const server = createServer((socket) => {
  visitors++;
  socket.on("error", () => undefined).end();
});
await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
const { port } = server.address();

// ---- the scenes ----

/** Limits that the kernel counts prove a process limit; where only rlimits are to be had, the program's own failure is what shows. */
const forkVerdict = (report) =>
  report.enforcement.processes?.startsWith("cgroup") ? ["process-limit"] : ["process-limit", "exit-nonzero"];

const scenes = [
  {
    title: "A script that behaves",
    args: ["--stdin", numbers, "./sum.py"],
    verdict: ["ok"],
    show: ["time", "memory"],
    check: ({ stdout }) => (stdout.trim() === "42" ? null : "its output is not 42"),
  },
  {
    title: "One that reads a file of the host",
    outside: ["read-host.py", secretFile],
    outsideCheck: ({ stdout }) =>
      stdout.includes(secret) ? null : "the script cannot read the file even without a sandbox: the scene proves nothing",
    args: ["./read-host.py", secretFile],
    verdict: ["exit-nonzero"],
    show: ["sandbox"],
    check: ({ stdout, stderr }) => ((stdout + stderr).includes(secret) ? "the secret got out" : null),
  },
  {
    title: "One that calls home over the network",
    outside: ["call-home.py", String(port)],
    outsideCheck: () => (visitors === 1 ? null : "the script cannot connect even without a sandbox: the scene proves nothing"),
    args: ["./call-home.py", String(port)],
    verdict: ["exit-nonzero"],
    show: [],
    check: () => (visitors === 1 ? null : "the server on the host had a visitor"),
  },
  {
    title: "A fork bomb",
    args: ["--processes", "24", "--cpu-time", "5s", "--wall-time", "10s", "./fork-bomb.py"],
    verdict: forkVerdict,
    show: ["processes", "enforcement.processes"],
    check: () => null,
  },
  {
    title: "One that eats memory",
    args: ["--memory", "64M", "--disk", "32M", "./eat-memory.py"],
    verdict: ["memory-limit"],
    show: ["memory", "enforcement.memory"],
    check: ({ code }) => (code === 124 ? null : `exit status ${code}, not 124`),
  },
  {
    title: "One that fills the disk",
    args: ["--disk", "16M", "./fill-disk.py"],
    verdict: ["disk-limit"],
    show: ["disk", "enforcement.disk"],
    check: () => null,
  },
  {
    title: "One that burns CPU time",
    args: ["--cpu-time", "500ms", "./spin.py"],
    verdict: ["cpu-time-limit"],
    show: ["time", "enforcement.cpuTime"],
    check: ({ wallMs }) => (wallMs < 10_000 ? null : `it took ${Math.round(wallMs)} ms`),
  },
  {
    title: "One that prints without end",
    args: ["--output", "100K", "./flood.py"],
    verdict: ["output-limit"],
    show: ["output"],
    check: ({ stdout }) => (stdout.length <= 100 * 1024 ? null : `${stdout.length} bytes came out`),
  },
];

// ---- the same on an OCI image: its layers, made here, and what a run does to them ----

const image = join(dir, "image");
/** A store of the demo's own, so that nothing of it stays. */
process.env.XDG_DATA_HOME = join(dir, "data");
const change = "cat /srv/*; rm -r /srv; mkdir /srv; echo mine > /srv/mine; ls /srv";
const shown = ["kept from the second layer", "added by the third layer"];

const imageScenes = [
  {
    title: "An image's own command, environment, user and folder",
    args: ["-i", "demo:1"],
    verdict: ["ok"],
    show: ["sandbox.image", "sandbox.overlay"],
    check: ({ stdout }) => {
      const missing = ["from the image", ...shown].filter((text) => !stdout.includes(text));
      if (missing.length > 0) return `its output lacks: ${missing.join(", ")}`;
      return stdout.includes("hello") ? "what the third layer took away is there" : null;
    },
  },
  ...["kernel", "fuse-overlayfs"].map((driver) => ({
    title: `One that deletes what the image holds, on ${driver === "kernel" ? "kernel overlay" : "fuse-overlayfs"}`,
    args: ["-i", "demo:1", "--set", "rootfs.writable=true", "--overlay-driver", driver, "--", "sh", "-c", change],
    verdict: ["ok"],
    // Not every host lets ordinary users mount either; where one must be there, BELLJAR_MUST_RUN says so.
    ability: driver === "kernel" ? "overlay" : "fuse",
    show: ["sandbox.overlay", "disk"],
    check: ({ stdout, report }) => {
      if (!stdout.endsWith("mine\n")) return "it does not see its own change";
      return report.sandbox.overlay === driver ? null : `the driver was ${report.sandbox.overlay}`;
    },
  })),
  {
    title: "And the next run, which finds the image as it was",
    args: ["-i", "demo:1", "--", "sh", "-c", "cat /srv/*"],
    verdict: ["ok"],
    show: [],
    check: ({ stdout }) => (shown.every((text) => stdout.includes(text)) && !stdout.includes("mine") ? null : "the image was changed"),
  },
];

async function loadImage() {
  makeImage(image, "demo:1");
  console.log(`\n${paint("1", "An OCI image of three layers, made from this host's busybox:")}`);
  for (const [index, files] of listLayers(image).entries()) console.log(`    layer ${index + 1}: ${files}`);
  console.log(`  ${paint("36", "$ belljar image load -i image")}`);
  const { code, stdout, stderr } = await run([process.execPath, belljar, "image", "load", "-i", image], dir);
  console.log(indent(printable(stdout + stderr)));
  if (code !== 0) throw new Error("the image could not be loaded");
}

const mustRun = (process.env.BELLJAR_MUST_RUN ?? "").split(",");
const pick = (report, path) => path.split(".").reduce((value, key) => value?.[key], report);

async function play({ title, args, verdict, ability, show, check, outside, outsideCheck }, number) {
  const problems = [];
  console.log(`\n${paint("1", `${number}. ${title}`)}`);
  if (outside) {
    const free = await run(["python3", join(scripts, outside[0]), ...outside.slice(1)], dir);
    console.log(`  without a sandbox:\n${indent(printable(free.stdout.replace(secret, "secret-...")))}`);
    const problem = outsideCheck(free);
    if (problem !== null) problems.push(problem);
  }
  const reportFile = join(dir, "report.json");
  rmSync(reportFile, { force: true });
  console.log(`  ${paint("36", `$ belljar run ${args.join(" ")}`)}`);
  const start = performance.now();
  const result = await run([process.execPath, belljar, "run", "--report", reportFile, ...args], scripts);
  const wallMs = performance.now() - start;
  if (result.stdout !== "") console.log(indent(printable(result.stdout, 200)));
  if (result.stderr !== "") console.log(indent(printable(result.stderr, 1000)));
  const refused = result.code === 125 && result.stderr.includes("choosing how layers become one tree");
  if (ability !== undefined && refused && !mustRun.includes(ability)) {
    console.log("  left out: this host cannot do it");
    return problems;
  }
  if (!existsSync(reportFile)) return [...problems, `no report was written (exit status ${result.code ?? result.signal})`];
  const report = JSON.parse(readFileSync(reportFile, "utf8"));
  console.log(`  report: verdict ${paint("1", report.verdict)}: ${printable(report.message)}`);
  for (const path of show) console.log(`          ${path}: ${JSON.stringify(pick(report, path))}`);
  const wanted = typeof verdict === "function" ? verdict(report) : verdict;
  if (!wanted.includes(report.verdict)) problems.push(`the verdict is ${report.verdict}, not ${wanted.join(" or ")}`);
  const problem = check({ ...result, report, wallMs });
  if (problem !== null) problems.push(problem);
  return problems;
}

let failed = 0;
try {
  console.log(`belljar runs programs that nobody trusts. Here as ${process.env.USER ?? "you"} (uid ${process.getuid()}), without root.`);
  const all = [...scenes, ...imageScenes];
  for (const [index, scene] of all.entries()) {
    if (scene === imageScenes[0]) await loadImage();
    const problems = await play(scene, index + 1);
    if (problems.length > 0) failed++;
    console.log(problems.length === 0 ? paint("32", "  as it should be") : paint("31", `  NOT as it should be: ${problems.join("; ")}`));
  }
  console.log(`\n${all.length - failed} of ${all.length} scenes went as they should.`);
} finally {
  server.close();
  rmSync(dir, { recursive: true, force: true });
}
process.exitCode = failed === 0 ? 0 : 1;
