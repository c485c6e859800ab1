import { spawnSync } from "node:child_process";
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { PassThrough } from "node:stream";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { capture } from "../../../cli/run/capture.ts";
import { readCached, writeCached } from "../../../cli/run/filter-cache.ts";
import { messageReader } from "../../../cli/run/framing.ts";
import { startLauncher } from "../../../cli/run/launcher.ts";
import { enums } from "../../../policy/wire/wire.gen.ts";

let folder = "";
const at = (name: string) => join(folder, name);
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "belljar-launching-"));
});
afterEach(() => rmSync(folder, { recursive: true }));

const framed = (kind: number, payload: string) => {
  const header = Buffer.alloc(8);
  header.writeUInt32LE(kind, 0);
  header.writeUInt32LE(payload.length, 4);
  return Buffer.concat([header, Buffer.from(payload)]);
};

describe("messages of the launcher", () => {
  const all = Buffer.concat([framed(1, "tty"), framed(2, ""), framed(3, "record")]);
  test.each([1, 3, 8, 100])("come whole, however the stream is cut (%i bytes a chunk)", (size) => {
    const seen: string[] = [];
    const read = messageReader(({ kind, payload }) => seen.push(`${kind}:${Buffer.from(payload).toString()}`));
    for (let start = 0; start < all.length; start += size) read(all.subarray(start, start + size));
    expect(seen).toEqual(["terminal:tty", "output:", "record:record"]);
  });
  test.each([0, enums.MessageKind.length, 0xffffffff])("of an unknown kind are refused: %i", (kind) => {
    expect(() => messageReader(() => undefined)(framed(kind, "x"))).toThrow("unknown form");
  });
  test("of an impossible length are refused before they are waited for", () => {
    const header = Buffer.alloc(8);
    header.writeUInt32LE(3, 0);
    header.writeUInt32LE(0x7fffffff, 4);
    expect(() => messageReader(() => undefined)(header)).toThrow("unknown form");
  });
});

describe("the filter cache", () => {
  const key = "0123456789abcdef";
  const bytes = new Uint8Array([1, 2, 3]);
  const cache = () => at("cache/filters");
  test("gives back what was kept, in a private folder, and leaves no other file", () => {
    expect(readCached(cache(), key)).toBeNull();
    expect(writeCached(cache(), key, bytes)).toBe(true);
    expect(readCached(cache(), key)).toEqual(bytes);
    expect(readdirSync(cache())).toEqual([key]);
    expect(statSync(cache()).mode & 0o777).toBe(0o700);
  });
  test.each<[string, () => void]>([
    [
      "cut short",
      () => writeFileSync(at("cache/filters/0123456789abcdef"), readFileSync(at("cache/filters/0123456789abcdef")).subarray(0, -1)),
    ],
    ["changed", () => writeFileSync(at("cache/filters/0123456789abcdef"), readFileSync(at("cache/filters/0123456789abcdef")).fill(9, 14))],
    ["empty", () => writeFileSync(at("cache/filters/0123456789abcdef"), "")],
    ["huge", () => writeFileSync(at("cache/filters/0123456789abcdef"), Buffer.alloc(1 << 20))],
    ["writable by others", () => chmodSync(at("cache/filters/0123456789abcdef"), 0o666)],
    [
      "a link",
      () => {
        rmSync(at("cache/filters/0123456789abcdef"));
        writeCached(at("cache/filters"), "fedcba9876543210", bytes);
        symlinkSync("fedcba9876543210", at("cache/filters/0123456789abcdef"));
      },
    ],
  ])("does not believe a file that is %s", (_what, spoil) => {
    writeCached(cache(), key, bytes);
    spoil();
    expect(readCached(cache(), key)).toBeNull();
    expect(writeCached(cache(), key, bytes)).toBe(true);
    expect(readCached(cache(), key)).toEqual(bytes);
  });
  test("does not believe another key's file under this name", () => {
    writeCached(cache(), key, bytes);
    renameSync(join(cache(), key), join(cache(), "fedcba9876543210"));
    expect(readCached(cache(), "fedcba9876543210")).toBeNull();
    // The control: under its own name it is believed.
    renameSync(join(cache(), "fedcba9876543210"), join(cache(), key));
    expect(readCached(cache(), key)).toEqual(bytes);
  });
  test.each<[string, () => void]>([
    ["a folder", () => mkdirSync(join(cache(), key), { recursive: true })],
    ["a pipe without a writer", () => spawnSync("mkfifo", [join(cache(), key)])],
  ])("reads no further where there is %s", (_what, make) => {
    mkdirSync(cache(), { recursive: true });
    make();
    expect(existsSync(join(cache(), key))).toBe(true);
    expect(readCached(cache(), key)).toBeNull();
  });
  test("does not grow: the oldest give way", () => {
    const keyOf = (i: number) => `key-${String(i).padStart(16, "0")}`;
    for (let i = 0; i < 70; i++) {
      writeCached(cache(), keyOf(i), bytes);
      utimesSync(join(cache(), keyOf(i)), 1000 + i, 1000 + i);
    }
    writeCached(cache(), keyOf(70), bytes);
    expect(readdirSync(cache()).sort()).toEqual(Array.from({ length: 64 }, (_, i) => keyOf(i + 7)));
  });
  test("that cannot be used is no failure", () => {
    writeFileSync(at("file"), "");
    expect(writeCached(at("file/filters"), key, bytes)).toBe(false);
    expect(readCached(at("file/filters"), key)).toBeNull();
    expect(writeCached(cache(), "../escape-escape-escape", bytes)).toBe(false);
    expect(existsSync(at("cache"))).toBe(false);
  });
});

