/** The run server: one connection, one run, one sandbox that was made before. */
import { statSync } from "node:fs";
import { afterAll, beforeAll, describe, expect } from "vitest";
import { encodeExec } from "../../policy/wire/index.ts";
import { needs } from "../helpers/abilities.ts";
import { until, within } from "../helpers/deadline.ts";
import { launch, sandboxPlan } from "../helpers/launcher.ts";
import { command, connectRun, frame, type Served, type Server, served, shell, startServer } from "../helpers/serve.ts";

const ready = needs("userns");
const ended = (result: Promise<Served>): Promise<Served> => within(result, { what: "the end of a run", timeoutMs: 30_000 });

let server: Server;
beforeAll(async () => {
  server = await startServer();
  await server.ready(2);
});
afterAll(() => server.stop());

describe("a run through a server", () => {
  ready("is what a run from scratch is", async () => {
    const exec = shell('read line; echo "$0 $HOME $line"; echo oops >&2; exit 7', { wallMs: 9000n });
    const run = await served(server.socket, exec, "given\n");
    const cold = await launch(sandboxPlan(), exec, "given\n");
    expect(run).toMatchObject({ stdout: "/bin/sh /work given\n", stderr: "oops\n", verdict: "exit-nonzero" });
    expect(run.stdout).toBe(cold.stdout);
    const figures = ({ record }: { readonly record: unknown }) => {
      const { verdict, exitCode, signal, evidence, mechanisms, stdoutBytes, stderrBytes } = record as Record<string, unknown>;
      return { verdict, exitCode, signal, evidence, mechanisms, stdoutBytes, stderrBytes };
    };
    expect(figures(run)).toEqual(figures(cold));
    expect(run.record?.memoryPeak).toBeGreaterThan(0n);
    expect(run.record?.wallNs).toBeGreaterThan(0n);
    // Its record comes before its sandbox is removed: nobody knows yet, and nobody claims to.
    expect([cold.record?.leftovers, run.record?.leftovers]).toEqual([0, 0xffffffff]);
  });
  ready("has a sandbox that no other has had", async () => {
    for (let i = 0; i < 6; i++)
      expect((await served(server.socket, shell("ls /work /tmp; echo x >/work/mine; echo x >/tmp/mine"))).stdout).toBe("/tmp:\n\n/work:\n");
  });
  ready("runs beside others", async () => {
    const results = await Promise.all(Array.from({ length: 12 }, (_, i) => served(server.socket, shell(`cat; exit ${i}`), `run ${i}`)));
    expect(results.map(({ stdout, record }) => [stdout, record?.exitCode])).toEqual(results.map((_, i) => [`run ${i}`, i]));
  });
  ready("leaves a socket that only this user may open", () => {
    expect(statSync(server.socket).mode & 0o777).toBe(0o600);
  });
  ready("says `parked` to a client that waits before it sends its exec part", async () => {
    const connection = connectRun(server.socket, null);
    await connection.came("parked");
    connection.socket.destroy();
  });
  ready("knows a command that is not there", async () => {
    const { verdict, record } = await served(server.socket, command(["no-such-command"]));
    expect([verdict, record?.startFailure]).toEqual(["start-failed", "notFound"]);
  });
  ready("waits for nobody that a program leaves behind", async () => {
    const { stdout, verdict } = await served(server.socket, shell("(sleep 60) & printf done"));
    expect([stdout, verdict]).toEqual(["done", "ok"]);
  });
});

describe("streams of a server's run", () => {
  ready("carry megabytes both ways, to the byte", async () => {
    const text = "0123456789abcdef".repeat(1 << 18);
    const run = await served(server.socket, command(["/bin/cat"], { outputBytes: 64n << 20n }), text);
    expect(run.verdict).toBe("ok");
    expect(run.stdout.length).toBe(text.length);
    expect(run.stdout === text).toBe(true);
    expect(run.taken).toBeGreaterThan(text.length - 65_536);
  });
  ready("wait for a client that does not read, and lose nothing", async () => {
    const connection = connectRun(
      server.socket,
      shell("head -c 4000000 /dev/zero | tr '\\0' x; printf y >&2", { outputBytes: 64n << 20n }),
    );
    connection.socket.pause();
    connection.send("stdin");
    await until(() => connection.socket.bytesRead > 0 || connection.socket.readableLength >= 0, { what: "the run to begin" });
    connection.socket.resume();
    const run = await ended(connection.result);
    expect([run.stdout.length, run.stderr, run.verdict]).toEqual([4_000_000, "y", "ok"]);
  });
  ready("flood until the limit, and no byte further", async () => {
    const run = await served(server.socket, shell("yes & yes >&2", { outputBytes: 300_000n }));
    expect(run.verdict).toBe("output-limit");
    expect(Math.max(run.stdout.length, run.stderr.length)).toBe(300_000);
  });
  ready("end before the program does, and the client hears of it", async () => {
    const connection = connectRun(server.socket, shell("exec >&-; cat >/dev/null; exit 3"));
    await connection.came("stdout");
    expect(connection.heard()).toMatchObject({ stdout: "", record: null });
    connection.send("stdin");
    expect((await ended(connection.result)).record?.exitCode).toBe(3);
  });
  ready("that a program does not read hold up no cancel", async () => {
    const connection = connectRun(server.socket, shell("sleep 60"));
    connection.input(Buffer.alloc(65_536));
    connection.send("cancel");
    expect((await ended(connection.result)).verdict).toBe("cancelled");
  });
  ready("that nobody reads any more end the program as a broken pipe does", async () => {
    const connection = connectRun(server.socket, shell("trap 'exit 9' PIPE; while :; do echo x; done"));
    await connection.came("stdout");
    const errno = Buffer.alloc(4);
    errno.writeUInt32LE(32);
    connection.send("stdout", errno);
    const { verdict, record } = await ended(connection.result);
    expect([verdict, record?.exitCode ?? record?.signal]).toEqual(["exit-nonzero", 9]);
  });
  ready("that the client could not write for another reason end the run as our failure", async () => {
    const connection = connectRun(server.socket, shell("while :; do echo x; done"));
    await connection.came("stdout");
    const errno = Buffer.alloc(4);
    errno.writeUInt32LE(28);
    connection.send("stdout", errno);
    const { verdict, record } = await ended(connection.result);
    expect([verdict, record?.errorStep, record?.errorErrno]).toEqual(["sandbox-error", "deliver", 28]);
  });
});

