/** What is tried on a run server itself: from within a sandbox that has its folder, at its path, and by clients that do not behave. */
import { spawn, spawnSync } from "node:child_process";
import { existsSync, lstatSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { connect } from "node:net";
import { join } from "node:path";
import { describe, expect, onTestFinished } from "vitest";
import { encodeExec } from "../../policy/wire/index.ts";
import { needs } from "../helpers/abilities.ts";
import { until, within } from "../helpers/deadline.ts";
import { bind, encodePlan, launch, launcherPath, sandboxPlan } from "../helpers/launcher.ts";
import { tempDir } from "../helpers/places.ts";
import {
  childrenOf,
  command,
  connectRun,
  type Server,
  type ServerOptions,
  served,
  serverRunId,
  shell,
  startServer,
} from "../helpers/serve.ts";

const ready = needs("userns");

async function openServer(options: ServerOptions = {}): Promise<Server> {
  const server = await startServer(options);
  onTestFinished(() => server.stop(), 60_000);
  return server;
}

const descriptorsOf = (pid: number): number => readdirSync(`/proc/${pid}/fd`).length;

describe("a program in a sandbox that has the server's folder", () => {
  /** Asks for a run as a client does, and prints what comes. */
  const client = `
import socket, sys
s = socket.socket(socket.AF_UNIX)
s.settimeout(20)
s.connect(sys.argv[1])
print("connected")
try:
    s.sendall(bytes.fromhex(sys.argv[2]))
    print(len(s.recv(65536)))
except OSError as error:
    print(type(error).__name__)
`;
  const asked = Buffer.from(encodeExec(shell("echo ran"))).toString("hex");

  needs("userns", "python3")("reaches the socket, and gets no run", async () => {
    const server = await openServer();
    const args = ["-c", client, server.socket, asked];
    const outside = spawnSync("python3", args, { encoding: "utf8", timeout: 20_000, killSignal: "SIGKILL" });
    expect(outside.stdout).toMatch(/^connected\n[1-9]\d*\n$/); // the control
    for (const flags of [["readOnly"], []] as const) {
      const plan = sandboxPlan({}, [bind(server.dir, "/pool", flags)]);
      const { stdout } = await launch(plan, command(["python3", "-c", client, "/pool/s", asked]));
      expect(stdout).toMatch(/^connected\n(0|ConnectionResetError|BrokenPipeError)\n$/);
    }
    expect((await served(server.socket, shell("echo fine"))).stdout).toBe("fine\n");
  });

  needs("userns", "python3")("that is one of its own sandboxes gets none either", async () => {
    const dir = tempDir("pool");
    const server = await openServer({ sandbox: { filesystem: sandboxPlan({}, [bind(dir, "/pool", [])]).filesystem } });
    // The folder of the socket is not known before the server is there: the program finds it where the test puts a name for it.
    const { stdout } = await served(server.socket, command(["python3", "-c", client, "/pool/s", asked]));
    expect(stdout).toBe("");
    renameSync(server.socket, join(dir, "s"));
    const second = await served(join(dir, "s"), command(["python3", "-c", client, "/pool/s", asked]));
    expect(second.stdout).toMatch(/^connected\n(0|ConnectionResetError|BrokenPipeError)\n$/);
  });

  ready("finds no descriptor of the server's or of its client's", async () => {
    const server = await openServer();
    const { stdout } = await served(server.socket, shell("ls -l /proc/self/fd | grep -c socket; ls /proc/self/fd | wc -l"));
    expect(stdout).toBe("0\n4\n"); // three streams, and the folder that ls reads
  });
});

ready("a program sees nothing of how its server was started: where its folder is, what its plan is called", async () => {
  const server = await openServer();
  const { stdout } = await served(server.socket, shell("cat /proc/1/cmdline | tr '\\0' ' '"));
  expect(stdout).toMatch(/^\S+ serve +$/);
  expect(readFileSync(`/proc/${server.pid}/cmdline`, "utf8")).toContain(server.socket); // its own says it to those outside
});

describe("at the server's path", () => {
  const plan = (dir: string): string => {
    const path = join(dir, "plan");
    writeFileSync(path, encodePlan(sandboxPlan({ runId: serverRunId }), command(["/bin/false"], { parked: true })));
    return path;
  };
  const refused = (dir: string, socket: string): string => {
    const args = ["serve", plan(dir), "--socket", socket];
    const { status, stderr } = spawnSync(launcherPath, args, { encoding: "utf8", env: {}, timeout: 20_000, killSignal: "SIGKILL" });
    expect(status).toBeGreaterThan(0);
    return stderr;
  };

  ready("a file, a folder and a link stay what they are", () => {
    const dir = tempDir("serve");
    const [file, folder, link, target] = ["file", "folder", "link", "target"].map((name) => join(dir, name)) as [
      string,
      string,
      string,
      string,
    ];
    writeFileSync(file, "mine");
    mkdirSync(folder);
    writeFileSync(target, "mine too");
    symlinkSync(target, link);
    for (const path of [file, folder, link]) expect(refused(dir, path)).toContain("making the socket");
    expect(readFileSync(file, "utf8")).toBe("mine");
    expect(lstatSync(folder).isDirectory()).toBe(true);
    expect([lstatSync(link).isSymbolicLink(), readFileSync(target, "utf8")]).toEqual([true, "mine too"]);
  });
  ready("a link to nothing is not followed", () => {
    const dir = tempDir("serve");
    const elsewhere = join(tempDir("elsewhere"), "socket");
    symlinkSync(elsewhere, join(dir, "s"));
    expect(refused(dir, join(dir, "s"))).toContain("making the socket");
    expect(existsSync(elsewhere)).toBe(false);
  });
  ready("a folder that others may enter or write to is refused", () => {
    const dir = tempDir("serve");
    for (const mode of [0o755, 0o770, 0o701]) {
      const folder = join(dir, `folder-${mode}`);
      mkdirSync(folder);
      spawnSync("chmod", [mode.toString(8), folder], { timeout: 10_000, killSignal: "SIGKILL" });
      expect(refused(dir, join(folder, "s"))).toContain("0700");
    }
  });
  ready("another server that listens is left alone", async () => {
    const server = await openServer();
    expect(refused(tempDir("serve"), server.socket)).toContain("making the socket");
    expect((await served(server.socket, shell("echo fine"))).stdout).toBe("fine\n");
  });
  ready("what has taken the socket's place is not removed when the server ends", async () => {
    const server = await startServer();
    rmSync(server.socket);
    writeFileSync(server.socket, "somebody else's");
    server.child.kill("SIGTERM");
    expect(await within(server.ended, { what: "the server's end", timeoutMs: 20_000 })).toBe(0);
    expect(readFileSync(server.socket, "utf8")).toBe("somebody else's");
    rmSync(server.dir, { recursive: true });
  });
  ready("one that a killed server has left is taken over", async () => {
    const server = await openServer();
    server.child.kill("SIGKILL");
    await server.ended;
    expect(existsSync(server.socket)).toBe(true);
    const next = spawn(launcherPath, ["serve", join(server.dir, "plan"), "--socket", server.socket], { env: {}, stdio: "ignore" });
    onTestFinished(() => void next.kill("SIGKILL"));
    const said = async (): Promise<boolean> => (await served(server.socket, shell("echo fine"))).stdout === "fine\n";
    await until(said, { what: "the next server", timeoutMs: 20_000 });
    next.kill("SIGTERM");
    await within(new Promise((resolve) => next.once("exit", resolve)), { what: "its end", timeoutMs: 20_000 });
    expect(existsSync(server.socket)).toBe(false);
  });
});

describe("a client", () => {
  /** Sends the plan and input, each with descriptors, one byte at a time where there are many. */
  const sender = `
import array, os, socket, struct, sys
part = bytes.fromhex(sys.argv[2])
s = socket.socket(socket.AF_UNIX)
s.connect(sys.argv[1])
fds = [os.open("/dev/null", os.O_RDONLY) for _ in range(200)]
rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", fds))]
for at in range(0, len(part), 64):
    s.sendmsg([part[at:at + 64]], rights)
for _ in range(50):
    s.sendmsg([struct.pack("II", int(sys.argv[3]), 1) + b"x"], rights)
s.sendmsg([struct.pack("II", int(sys.argv[3]), 0)], rights)
said = b""
while True:
    more = s.recv(65536)
    if not more: break
    said += more
print(b"x" * 50 in said)
`;
  needs("userns", "python3")("that sends descriptors with all that it sends has a run as any other, and nobody keeps them", async () => {
    const server = await openServer({ size: 1 });
    await server.ready(1);
    const before = descriptorsOf(server.pid);
    const part = Buffer.from(encodeExec(shell("cat; ls /proc/self/fd | wc -l"))).toString("hex");
    for (let round = 0; round < 3; round++) {
      const args = ["-c", sender, server.socket, part, "7"];
      const { stdout, stderr } = spawnSync("python3", args, { encoding: "utf8", timeout: 30_000, killSignal: "SIGKILL" });
      expect(stdout, stderr).toBe("True\n");
    }
    await server.ready(1);
    await until(() => descriptorsOf(server.pid) === before, { what: "as many descriptors as before", timeoutMs: 20_000 });
  });

  ready("by the hundred, asking for nothing, holds up a run no longer than it stays", async () => {
    const server = await openServer({ size: 2, max: 6 });
    const sockets = Array.from({ length: 400 }, () => connect(server.socket).on("error", () => undefined));
    await until(() => sockets.every(({ connecting }) => !connecting), { what: "the connections", timeoutMs: 20_000 });
    const run = served(server.socket, shell("echo fine"));
    await until(() => server.members().length === 6, { what: "all sandboxes to be taken", timeoutMs: 20_000 });
    for (const socket of sockets) socket.destroy();
    expect((await run).stdout).toBe("fine\n");
    expect(server.members().length).toBeLessThanOrEqual(6);
  });

  ready(
    "that is stopped while its run floods it keeps no limit from ending that run",
    async () => {
      const server = await openServer({ size: 1, exec: { outputBytes: 1n << 40n } });
      const exec = Buffer.from(encodeExec(shell("while :; do echo flood; done", { wallMs: 500n, outputBytes: 1n << 40n }))).toString("hex");
      const script = `
      const socket = require("node:net").connect(process.argv[1]);
      socket.on("connect", () => { socket.pause(); socket.write(Buffer.from(process.argv[2], "hex")); process.stdout.write("sent"); });
      setInterval(() => {}, 1000);`;
      const client = spawn(process.execPath, ["-e", script, server.socket, exec], { stdio: ["ignore", "pipe", "inherit"] });
      onTestFinished(() => void client.kill("SIGKILL"));
      await new Promise((resolve) => client.stdout.once("data", resolve));
      client.kill("SIGSTOP");
      await until(() => server.running().length === 1, { what: "the run", timeoutMs: 20_000 });
      const [launcher = 0] = server.running();
      await until(() => childrenOf(launcher).flatMap(childrenOf).length === 0, { what: "the end of the program", timeoutMs: 30_000 });
      expect((await served(server.socket, shell("echo fine"))).stdout).toBe("fine\n");
      // Of the record nobody can be told: it is not waited for for ever.
      await until(() => !server.members().includes(launcher), { what: "the end of its launcher", timeoutMs: 60_000 });
    },
    150_000,
  );

  ready(
    "that sends its exec part a byte at a time is not waited for for ever",
    async () => {
      const server = await openServer({ size: 1 });
      const bytes = encodeExec(shell("echo late"));
      const connection = connectRun(server.socket, bytes.subarray(0, 40));
      let at = 40;
      const timer = setInterval(() => connection.socket.write(bytes.subarray(at, ++at)), 500);
      onTestFinished(() => clearInterval(timer));
      const { record, stdout } = await within(connection.result, { what: "the end of its patience", timeoutMs: 60_000 });
      expect([record?.errorStep, stdout]).toEqual(["readPlan", ""]);
    },
    90_000,
  );
});

describe("too few descriptors", () => {
  ready("are told of, by whoever had none left; the server goes on trying, and ends when it is asked to", async () => {
    const dir = tempDir("serve");
    writeFileSync(join(dir, "plan"), encodePlan(sandboxPlan({ runId: serverRunId }), command(["/bin/false"], { parked: true })));
    const args = ["serve", join(dir, "plan"), "--socket", join(dir, "s"), "--size", "1"];
    const ends = new Set<string>();
    for (let limit = 4; limit < 30; limit++) {
      const server = spawn("sh", ["-c", `ulimit -n ${limit}; exec "$@"`, "sh", launcherPath, ...args], {
        env: {},
        stdio: ["ignore", "ignore", "pipe"],
      });
      onTestFinished(() => void server.kill("SIGKILL"));
      let said = "";
      server.stderr.setEncoding("utf8").on("data", (text: string) => {
        said += text;
      });
      const ended = new Promise<number | null>((resolve) => server.once("close", resolve));
      const isReady = (): boolean => childrenOf(server.pid ?? 0).some((pid) => childrenOf(pid).flatMap(childrenOf).length > 0);
      await until(() => said !== "" || isReady(), { what: `a word of a server with ${limit} descriptors`, timeoutMs: 20_000 });
      const wasReady = said === "";
      server.kill("SIGTERM");
      const code = await within(ended, { what: "the server's end", timeoutMs: 20_000 });
      // How many may be on their way between processes is counted for the whole user: of that, which of them had none left is not certain.
      expect(said, `${limit} descriptors`).toMatch(wasReady ? /^$/ : /^belljar-launch: (?:making|opening|reading|starting)/);
      expect(said, `${limit} descriptors`).not.toMatch(/without a word|step 50/);
      ends.add(wasReady ? "ready" : code === 0 ? "tries" : "does not start");
      if (code === 0) expect(existsSync(join(dir, "s"))).toBe(false);
    }
    expect([...ends]).toEqual(["does not start", "tries", "ready"]);
  });
});