test("captured output is bounded, exactly", async () => {
  const stream = new PassThrough();
  const captured = capture(stream, 5);
  stream.write("abc");
  stream.write("defg");
  stream.end("h");
  await new Promise((resolve) => stream.once("end", resolve));
  expect(Buffer.from(captured.bytes()).toString()).toBe("abcde");
});

describe("a launcher", () => {
  const start = async (launcher: string) => {
    const started = await startLauncher({ launcher, targets: ["ignore", "pipe", "ignore"], detached: true });
    await started.begin({ sandboxBytes: new Uint8Array(8), execBytes: new Uint8Array(8), scope: null });
    return started;
  };
  const script = (text: string) => {
    writeFileSync(at("launcher"), `#!/bin/sh\n${text}\n`, { mode: 0o755 });
    return at("launcher");
  };
  test("that is not there is our failure, with the reason", async () => {
    await expect(start(at("absent"))).rejects.toMatchObject({
      code: "launcher-failed",
      message: `starting the launcher: '${at("absent")}': no such file or directory`,
    });
  });
  test("gets both parts on descriptor 3, and an empty environment", async () => {
    const run = await start(script("head -c 16 <&3 | wc -c; env | grep -v -e ^PWD= -e ^SHLVL= -e ^_="));
    const out = capture(run.stdout as NonNullable<typeof run.stdout>, 1000);
    await run.outcome;
    expect(Buffer.from(out.bytes()).toString().trim()).toBe("16");
  });
  test("that dies leaves no record, and says how", async () => {
    const run = await start(script("kill -9 $$"));
    expect(await run.outcome).toMatchObject({ record: null, signal: "SIGKILL", exitCode: null, problem: null });
  });
  test("hears of a cancel, and of the end of the lifeline", async () => {
    const waits = "head -c 16 <&3 >/dev/null; head -c 1 <&3; exec cat <&3";
    const run = await start(script(waits));
    const out = capture(run.stdout as NonNullable<typeof run.stdout>, 10);
    run.cancel();
    await new Promise((resolve) => run.stdout?.once("data", resolve));
    run.drop();
    expect(await run.outcome).toMatchObject({ record: null, exitCode: 0 });
    expect(Buffer.from(out.bytes()).toString()).toBe("C");
  });
  test("that gets no scope is not given its plan, and ends", async () => {
    const run = await startLauncher({ launcher: script("head -c 16 <&3 | wc -c"), targets: ["ignore", "pipe", "ignore"], detached: true });
    const out = capture(run.stdout as NonNullable<typeof run.stdout>, 10);
    const scope = { unit: "belljar-run-0-nowhere.scope", path: "/sys/fs/cgroup/nowhere" };
    await expect(run.begin({ sandboxBytes: new Uint8Array(8), execBytes: new Uint8Array(8), scope })).rejects.toMatchObject({
      code: "limit-unenforceable",
      message: expect.stringMatching(/^making a cgroup: the user's manager of systemd: 'belljar-run-0-nowhere\.scope': /),
    });
    expect(await run.outcome).toMatchObject({ record: null, exitCode: 0 });
    expect(Buffer.from(out.bytes()).toString().trim()).toBe("0");
  });
  test("that was killed before it had its scope is a launcher that was killed", async () => {
    const run = await startLauncher({ launcher: script("kill -9 $$"), targets: ["ignore", "pipe", "ignore"], detached: true });
    await run.begin({
      sandboxBytes: new Uint8Array(8),
      execBytes: new Uint8Array(8),
      scope: { unit: "belljar-run-0-x.scope", path: "/x" },
    });
    expect(await run.outcome).toMatchObject({ record: null, signal: "SIGKILL" });
  });
  test("that talks nonsense is not listened to", async () => {
    const run = await start(script("printf 'AAAABBBBCCCC' >&3; cat <&3 >/dev/null"));
    expect(await run.outcome).toMatchObject({ record: null, problem: "the launcher sent a message of unknown form" });
  });
});
