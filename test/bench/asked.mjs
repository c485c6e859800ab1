// Answers each line with one when a run is over, so that test/bench/c/drive.c can time what a program of Node's waits for. Usage: asked.mjs spawn|cold|warm ROOTFS
import { spawn } from "node:child_process";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { pathToFileURL } from "node:url";
import { root } from "./native.mjs";

const [, , way, rootfs] = process.argv;

function spawned() {
  const child = spawn(join(rootfs, "bin/true"), { stdio: ["pipe", "pipe", "pipe"] });
  child.stdin.end();
  for (const stream of [child.stdout, child.stderr]) stream.resume();
  return new Promise((resolve) => child.once("close", resolve));
}

async function opened() {
  const { Sandbox } = await import(pathToFileURL(join(root, "dist/api.mjs")).href);
  const sandbox = await Sandbox.open({ profile: "default", rootfs, warm: way === "warm" ? 4 : 0 });
  const run = async () => {
    const { report } = await sandbox.run(["/bin/true"]);
    if (report.verdict !== "ok") throw new Error(report.message);
  };
  return { run, close: () => sandbox.close() };
}

const { run, close } = way === "spawn" ? { run: spawned, close: async () => undefined } : await opened();
for await (const _ of createInterface({ input: process.stdin })) {
  await run();
  process.stdout.write("\n");
}
await close();
