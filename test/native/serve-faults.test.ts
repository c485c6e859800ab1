/** A run server when things go wrong: who dies first, who never answers, and what is left then. */
import { existsSync, mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { connect } from "node:net";
import { join } from "node:path";
import { describe, expect, onTestFinished, test } from "vitest";
import type { CgroupHierarchy } from "../../policy/wire/wire.gen.ts";
import { needs } from "../helpers/abilities.ts";
import { until, within } from "../helpers/deadline.ts";
import { encodePlan, sandboxPlan } from "../helpers/launcher.ts";
import { tempDir } from "../helpers/places.ts";
import { seededRandom } from "../helpers/random.ts";
import {
  type Connection,
  childrenOf,
  command,
  connectRun,
  type Served,
  type Server,
  type ServerOptions,
  served,
  serverRunId,
  shell,
  startServer,
  startServerProcess,
} from "../helpers/serve.ts";

const ready = needs("userns");
const ended = (result: Promise<Served>): Promise<Served> => within(result, { what: "the end of a run", timeoutMs: 30_000 });
/** Whoever has to reap it may take its time. */
const isAlive = (pid: number): boolean => {
  try {
    return !/^State:\s+[ZX]/m.test(readFileSync(`/proc/${pid}/status`, "utf8"));
  } catch {
    return false;
  }
};
const gone = (pids: readonly number[], what: string) => until(() => !pids.some(isAlive), { what, timeoutMs: 20_000 });
const treeOf = (pid: number): readonly number[] => [pid, ...childrenOf(pid).flatMap(treeOf)];

async function own(options: ServerOptions = {}): Promise<Server> {
  const server = await startServer(options);
  onTestFinished(() => server.stop());
  await server.ready(Math.min(options.size ?? 2, options.max ?? 2));
  return server;
}

/** v1 folders of this user's, as a plan names them. */
function hierarchies(): readonly CgroupHierarchy[] {
  return ["memory", "pids"].map((controller) => ({
    version: 1,
    parent: `/sys/fs/cgroup/${controller}/belljar-${process.getuid?.()}`,
    controllers: controller,
  })) as unknown as readonly CgroupHierarchy[];
}
const cgroupsLeft = (pids: readonly number[]): readonly string[] => {
  const prefixes = pids.map((pid) => `belljar-run-${String(pid).padStart(10, "0")}-`);
  return hierarchies().flatMap(({ parent }) => readdirSync(parent).filter((name) => prefixes.some((prefix) => name.startsWith(prefix))));
};

describe("a server that is told to stop", () => {
  for (const signal of ["SIGTERM", "SIGINT", "SIGHUP"] as const)
    ready(`by ${signal} leaves nothing and exits 0`, async () => {
      const server = await startServer();
      await server.ready(2);
      const all = treeOf(server.pid);
      server.child.kill(signal);
      expect(await within(server.ended, { what: "the server's end", timeoutMs: 20_000 })).toBe(0);
      expect([all.filter(isAlive), existsSync(server.socket), server.said()]).toEqual([[], false, ""]);
      await server.stop();
    });
  ready("lets what runs finish, and takes nothing new", async () => {
    const server = await startServer();
    await server.ready(2);
    const running = connectRun(server.socket, shell("echo on; cat"));
    await running.came("stdout");
    server.child.kill("SIGTERM");
    await until(() => !existsSync(server.socket), { what: "the socket to go" });
    running.input("and off");
    running.send("stdin");
    expect(await ended(running.result)).toMatchObject({ stdout: "on\nand off", verdict: "ok" });
    expect(await within(server.ended, { what: "the server's end", timeoutMs: 20_000 })).toBe(0);
    await server.stop();
  });
  ready("cancels what runs when it is told twice", async () => {
    const server = await startServer();
    const running = connectRun(server.socket, shell("echo on; sleep 600"));
    await running.came("stdout");
    server.child.kill("SIGTERM");
    await until(() => !existsSync(server.socket), { what: "the socket to go" });
    server.child.kill("SIGTERM");
    expect((await ended(running.result)).verdict).toBe("cancelled");
    expect(await within(server.ended, { what: "the server's end", timeoutMs: 20_000 })).toBe(0);
    await server.stop();
  });
  ready("refuses who waits", async () => {
    const server = await startServer({ size: 1, max: 1 });
    const running = connectRun(server.socket, shell("echo on; cat"));
    await running.came("stdout");
    const waiting = connectRun(server.socket, shell("echo ran"));
    await new Promise((resolve) => waiting.socket.once("connect", resolve));
    server.child.kill("SIGTERM");
    expect((await ended(waiting.result)).kinds).toEqual(["refused"]);
    running.send("stdin");
    expect((await ended(running.result)).verdict).toBe("ok");
    await server.stop();
  });
});

describe("a server that is killed", () => {
  ready("takes what is ready with it; what runs finishes for its client", async () => {
    const server = await startServer({ size: 3 });
    await server.ready(3);
    const running = connectRun(server.socket, shell("echo on; cat; exit 5"));
    await running.came("stdout");
    await server.ready(3);
    const [mine = -1] = server.running();
    const waiting = server
      .members()
      .filter((pid) => pid !== mine)
      .flatMap(treeOf);
    process.kill(server.pid, "SIGKILL");
    await gone(waiting, "all that was ready to end");
    running.input("still here");
    running.send("stdin");
    expect(await ended(running.result)).toMatchObject({ stdout: "on\nstill here", verdict: "exit-nonzero" });
    await gone([mine], "the launcher of the run to end");
    await server.stop();
  });
  ready("leaves a socket that the next one takes over", async () => {
    const server = await startServer();
    process.kill(server.pid, "SIGKILL");
    await server.ended;
    expect(existsSync(server.socket)).toBe(true);
    const next = startServerProcess({ plan: join(server.dir, "plan"), socket: server.socket });
    const connection = await until(
      async () => {
        const one = connectRun(server.socket, shell("echo again"));
        one.send("stdin");
        const result = await ended(one.result);
        return result.record === null ? null : result;
      },
      { what: "a run through the next server", timeoutMs: 10_000 },
    );
    expect(connection.stdout).toBe("again\n");
    next.kill("SIGTERM");
    await new Promise((resolve) => next.once("close", resolve));
    await server.stop();
  });
  ready("that lives is not robbed of its socket", async () => {
    const server = await own();
    const second = startServerProcess({ plan: join(server.dir, "plan"), socket: server.socket });
    let text = "";
    second.stderr?.on("data", (part) => {
      text += String(part);
    });
    expect(await new Promise((resolve) => second.once("close", resolve))).toBe(1);
    expect(text).toMatch(/Address (already )?in use/);
    expect((await served(server.socket, shell("echo on"))).stdout).toBe("on\n");
  });
});

describe("a member that is killed", () => {
  ready("while it waits is replaced", async () => {
    const server = await own({ size: 2 });
    const parked = server.parked();
    for (const pid of parked) process.kill(pid, "SIGKILL");
    await gone(parked, "the members to be reaped");
    expect((await served(server.socket, shell("echo on"))).stdout).toBe("on\n");
    await server.ready(2);
  });
  ready("while its program runs ends the connection without a record, and nothing of the run is left", async () => {
    const server = await own();
    const running = connectRun(server.socket, shell("sleep 600 & echo on; sleep 600"));
    await running.came("stdout");
    const [mine = -1] = server.running();
    const tree = treeOf(mine);
    process.kill(mine, "SIGKILL");
    expect(await ended(running.result)).toMatchObject({ record: null, stdout: "on\n" });
    await gone(tree, "the tree of the run to end");
    expect((await served(server.socket, shell("echo next"))).stdout).toBe("next\n");
  });
  ready("at any moment: runs go on, each verdict is right or the connection ends without one", async () => {
    const random = seededRandom("members killed");
    const server = await own({ size: 3, max: 6 });
    const killed: number[] = [];
    const runs: Promise<Served>[] = [];
    for (let i = 0; i < 60; i++) {
      const connection = connectRun(server.socket, shell(`printf ${i}; exit ${i % 7}`));
      connection.send("stdin");
      runs.push(ended(connection.result));
      const members = server.members();
      const victim = members[Math.floor(random() * members.length)];
      if (random() < 0.4 && victim !== undefined && childrenOf(server.pid).includes(victim)) {
        killed.push(victim);
        process.kill(victim, "SIGKILL");
      }
      if (random() < 0.3) await Promise.race(runs.slice(-3));
    }
    for (const [i, { record, stdout, kinds }] of (await Promise.all(runs)).entries()) {
      if (record === null) continue;
      expect([stdout, record.exitCode, kinds.at(-1)], `run ${i}`).toEqual([`${i}`, i % 7, "record"]);
    }
    await server.ready(3);
    expect(server.said()).not.toContain("gc");
    await gone(
      killed.filter((pid) => !server.members().includes(pid)),
      "all who were killed to be reaped",
    );
  });
  needs("userns", "cgroup1")("leaves no cgroup", async () => {
    const server = await own({ size: 2, sandbox: { cgroups: hierarchies() } });
    const running = connectRun(server.socket, shell("echo on; sleep 600"));
    await running.came("stdout");
    await server.ready(2);
    const pids = [...server.running(), ...server.parked()];
    expect(cgroupsLeft(pids).length).toBe(2 * pids.length);
    for (const pid of pids) process.kill(pid, "SIGKILL");
    await ended(running.result);
    await until(() => cgroupsLeft(pids).length === 0, { what: "the cgroups to go", timeoutMs: 15_000 });
    expect(await served(server.socket, shell("echo next"))).toMatchObject({ stdout: "next\n", verdict: "ok" });
    expect(server.said()).toBe("");
  });
  needs("userns", "cgroup1")("has its limits, and its cgroup goes with it", async () => {
    const cgroupWrites = [{ limit: "memory", hierarchy: 0, file: "memory.limit_in_bytes", value: String(64 << 20), optional: false }];
    const server = await own({
      sandbox: { cgroups: hierarchies() },
      exec: { cgroupWrites: cgroupWrites as never, mechanisms: new Array(15).fill(8).with(2, 2) },
    });
    const limits = { cgroupWrites: cgroupWrites as never, mechanisms: new Array(15).fill(8).with(2, 2), memoryBytes: 64n << 20n };
    const hungry = await served(server.socket, shell("head -c 200000000 /dev/zero | tail -c 190000000 | wc -c", limits));
    expect(hungry.verdict).toBe("memory-limit");
    const { record } = await served(server.socket, shell("exit 0", limits));
    expect([record?.leftovers, (record?.memoryPeak ?? 0n) > 0n]).toEqual([0xffffffff, true]);
    await until(() => server.members().length === 2 && cgroupsLeft(server.members()).length === 4, {
      what: "cgroups of those that are ready, and no other",
    });
  });
});

describe("a client that is no help", () => {
  ready("goes away before there is a sandbox for it", async () => {
    const server = await own({ size: 1, max: 1 });
    const running = connectRun(server.socket, shell("echo on; cat"));
    await running.came("stdout");
    for (let i = 0; i < 20; i++) {
      const one = connect({ path: server.socket });
      await new Promise((resolve) => one.once("connect", resolve));
      one.destroy();
    }
    running.send("stdin");
    await ended(running.result);
    expect((await served(server.socket, shell("echo mine"))).stdout).toBe("mine\n");
  });
  ready("connects and goes, a hundred times", async () => {
    const server = await own({ size: 2, max: 4 });
    for (let i = 0; i < 100; i++) {
      const one = connect({ path: server.socket });
      one.on("error", () => undefined);
      await new Promise((resolve) => one.once("connect", resolve));
      if (i % 3 === 0) one.write("BELL");
      one.destroy();
    }
    expect((await served(server.socket, shell("echo mine"))).stdout).toBe("mine\n");
    await server.ready(2);
  });
  ready("never reads: a cancel ends its run all the same, and the sandbox goes when it does", async () => {
    const server = await own();
    const flood = connectRun(server.socket, shell("yes", { outputBytes: 1n << 30n }));
    flood.socket.pause();
    await until(() => server.running().length === 1, { what: "the program to run" });
    const [mine = -1] = server.running();
    flood.send("cancel");
    await until(() => server.running().length === 0, { what: "the program to end", timeoutMs: 10_000 });
    expect(isAlive(mine)).toBe(true);
    flood.socket.destroy();
    await gone([mine], "its launcher to end");
  });
  ready("never reads: the wall clock goes on", async () => {
    const server = await own();
    const flood = connectRun(server.socket, shell("yes", { outputBytes: 1n << 30n, wallMs: 300n }));
    flood.socket.pause();
    await until(() => server.running().length === 1, { what: "the program to run" });
    await until(() => server.running().length === 0, { what: "the program to end", timeoutMs: 10_000 });
    flood.socket.resume();
    expect((await ended(flood.result)).verdict).toBe("wall-time-limit");
  });
  ready("sends input long after the program has ended, and still gets the record", async () => {
    const server = await own();
    for (let i = 0; i < 20; i++) {
      const connection = connectRun(server.socket, shell("exit 4"));
      for (let part = 0; part < 40; part++) connection.input(Buffer.alloc(50_000));
      connection.send("stdin");
      expect((await ended(connection.result)).record?.exitCode).toBe(4);
    }
  });
});

describe("connections beyond what there is", () => {
  ready("wait their turn, first come, first served", async () => {
    const server = await own({ size: 1, max: 1 });
    const order: number[] = [];
    const first = connectRun(server.socket, shell("echo on; cat"));
    await first.came("stdout");
    const rest: Connection[] = [];
    for (let i = 0; i < 5; i++) {
      const one = connectRun(server.socket, shell("true"));
      await new Promise((resolve) => one.socket.once("connect", resolve));
      one.send("stdin");
      void one.result.then(() => order.push(i));
      rest.push(one);
    }
    first.send("stdin");
    await Promise.all(rest.map(({ result }) => ended(result)));
    expect(order).toEqual([0, 1, 2, 3, 4]);
  });
  ready("by the hundred are all served", async () => {
    const server = await own({ size: 2, max: 4 });
    const results = await Promise.all(Array.from({ length: 300 }, () => served(server.socket, shell("true", { wallMs: 60_000n }))));
    expect(results.filter(({ verdict }) => verdict !== "ok")).toEqual([]);
  });
});

describe("a sandbox that cannot be made", () => {
  ready("is told of, its clients are refused, and the server goes on trying", async () => {
    const dir = tempDir("serve");
    mkdirSync(join(dir, "there"));
    const entry = {
      kind: "bind",
      target: "/later",
      source: join(dir, "later"),
      flags: ["readOnly", "recursive"],
      content: new Uint8Array(),
      mode: 0o755,
      sizeBytes: 0n,
      inodes: 0n,
    } as const;
    const server = await startServer({ sandbox: { filesystem: [...sandboxPlan().filesystem, entry] } });
    onTestFinished(() => server.stop());
    expect((await served(server.socket, shell("echo ran"))).kinds).toEqual(["refused"]);
    expect(server.said()).toMatch(/^belljar-launch: making a sandbox: stage 2, step \d+, index \d+, .*later: No such file or directory$/m);
    mkdirSync(join(dir, "later"));
    await server.ready(2);
    expect((await served(server.socket, shell("echo ran"))).stdout).toBe("ran\n");
  });
});

describe("what is no plan of a server's", () => {
  const refused: readonly [string, () => ServerOptions, string][] = [
    ["no plan at all", () => ({ bytes: Buffer.from("nothing of the kind") }), "reading the plan"],
    ["an exec part that is no template", () => ({ exec: { parked: false } }), "is no template"],
    ["a name of another form", () => ({ sandbox: { runId: "belljar-run-1-x" } }), "its name"],
    ["a scratch folder that runs would share", () => ({ sandbox: { scratchPath: "/tmp/scratch" } }), "which runs would share"],
  ];
  for (const [what, options, reason] of refused)
    ready(`is refused: ${what}`, async () => {
      await expect(startServer(options())).rejects.toThrow(reason);
    });
  test("nor is a folder that others may enter a place for its socket", async () => {
    const dir = tempDir("serve");
    writeFileSync(join(dir, "plan"), encodePlan(sandboxPlan({ runId: serverRunId }), command(["/bin/true"], { parked: true })));
    mkdirSync(join(dir, "open"), { mode: 0o755 });
    expect(statSync(join(dir, "open")).mode & 0o77).not.toBe(0);
    const child = startServerProcess({ plan: join(dir, "plan"), socket: join(dir, "open", "s") });
    let text = "";
    child.stderr?.on("data", (part) => {
      text += String(part);
    });
    expect(await new Promise((resolve) => child.once("close", resolve))).toBe(1);
    expect(text).toContain("closed to all others");
  });
});
