/** One run over a connection, against a peer that says what the test has it say: protocol.md is what both go by. */
import { mkdtempSync, rmSync } from "node:fs";
import { createServer, type Server, type Socket } from "node:net";
import { constants, tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { type Message, messageOf, messageReader } from "../../../cli/run/framing.ts";
import { connectServer, type ServedLauncher } from "../../../cli/server/connection.ts";
import type { MessageKind } from "../../../policy/wire/wire.gen.ts";

const exec = Buffer.from("the exec part");
const plan = { sandboxBytes: new Uint8Array(), execBytes: exec, scope: null };
const number = (value: number): Buffer => {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32LE(value);
  return bytes;
};

let folder = "";
let server: Server;
let peer: Promise<Peer>;
const socket = () => join(folder, "socket");

/** What the client has said, and what is said to it. */
interface Peer {
  readonly socket: Socket;
  readonly say: (kind: MessageKind, payload?: Uint8Array) => void;
  /** The exec part, once it is there. */
  readonly exec: Promise<void>;
  /** The next frame. */
  readonly next: () => Promise<Message>;
  readonly gone: Promise<void>;
}

function peerOf(connection: Socket): Peer {
  const waiting: ((message: Message) => void)[] = [];
  const came: Message[] = [];
  let sayExec = () => {};
  const hasExec = new Promise<void>((resolve) => {
    sayExec = resolve;
  });
  let head = Buffer.alloc(0);
  const read = messageReader(
    (message) => {
      const taker = waiting.shift();
      if (taker === undefined) came.push(message);
      else taker(message);
    },
    { maxPayloadBytes: 65_536 },
  );
  connection.on("error", () => undefined);
  connection.on("data", (chunk: Buffer) => {
    if (head.length >= exec.length) return read(chunk);
    head = Buffer.concat([head, chunk]);
    if (head.length < exec.length) return;
    expect(head.subarray(0, exec.length)).toEqual(exec);
    sayExec();
    if (head.length > exec.length) read(head.subarray(exec.length));
  });
  return {
    socket: connection,
    say: (kind, payload) => void connection.write(messageOf(kind, payload)),
    exec: hasExec,
    next: () => new Promise((resolve) => (came.length > 0 ? resolve(came.shift() as Message) : waiting.push(resolve))),
    gone: new Promise((resolve) => connection.once("close", () => resolve())),
  };
}

beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), "belljar-connection-"));
  server = createServer();
  peer = new Promise((resolve) => server.once("connection", (connection) => resolve(peerOf(connection))));
  await new Promise<void>((resolve) => server.listen(socket(), resolve));
});
afterEach(async () => {
  (await Promise.race([peer, null]))?.socket.destroy();
  await new Promise((resolve) => server.close(resolve));
  rmSync(folder, { recursive: true });
});

const connected = (patienceMs = 5000) => connectServer({ socket: socket(), launcher: "/the/launcher", patienceMs });

/** A run that has begun. */
async function begun(): Promise<{ readonly run: ServedLauncher; readonly peer: Peer }> {
  const [run, other] = await Promise.all([
    connected(),
    peer.then((one) => {
      one.say("parked");
      return one;
    }),
  ]);
  if (run === null) throw new Error("no sandbox was taken");
  await run.begin(plan);
  await other.exec;
  return { run, peer: other };
}

const textOf = async (stream: ServedLauncher["stdout"]): Promise<string> => {
  const chunks: Buffer[] = [];
  for await (const chunk of stream ?? []) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks).toString();
};

describe("before anything has run", () => {
  test("a server that is not there has no sandbox", async () => {
    expect(await connectServer({ socket: `${socket()}.none`, launcher: "", patienceMs: 5000 })).toBeNull();
  });
  test.each<[string, (peer: Peer) => void]>([
    ["refuses", ({ say }) => say("refused")],
    ["goes away", ({ socket: its }) => void its.destroy()],
    ["talks nonsense", ({ socket: its }) => void its.write(Buffer.alloc(64, 0xff))],
  ])("nor has one that %s", async (_what, act) => {
    const run = connected();
    const other = await peer;
    act(other);
    expect(await run).toBeNull();
    await other.gone;
  });
  test("nor one that has none for longer than the run waits", async () => {
    expect(await connected(20)).toBeNull();
    await (await peer).gone;
  });
});

