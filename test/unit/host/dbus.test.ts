import { mkdtempSync, rmSync } from "node:fs";
import { createServer, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, onTestFinished, test } from "vitest";
import { converse, type DbusMessage, decodeMessage, encodeCall, encodeUnit, messageKinds, messageLength } from "../../../cli/host/dbus.ts";

const call = { path: "/p", interface: "a.b", member: "M", signature: "s", body: Buffer.from("\x01\0\0\0x\0") };

/** A message as the other side writes it: header fields of strings, a reply's serial, and a body of strings. */
function message(kind: number, fields: Readonly<Record<number, string | number>>, body: readonly string[] = []): Buffer {
  const parts: Buffer[] = [];
  const size = () => parts.reduce((sum, part) => sum + part.length, 0);
  const pad = (to: number) => parts.push(Buffer.alloc((to - (size() % to)) % to));
  const uint32 = (value: number) => {
    pad(4);
    parts.push(Buffer.from(Uint32Array.of(value).buffer));
  };
  const string = (text: string) => {
    uint32(text.length);
    parts.push(Buffer.from(`${text}\0`));
  };
  for (const [code, value] of Object.entries(fields)) {
    pad(8);
    const type = typeof value === "number" ? "u" : code === "8" ? "g" : "s";
    parts.push(Buffer.from([Number(code), 1]), Buffer.from(`${type}\0`));
    if (typeof value === "number") uint32(value);
    else if (type === "g") parts.push(Buffer.from([value.length]), Buffer.from(`${value}\0`));
    else string(value);
  }
  const header = Buffer.concat(parts.splice(0));
  for (const text of body) string(text);
  const content = Buffer.concat(parts);
  const start = Buffer.from(Uint32Array.of(content.length, 7, header.length).buffer);
  return Buffer.concat([Buffer.from([0x6c, kind, 0, 1]), start, header, Buffer.alloc((8 - (header.length % 8)) % 8), content]);
}

const reply = message(messageKinds.reply, { 5: 1, 8: "o" }, ["/job/1"]);
const removed = (unit: string) => message(messageKinds.signal, { 3: "JobRemoved", 8: "oss" }, ["/job/1", unit, "done"]);

describe("bytes", () => {
  test("a call, as busctl sends it", () => {
    const bytes = encodeCall(call, 1);
    expect(messageLength(bytes)).toBe(bytes.length);
    expect(decodeMessage(bytes)).toMatchObject({ kind: 1, member: "M", strings: ["x"] });
    // Fields begin at multiples of 8, and the length in the header counts no padding after the last.
    expect(bytes.readUInt32LE(12)).toBe(16 * 3 + 8 - 1);
  });

  test("a unit's properties: variants, arrays of structures, 64-bit alignment", () => {
    const bytes = encodeUnit("u", "fail", {
      A: { type: "b", value: true },
      B: { type: "t", value: 5n },
      C: { type: "au", value: [1, 2] },
      D: { type: "s", value: "d" },
    });
    const hex = [
      ...["0100000075000000", "040000006661696c00000000"], // "u", "fail"
      "52000000", // bytes of the structures: those of the length itself and of the padding around do not count
      ...["0100000041000162", "0000000001000000"],
      ...["0100000042000174", "0000000000000000", "0500000000000000"],
      ...["0100000043000261", "7500000008000000", "0100000002000000"],
      ...["0100000044000173", "0000000001000000", "64000000"],
      "00000000", // the empty array
    ];
    expect(bytes.toString("hex")).toBe(hex.join(""));
  });

  test.each([
    ["big-endian", Buffer.from([0x42, 2, 0, 1, ...Buffer.alloc(12)]), "another protocol"],
    ["another version", Buffer.from([0x6c, 2, 0, 2, ...Buffer.alloc(12)]), "another protocol"],
    ["too long", Buffer.from([0x6c, 2, 0, 1, 0xff, 0xff, 0xff, 0x7f, ...Buffer.alloc(8)]), "announces a message of"],
  ])("%s", (_name, bytes, reason) => expect(() => messageLength(bytes)).toThrow(reason));

  test("every shortened message is refused, never read beyond its end", () => {
    for (let length = 16; length < reply.length; length++)
      expect(() => decodeMessage(reply.subarray(0, length)), String(length)).toThrow(/ends too early|out of range/);
  });

  test("what is no string ends the reading of a body", () => {
    const other = message(messageKinds.reply, { 5: 1, 8: "sas" }, ["first", "second"]);
    expect(decodeMessage(other).strings).toEqual(["first"]);
  });
});

