// The soak, under bounds from outside: no more processes and files than it can need, a deadline, and the subreaper of the tests, which becomes the
// parent of all that anybody leaves, tells of it and ends it. Options go to soak.mjs.
import { spawn } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { loadTypeScript } from "../bench/measure.mjs";
import { root } from "../bench/native.mjs";

const deadlineMs = Number(process.env.BELLJAR_SOAK_DEADLINE_MS ?? 4 * 3_600_000);
const dir = mkdtempSync(join(tmpdir(), "belljar-soak-"));
const { compileFile } = await loadTypeScript(dir, "test/helpers/compile.ts");
rmSync(dir, { recursive: true });

const bounds = ["prlimit", "--nproc=4000", "--nofile=8192", "--core=0"];
const soak = [process.execPath, join(root, "test/soak/soak.mjs"), ...process.argv.slice(2)];
const child = spawn(compileFile(join(root, "test/helpers/reaper.c")), ["5000", ...bounds, ...soak], {
  stdio: ["ignore", "inherit", "inherit", "pipe"],
});
const timer = setTimeout(() => child.kill("SIGTERM"), deadlineMs);
for (const signal of ["SIGINT", "SIGTERM"]) process.on(signal, () => child.kill("SIGTERM"));
let text = "";
child.stdio[3].setEncoding("utf8").on("data", (part) => {
  text += part;
});
await new Promise((resolve) => child.once("close", resolve));
clearTimeout(timer);
const events = Object.assign(
  {},
  ...text
    .trim()
    .split("\n")
    .map((line) => JSON.parse(line)),
);
if (events.timedOut) console.error(`soak: FAILED: not done after ${deadlineMs} ms`);
for (const { pid, name } of events.leftovers ?? []) console.error(`soak: FAILED: left: process ${pid} (${name})`);
process.exitCode = events.status === 0 && events.leftovers?.length === 0 ? 0 : 1;
