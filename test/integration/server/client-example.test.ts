// docs/client.py, a client of a run server that knows nothing but the protocol's page and the table.
import { spawn } from "node:child_process";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { expect } from "vitest";
import { needs } from "../../helpers/abilities.ts";
import { within } from "../../helpers/deadline.ts";
import { root } from "../../helpers/places.ts";
import { judgePlan } from "../../helpers/plan-file.ts";
import { type Server, startServer } from "../../helpers/serve.ts";

/** The program's streams, and what the client tells of its end in its last line. */
async function ask({ socket }: Server, plan: string, stdin: string, ...command: readonly string[]) {
  const client = spawn("python3", [join(root, "docs/client.py"), join(root, "policy"), plan, socket, ...command], {
    timeout: 30_000,
    killSignal: "SIGKILL",
  });
  const said = { stdout: "", stderr: "" };
  client.stdout.on("data", (part) => {
    said.stdout += String(part);
  });
  client.stderr.on("data", (part) => {
    said.stderr += String(part);
  });
  client.stdin.on("error", () => undefined);
  client.stdin.end(stdin);
  await within(new Promise((resolve) => client.on("close", resolve)), { what: "the client's end", timeoutMs: 40_000 });
  const end = /\{.*\}\n$/.exec(said.stderr);
  if (end === null) throw new Error(`the client said: ${said.stderr}`);
  return { stdout: said.stdout, stderr: said.stderr.slice(0, end.index), ...(JSON.parse(end[0]) as object) };
}

needs("userns", "python3")("the Python client of the documentation runs programs", async () => {
  const plan = await judgePlan();
  const server = await startServer({ bytes: readFileSync(plan) });
  try {
    expect(await ask(server, plan, "through\n", "cat")).toMatchObject({ verdict: "ok", exitCode: 0, stdout: "through\n", stderr: "" });
    expect(await ask(server, plan, "", "sh", "-c", "echo out; echo err >&2; exit 7")).toMatchObject({
      verdict: "exit-nonzero",
      exitCode: 7,
      stdout: "out\n",
      stderr: "err\n",
    });
    expect(await ask(server, plan, "", "no-such-command")).toMatchObject({ verdict: "start-failed", exitCode: -1, wallMs: null });
    expect(await ask(server, plan, "", "tail", "/dev/zero")).toMatchObject({ verdict: "memory-limit" });
    expect(await ask(server, plan, "x".repeat(65_536), "wc", "-c")).toMatchObject({ verdict: "ok", stdout: "65536\n" });
  } finally {
    await server.stop();
  }
});
