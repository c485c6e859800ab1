// Streams of sandbox.run(): back-pressure on both sides, and what becomes of sources and takers that fail or never answer.
import { createHash, randomBytes } from "node:crypto";
import { readFileSync } from "node:fs";
import { PassThrough, Readable, Writable } from "node:stream";
import { describe, expect } from "vitest";
import { needs } from "../helpers/abilities.ts";
import { until, within } from "../helpers/deadline.ts";
import { type Api, openSandbox, ownLaunchers } from "../helpers/library.ts";

const shell = (text: string): readonly string[] => ["sh", "-c", text];
const mebibyte = 1 << 20;

const open = (options: Api.OpenOptions = {}) =>
  openSandbox({ profile: "judge", limits: { wallTime: "25s", cpuTime: "20s", output: "1G" }, ...options });

/** Resident memory of a process. */
const residentBytes = (pid: number): number =>
  Number(/^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1] ?? 0) * 1024;

/** Waits until a figure stays the same. */
async function untilStill(read: () => number): Promise<number> {
  let last = -1;
  let same = 0;
  await until(
    () => {
      const now = read();
      same = now === last ? same + 1 : 0;
      last = now;
      return same >= 40;
    },
    { what: "a figure that stays the same", timeoutMs: 15_000 },
  );
  return last;
}

describe("a taker of output", () => {
  // Says on stderr how many mebibytes it has written.
  const flood = (mebibytes: number) => shell(`i=0; while [ $i -lt ${mebibytes} ]; do head -c 1M /dev/zero; i=$((i+1)); echo >&2; done`);

  needs("userns")(
    "that is slow holds the program up; memory stays bounded in this process and in the supervisor; nothing is lost",
    async () => {
      const sandbox = await open();
      let goOn = () => {};
      const mayGoOn = new Promise<void>((resolve) => {
        goOn = resolve;
      });
      let [taken, written] = [0, 0];
      const before = process.memoryUsage.rss();
      const running = sandbox.run(flood(200), {
        onStdout: async (chunk) => {
          taken += chunk.length;
          await mayGoOn;
        },
        onStderr: (chunk) => {
          written += chunk.length;
        },
      });
      await until(() => taken > 0, { what: "the first bytes", timeoutMs: 10_000 });
      expect(await untilStill(() => written)).toBeLessThanOrEqual(2);
      expect(taken).toBeLessThan(mebibyte);
      expect(process.memoryUsage.rss() - before).toBeLessThan(50 * mebibyte);
      const [launcher] = ownLaunchers();
      expect(residentBytes(launcher as number)).toBeLessThan(32 * mebibyte);
      goOn();
      const { report, stdout } = await running;
      expect(report).toMatchObject({ verdict: "ok", output: { stdoutBytes: 200 * mebibyte, truncated: false } });
      expect({ taken, written, stdout }).toEqual({ taken: 200 * mebibyte, written: 200, stdout: "" });
      expect(process.memoryUsage.rss() - before).toBeLessThan(100 * mebibyte);
    },
    60_000,
  );

  needs("userns")("that is a Writable is drained, not ended, and can be used for the next run; no listener stays on it", async () => {
    const sandbox = await open();
    const hash = createHash("sha256");
    const slow = new Writable({
      highWaterMark: 1024,
      write: (chunk: Buffer, _encoding, done) => {
        hash.update(chunk);
        setImmediate(done);
      },
    });
    const listeners = () => slow.eventNames().map((name) => [name, slow.listenerCount(name)]);
    const before = listeners();
    for (let i = 0; i < 12; i++) {
      const { report } = await sandbox.run(shell("yes | head -c 300000"), { onStdout: slow });
      expect(report.verdict).toBe("ok");
      expect([slow.destroyed, slow.writableEnded]).toEqual([false, false]);
    }
    expect(listeners()).toEqual(before);
    await new Promise<void>((resolve) => slow.end(resolve));
    expect(hash.digest("hex")).toBe(createHash("sha256").update("y\n".repeat(150_000).repeat(12)).digest("hex"));
  });

  needs("userns")("that throws, or is destroyed, ends the run, and that is told with its error", async () => {
    const sandbox = await open();
    const thrown = new Error("no room");
    const throws = () => {
      throw thrown;
    };
    for (const onStdout of [throws, async () => throws()]) {
      const failing = sandbox.run(shell("echo x; sleep 20"), { onStdout });
      await expect(within(failing, { what: "the end", timeoutMs: 10_000 })).rejects.toMatchObject({
        code: "stream-failed",
        message: "passing on stdout: no room",
        cause: thrown,
      });
    }
    const breaks: Writable = new Writable({ write: () => breaks.destroy(thrown) });
    const broken = sandbox.run(["yes"], { onStderr: () => undefined, onStdout: breaks });
    await expect(within(broken, { what: "the end", timeoutMs: 10_000 })).rejects.toMatchObject({ code: "stream-failed", cause: thrown });
  });

  needs("userns")("that never answers is not waited for after an abort; its run is cancelled", async () => {
    const sandbox = await open();
    for (const onStdout of [() => new Promise(() => undefined), new Writable({ highWaterMark: 1, write: () => undefined })]) {
      const controller = new AbortController();
      const running = sandbox.run(shell("yes"), { onStdout, signal: controller.signal, onStderr: () => undefined });
      await until(() => ownLaunchers().length > 0, { what: "a launcher" });
      controller.abort();
      const { report } = await within(running, { what: "the end after an abort", timeoutMs: 10_000 });
      expect(report.verdict).toBe("cancelled");
      if (onStdout instanceof Writable) expect(onStdout.destroyed).toBe(false);
    }
  });

  needs("userns")("that never answers is not waited for either when the program has ended before the abort", async () => {
    const sandbox = await open();
    const controller = new AbortController();
    const running = sandbox.run(["echo", "x"], { onStdout: () => new Promise(() => undefined), signal: controller.signal });
    await until(() => ownLaunchers().length > 0, { what: "a launcher" });
    await until(() => ownLaunchers().length === 0, { what: "its end" });
    controller.abort();
    const { report } = await within(running, { what: "the end after an abort", timeoutMs: 10_000 });
    expect(report).toMatchObject({ verdict: "ok", exitCode: 0 });
  });

  needs("userns")("gets bytes as they come; the other stream is captured beside it", async () => {
    const sandbox = await open();
    const seen: string[] = [];
    let answer = () => {};
    const answered = new Promise<void>((resolve) => {
      answer = resolve;
    });
    async function* input() {
      await answered;
      yield "go\n";
    }
    const { stderr, report } = await sandbox.run(shell("echo ready; read a; echo $a >&2"), {
      stdin: input(),
      onStdout: (chunk) => {
        seen.push(Buffer.from(chunk).toString());
        answer();
      },
    });
    expect({ seen, stderr, verdict: report.verdict }).toEqual({ seen: ["ready\n"], stderr: "go\n", verdict: "ok" });
  });
});

