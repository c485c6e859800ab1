/** A run server, and what only root can be or see: another user who connects, and the memory of what waits for its next client. */
import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { chmodSync, chownSync, existsSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, onTestFinished } from "vitest";
import { encodeExec } from "../../policy/wire/index.ts";
import { needs } from "../helpers/abilities.ts";
import { until, within } from "../helpers/deadline.ts";
import { encodePlan, sandboxPlan } from "../helpers/launcher.ts";
import { occurrences } from "../helpers/memory.ts";
import { childrenOf, command, serverRunId, shell } from "../helpers/serve.ts";

interface Place {
  readonly uid: number;
  readonly gid: number;
  readonly tree: string;
  readonly node: string;
}
const place = JSON.parse(process.env["BELLJAR_TEST_PLACE"] ?? "{}") as Place;

/** One of the ordinary user's. */
async function startAsUser(size: number): Promise<{ readonly socket: string; readonly dir: string; readonly child: ChildProcess }> {
  const dir = mkdtempSync(join(tmpdir(), "belljar-serve-"));
  const [plan, socket] = [join(dir, "plan"), join(dir, "s")];
  const maps = {
    uidMaps: [{ containerId: 1000, hostId: place.uid, size: 1 }],
    gidMaps: [{ containerId: 1000, hostId: place.gid, size: 1 }],
  };
  writeFileSync(plan, encodePlan(sandboxPlan({ runId: serverRunId, ...maps }), command(["/bin/false"], { parked: true })));
  chownSync(dir, place.uid, place.gid);
  const child = spawn(join(place.tree, "native/build/belljar-launch"), ["serve", plan, "--socket", socket, "--size", String(size)], {
    ...{ uid: place.uid, gid: place.gid, env: {}, stdio: "ignore", cwd: "/" },
  });
  const ended = new Promise((resolve) => child.once("exit", resolve));
  onTestFinished(async () => {
    child.kill("SIGTERM");
    await within(ended, { what: "the server's end", timeoutMs: 20_000 }).finally(() => child.kill("SIGKILL"));
    rmSync(dir, { recursive: true });
  });
  await until(() => existsSync(socket), { what: "the server's socket", timeoutMs: 20_000 });
  return { socket, dir, child };
}

/** What somebody hears who connects and asks for a run: text, or the error of the connection. */
function ask(socket: string, exec: Uint8Array, { uid, gid }: { readonly uid: number; readonly gid: number }): string {
  const script = `
    const socket = require("node:net").connect(process.argv[1]);
    socket.on("connect", () => socket.write(Buffer.from(process.argv[2], "hex")));
    socket.on("data", (part) => process.stdout.write(part));
    socket.on("end", () => socket.end());
    socket.on("error", (error) => process.stdout.write(error.code));`;
  const args = ["-e", script, socket, Buffer.from(exec).toString("hex")];
  const { stdout } = spawnSync(place.node, args, {
    uid,
    gid,
    cwd: "/",
    env: {},
    encoding: "latin1",
    timeout: 20_000,
    killSignal: "SIGKILL",
  });
  return stdout;
}

const others = [
  { uid: 65_534, gid: 65_534 },
  { uid: 0, gid: 0 },
];

needs("root", "userns")(
  "another user gets no run of a server's, even where its folder and its socket are open to all; nor does root",
  async () => {
    const { socket, dir } = await startAsUser(1);
    const exec = encodeExec(shell("echo ran"));
    expect(ask(socket, exec, place)).toContain("ran\n");
    expect(ask(socket, exec, { uid: 65_534, gid: 65_534 })).toBe("EACCES");
    chmodSync(dir, 0o755);
    chmodSync(socket, 0o777);
    for (const other of others) expect(ask(socket, exec, other)).toMatch(/^(|EPIPE|ECONNRESET)$/);
    expect(ask(socket, exec, place)).toContain("ran\n");
  },
);

needs("root", "userns")("what an earlier client sent is in no memory of the server or of a sandbox that waits", async () => {
  const { socket, child } = await startAsUser(2);
  const secret = `told-${Math.random()}`;
  const run = encodeExec(shell(`sleep 60; : ${secret}`, { env: [`SECRET=${secret}`] }));
  const server = child.pid ?? -1;
  const all = (): readonly number[] =>
    childrenOf(server).flatMap((member) => [member, ...childrenOf(member), ...childrenOf(member).flatMap(childrenOf)]);
  for (let round = 0; round < 4; round++)
    expect(ask(socket, encodeExec(shell("echo ran", { env: [`SECRET=${secret}`] })), place)).toContain("ran\n");
  // Those of the last run are ending; the new ones stay.
  let before = "";
  const stay = (): boolean => {
    const [last, now] = [before, all()];
    before = now.join();
    return now.length === 6 && before === last;
  };
  await until(stay, { what: "two sandboxes that wait", timeoutMs: 20_000, everyMs: 300 });
  for (const pid of [server, ...all()]) expect(occurrences(pid, secret), `process ${pid}`).toBe(0);
  // The control: where it runs, its launcher has it.
  const client = spawn(
    place.node,
    [
      "-e",
      `require("node:net").connect(process.argv[1]).write(Buffer.from(process.argv[2], "hex"))`,
      socket,
      Buffer.from(run).toString("hex"),
    ],
    { uid: place.uid, gid: place.gid, cwd: "/", env: {}, stdio: "ignore" },
  );
  onTestFinished(() => void client.kill("SIGKILL"));
  await until(() => childrenOf(server).some((member) => occurrences(member, secret) > 0), {
    what: "the secret in a launcher",
    timeoutMs: 20_000,
  });
});
