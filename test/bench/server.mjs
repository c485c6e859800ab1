// A run server for as long as it is measured.
import { spawn } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync } from "node:fs";
import { join } from "node:path";
import { launcher } from "./native.mjs";
import { file } from "./start.mjs";

const isUp = async (path, child) => {
  for (const deadline = Date.now() + 10_000; !existsSync(path); await new Promise((resolve) => setTimeout(resolve, 5)))
    if (child.exitCode !== null || Date.now() > deadline) return false;
  return true;
};

/** Starts one; `{ way }` for a case, or `{ missing }` where it does not come up, and how to end it. */
export async function startServer({ dir, parts, size, max = size + 64 }) {
  const folder = mkdtempSync(join(dir, "server-"));
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  const [plan, exec, socket] = [file(join(folder, "plan"), parts.template), file(join(folder, "exec"), parts.exec), join(folder, "socket")];
  const argv = ["serve", plan, "--socket", socket, "--size", String(size), "--max", String(max)];
  const child = spawn(launcher, argv, { stdio: ["ignore", "ignore", "inherit"] });
  const ended = new Promise((resolve) => child.once("close", resolve));
  const up = await isUp(socket, child);
  const close = async () => {
    child.kill("SIGTERM");
    await ended;
  };
  return { pid: child.pid, close, ...(up ? { way: ["server", socket, exec] } : { missing: "the server does not come up" }) };
}

/** Groups measured beside a server, with the case that uses it. */
export async function* withServer(options, groups) {
  const { close, way, missing } = await startServer(options);
  const note = `${options.size} kept ready`;
  try {
    yield* groups({ name: "run server", ...(missing === undefined ? { note, way } : { missing }) });
  } finally {
    await close();
  }
}