/** A server that says this to whoever connects; null: it closes. */
async function serve(talk: (socket: Socket) => void): Promise<string> {
  const dir = mkdtempSync(join(tmpdir(), "belljar-dbus-"));
  const path = join(dir, "socket");
  const sockets: Socket[] = [];
  const server = createServer((socket) => {
    sockets.push(socket);
    socket.on("error", () => undefined);
    talk(socket);
  });
  onTestFinished(() => {
    for (const socket of sockets) socket.destroy();
    server.close();
    rmSync(dir, { recursive: true });
  });
  await new Promise<void>((resolve) => server.listen(path, resolve));
  return path;
}

const ask = (socket: string, until: (message: DbusMessage) => boolean, silenceMs = 5000) =>
  converse({ socket, uid: 7, call, silenceMs }, until);

describe("converse", () => {
  test("authenticates, calls, and hears signals of others, in whatever pieces they come", async () => {
    const start = `\0AUTH EXTERNAL ${Buffer.from("7").toString("hex")}\r\nBEGIN\r\n`;
    let heard: Buffer = Buffer.alloc(0);
    const socket = await serve((peer) =>
      peer.on("data", (chunk: Buffer) => {
        heard = Buffer.concat([heard, chunk]);
        if (heard.length < start.length + encodeCall(call, 1).length) return;
        const all = Buffer.concat([Buffer.from("OK 0123\r\n"), removed("other"), reply, removed("mine")]);
        for (let at = 0; at < all.length; at += 5) peer.write(all.subarray(at, at + 5));
      }),
    );
    const seen: DbusMessage[] = [];
    await ask(socket, (one) => seen.push(one) > 0 && one.strings[1] === "mine");
    expect(seen.map(({ kind, replySerial, strings }) => [kind, replySerial, strings.length])).toEqual([
      [messageKinds.signal, null, 3],
      [messageKinds.reply, 1, 1],
      [messageKinds.signal, null, 3],
    ]);
    expect(heard.subarray(0, start.length).toString()).toBe(start);
    expect(decodeMessage(heard.subarray(start.length))).toMatchObject({ kind: 1, member: "M" });
  });

  test.each([
    ["refuses", (peer: Socket) => peer.write("REJECTED EXTERNAL\r\n"), "refuses this user"],
    ["closes", (peer: Socket) => peer.end("OK 1\r\n"), "closes the connection without an answer"],
    ["talks otherwise", (peer: Socket) => peer.write("OK 1\r\nHTTP/1.1 400 Bad Request\r\n\r\n"), "another protocol"],
    ["keeps silent", () => undefined, "says nothing for 0.2 s"],
  ])("a server that %s", async (_name, talk, reason) => {
    await expect(ask(await serve(talk), () => false, 200)).rejects.toThrow(reason);
  });

  test("what the listener throws ends it", async () => {
    const socket = await serve((peer) => peer.write(Buffer.concat([Buffer.from("OK 1\r\n"), reply])));
    await expect(
      ask(socket, () => {
        throw new Error("no");
      }),
    ).rejects.toThrow("no");
  });

  test("one that talks of other things is waited for; an abort ends that", async () => {
    const aborting = new AbortController();
    let told = 0;
    const socket = await serve((peer) => {
      peer.write("OK 1\r\n");
      const timer = setInterval(() => peer.write(removed("other")), 50);
      peer.on("close", () => clearInterval(timer));
    });
    const asked = converse({ socket, uid: 7, call, silenceMs: 250, signal: aborting.signal }, () => {
      told += 1;
      if (told === 10) aborting.abort();
      return false;
    });
    await expect(asked).rejects.toThrow("nobody waits for it any more");
    expect(told).toBe(10);
  });

  test("nobody listens", async () => {
    await expect(ask(join(tmpdir(), "belljar-no-such-socket"), () => true)).rejects.toMatchObject({ code: "ENOENT" });
  });
});