describe("a client that wants no more", () => {
  ready("cancels by a frame", async () => {
    const connection = connectRun(server.socket, shell("echo on; sleep 60"));
    await connection.came("stdout");
    connection.send("cancel");
    expect(await ended(connection.result)).toMatchObject({ verdict: "cancelled", stdout: "on\n" });
  });
  ready("cancels by closing its half, behind input that nobody reads", async () => {
    const connection = connectRun(server.socket, shell("echo on; sleep 60"));
    await connection.came("stdout");
    connection.input(Buffer.alloc(200_000));
    connection.socket.end();
    expect((await ended(connection.result)).verdict).toBe("cancelled");
  });
  ready("gets its record when it closed its half at once", async () => {
    const connection = connectRun(server.socket, shell("sleep 60"));
    connection.socket.end();
    expect((await ended(connection.result)).verdict).toBe("cancelled");
  });
  ready("goes away, and with it all of its run", async () => {
    const connection = connectRun(server.socket, shell("echo on; sleep 600"));
    await connection.came("stdout");
    const running = server.running();
    expect(running).not.toEqual([]);
    connection.socket.destroy();
    await until(() => !running.some((pid) => server.members().includes(pid)), {
      what: "the launcher of the run to end",
      timeoutMs: 10_000,
    });
  });
  ready("gets a stop signal's time when its plan has one", async () => {
    const own = await startServer({ exec: { stopSignal: 15 }, size: 1 });
    const connection = connectRun(
      own.socket,
      shell("trap 'echo bye; exit 0' TERM; echo on; while :; do sleep 0.01; done", { stopSignal: 15, stopMs: 20_000n }),
    );
    await connection.came("stdout");
    connection.send("cancel");
    expect(await ended(connection.result)).toMatchObject({ verdict: "cancelled", stdout: "on\nbye\n" });
    await own.stop();
  });
});

describe("nonsense", () => {
  ready("in place of an exec part is a sandbox-error, and runs nothing", async () => {
    const connection = connectRun(server.socket, Buffer.alloc(64, 7));
    const { verdict, record } = await ended(connection.result);
    expect([verdict, record?.errorStep]).toEqual(["sandbox-error", "checkPlan"]);
  });
  ready("of another task than the one that waits is refused", async () => {
    const { verdict, record, stdout } = await served(server.socket, shell("echo ran", { umask: 0 }));
    expect([verdict, record?.errorStep, stdout]).toEqual(["sandbox-error", "checkPlan", ""]);
  });
  for (const [what, bytes] of [
    ["a kind that clients do not send", [3, 0]],
    ["too long a frame", [7, 65_537]],
    ["a cancel with a payload", [8, 1]],
  ] as const)
    ready(`behind it ends the run: ${what}`, async () => {
      const connection = connectRun(server.socket, shell("sleep 60"));
      const header = Buffer.alloc(8);
      header.writeUInt32LE(bytes[0], 0);
      header.writeUInt32LE(bytes[1], 4);
      connection.socket.write(header);
      const { verdict, record } = await ended(connection.result);
      expect([verdict, record?.errorStep, record?.errorErrno]).toEqual(["sandbox-error", "supervise", 71]);
    });
  ready("as input behind the end of it ends the run", async () => {
    const connection = connectRun(server.socket, shell("sleep 60"));
    connection.send("stdin");
    connection.send("stdin", "more");
    expect((await ended(connection.result)).verdict).toBe("sandbox-error");
  });
});

describe("what a client sends", () => {
  ready("may come in pieces of any size", async () => {
    const connection = connectRun(server.socket, null);
    const bytes = Buffer.concat([encodeExec(command(["/bin/cat"])), frame("stdin", "in "), frame("stdin", "pieces"), frame("stdin")]);
    for (let at = 0; at < bytes.length; at += 7) {
      connection.socket.write(bytes.subarray(at, at + 7));
      await new Promise((resolve) => setImmediate(resolve));
    }
    expect(await ended(connection.result)).toMatchObject({ stdout: "in pieces", verdict: "ok" });
  });
});