describe("a source of input", () => {
  needs("userns")("passes as it is, from an iterable, a Readable, a string, bytes", async () => {
    const sandbox = await open();
    const bytes = randomBytes(3 * mebibyte + 17);
    const digest = `${createHash("sha256").update(bytes).digest("hex")}  -\n`;
    async function* pieces() {
      for (let at = 0; at < bytes.length; at += 100_000) yield bytes.subarray(at, at + 100_000);
    }
    for (const stdin of [bytes, new Uint8Array(bytes), pieces(), Readable.from(pieces()), Readable.from([bytes])])
      expect((await sandbox.run(["sha256sum"], { stdin })).stdout).toBe(digest);
    async function* texts() {
      yield "ä";
      yield "€\n";
    }
    for (const stdin of ["ä€\n", texts(), Readable.from(texts()).setEncoding("utf8")])
      expect((await sandbox.run(["cat"], { stdin })).stdout).toBe("ä€\n");
  });

  needs("userns")("is read no faster than the program reads, and let go when nobody reads any more", async () => {
    const sandbox = await open();
    let [given, ended] = [0, false];
    async function* endless() {
      try {
        for (;;) {
          given++;
          yield Buffer.alloc(65_536);
        }
      } finally {
        ended = true;
      }
    }
    let goOn = () => {};
    const still = new Promise<void>((resolve) => {
      goOn = resolve;
    });
    const running = sandbox.run(shell("head -c 1 >/dev/null; echo x; exec sleep 20"), {
      stdin: endless(),
      onStdout: goOn,
      limits: { wallTime: "3s" },
    });
    await still;
    // What the kernel and Node hold between the two is less than a mebibyte.
    expect(await untilStill(() => given)).toBeLessThan(32);
    expect((await running).report.verdict).toBe("wall-time-limit");
    await until(() => ended, { what: "the end of the iterator" });
    const readable = Readable.from(endless());
    const { report } = await sandbox.run(["true"], { stdin: readable });
    expect(report.verdict).toBe("ok");
    await until(() => readable.destroyed, { what: "the end of the Readable" });
  });

  needs("userns")("that never gives anything does not keep a run that has ended", async () => {
    const sandbox = await open();
    async function* silent(): AsyncGenerator<string> {
      await new Promise(() => undefined);
      yield "";
    }
    for (const stdin of [silent(), new PassThrough()]) {
      const { report } = await within(sandbox.run(["true"], { stdin }), { what: "the end of the run", timeoutMs: 10_000 });
      expect(report.verdict).toBe("ok");
    }
  });

  needs("userns")("is let go when the program closes its input and runs on", async () => {
    const sandbox = await open();
    const source = new PassThrough();
    const feeding = setInterval(() => source.write("more\n"), 5);
    const running = sandbox.run(shell("exec <&-; echo closed; sleep 1"), { stdin: source });
    await until(() => source.destroyed, { what: "the end of the source", timeoutMs: 10_000 });
    expect(ownLaunchers().length).toBe(1);
    clearInterval(feeding);
    expect((await running).report.verdict).toBe("ok");
  });

  needs("userns")("that fails ends the run, and that is told with its error", async () => {
    const sandbox = await open();
    const thrown = new Error("lost");
    async function* fails() {
      yield "a\n";
      throw thrown;
    }
    async function* nonsense(): AsyncGenerator<string> {
      yield 5 as unknown as string;
    }
    const broken = new PassThrough();
    for (const stdin of [fails(), Readable.from(fails()), broken]) {
      const failing = sandbox.run(["sleep", "20"], { stdin });
      // Before its turn has come.
      if (stdin === broken) broken.destroy(thrown);
      await expect(within(failing, { what: "the end", timeoutMs: 10_000 })).rejects.toMatchObject({
        code: "stream-failed",
        message: "reading stdin: lost",
        cause: thrown,
      });
    }
    await expect(sandbox.run(["sleep", "20"], { stdin: nonsense() })).rejects.toMatchObject({
      code: "stream-failed",
      message: "reading stdin: a chunk is neither a string nor bytes",
    });
  });
});