describe("a run", () => {
  test("has streams, messages and a record", async () => {
    const { run, peer: other } = await begun();
    run.stdin?.end("input");
    expect(Buffer.from((await other.next()).payload).toString()).toBe("input");
    expect(await other.next()).toMatchObject({ kind: "stdin", payload: { length: 0 } });
    for (const [kind, text] of [
      ["stdout", "a"],
      ["stderr", "x"],
      ["stdout", "b"],
      ["denial", "d"],
      ["sample", "s"],
      ["output", "o"],
      ["record", "r"],
    ] as const)
      other.say(kind, Buffer.from(text));
    const [stdout, stderr, outcome] = await Promise.all([textOf(run.stdout), textOf(run.stderr), run.outcome]);
    expect([stdout, stderr]).toEqual(["ab", "x"]);
    const bytes = (text: string) => Buffer.from(text);
    expect(outcome).toEqual({
      ...{ record: bytes("r"), outputs: [bytes("o")], denials: [bytes("d")], samples: [bytes("s")] },
      ...{ terminal: null, exitCode: null, signal: null, problem: null },
    });
    await other.gone;
  });

  test("that is cut off has no record, and a reason", async () => {
    const { run, peer: other } = await begun();
    other.say("stdout", Buffer.from("so far"));
    other.socket.end();
    const [stdout, , outcome] = await Promise.all([textOf(run.stdout), textOf(run.stderr), run.outcome]);
    expect(stdout).toBe("so far");
    expect(outcome).toMatchObject({ record: null, problem: "it ended without a record" });
  });

  test("sends no more input than the launcher has room for, and so can always be cancelled", async () => {
    const { run, peer: other } = await begun();
    let written = false;
    run.stdin?.write(Buffer.alloc(200_000, "i"), () => {
      written = true;
    });
    const first = await other.next();
    expect(first.payload.length).toBe(65_536);
    run.cancel();
    expect((await other.next()).kind).toBe("cancel");
    other.say("stdin", number(1000));
    expect((await other.next()).payload.length).toBe(1000);
    expect(written).toBe(false);
    other.say("stdin", number(65_536));
    expect((await other.next()).payload.length).toBe(65_536);
    other.say("stdin", number(65_536));
    expect((await other.next()).payload.length).toBe(65_536);
    other.say("stdin", number(65_536));
    expect((await other.next()).payload.length).toBe(200_000 - 3 * 65_536 - 1000 + 0);
    expect(written).toBe(true);
    run.drop();
    await other.gone;
  });

  test("takes no more output than is read, until somebody wishes for its end", async () => {
    const { run, peer: other } = await begun();
    const frame = messageOf("stdout", Buffer.alloc(65_536, "o"));
    let sent = 0;
    // More than the kernel keeps between the two.
    const frames = 64;
    for (let i = 0; i < frames; i++)
      other.socket.write(frame, () => {
        sent++;
      });
    const firstPart = await new Promise<number>((resolve) => {
      const look = (before: number) => setTimeout(() => (sent === before && sent > 0 ? resolve(sent) : look(sent)), 50);
      look(0);
    });
    expect(firstPart).toBeLessThan(frames);
    other.say("record", Buffer.from("r"));
    run.cancel();
    const [stdout, , outcome] = await Promise.all([textOf(run.stdout), textOf(run.stderr), run.outcome]);
    expect(stdout.length).toBe(frames * 65_536);
    expect(outcome.record).toEqual(Buffer.from("r"));
  });

  test("says of a stream that nobody reads any more, and of one that cannot be written", async () => {
    const { run, peer: other } = await begun();
    run.stdout?.destroy();
    expect(await other.next()).toEqual({ kind: "stdout", payload: number(constants.errno.EPIPE) });
    run.refuse("stderr", Object.assign(new Error("full"), { code: "ENOSPC" }));
    expect(await other.next()).toEqual({ kind: "stderr", payload: number(constants.errno.ENOSPC) });
    other.say("record", Buffer.from("r"));
    run.stderr?.resume();
    expect((await run.outcome).record).toEqual(Buffer.from("r"));
  });

  test("that is dropped closes the connection", async () => {
    const { run, peer: other } = await begun();
    run.stdout?.resume();
    run.stderr?.resume();
    run.drop();
    await other.gone;
    expect(await run.outcome).toMatchObject({ record: null });
  });
});
