// The library with a run server: it starts no launchers, and gives what it gives without.
import { PassThrough } from "node:stream";
import { describe, expect } from "vitest";
import { needs } from "../../helpers/abilities.ts";
import { until } from "../../helpers/deadline.ts";
import { type Api, load, ownLaunchers, setEnvironment } from "../../helpers/library.ts";
import { type PoolHandle, runtimeFolder, servePool } from "../../helpers/pool.ts";
import { childrenOf } from "../../helpers/serve.ts";

const shell = (text: string): readonly string[] => ["sh", "-c", text];

/** A pool, and a sandbox that finds it. */
async function served(
  args: readonly string[],
  options: Api.OpenOptions = {},
): Promise<{ readonly pool: PoolHandle; readonly sandbox: Api.Sandbox }> {
  const pool = await servePool(args);
  setEnvironment(pool.env);
  const { Sandbox } = await load();
  return { pool, sandbox: await Sandbox.open(options) };
}

describe("a sandbox of the library's with a server", () => {
  needs("userns")("gives the same as without, for verdicts, streams, files, limits and variables", async () => {
    const { sandbox } = await served(["-p", "judge"], { profile: "judge", env: { A: "1" } });
    const own = await (await load()).Sandbox.open({ profile: "judge", env: { A: "1" }, server: "none" });
    const cases: readonly [string, Api.SandboxRunOptions][] = [
      ["cat; echo $A $B; pwd; cat in; echo made >out", { stdin: "from stdin\n", env: { B: "2" }, files: { in: "in\n" }, outputs: ["out"] }],
      ["read x || echo no input; exit 3", {}],
      ["kill -SEGV $$", {}],
      ["ulimit -n", { limits: { openFiles: 40 } }],
      ["while :; do :; done", { limits: { cpuTime: "100ms" } }],
      ["sleep 60", { limits: { wallTime: "200ms" } }],
      ["yes", { limits: { output: 1000 } }],
      ["nosuchprogram", {}],
    ];
    for (const [text, options] of cases) {
      const one = await sandbox.run(shell(text), options);
      expect(ownLaunchers(), text).toEqual([]);
      const other = await own.run(shell(text), options);
      const said = ({ report, stdout, stderr, outputs, warnings }: typeof one) => ({
        ...{
          stdout: stdout.slice(0, 1000),
          stderr,
          outputs,
          warnings,
          verdict: report.verdict,
          exitCode: report.exitCode,
          signal: report.signal,
        },
        ...{ message: report.message, limits: report.limits, enforcement: report.enforcement, sandbox: report.sandbox },
      });
      expect(said(one), text).toEqual(said(other));
    }
    await own.close();
    await sandbox.close();
  });

  needs("userns")("moves megabytes both ways, no faster than they are taken", async () => {
    const { sandbox } = await served([]);
    const bytes = Buffer.alloc(5_000_000, "0123456789");
    const { stdout } = await sandbox.run(["cat"], { stdin: bytes, encoding: "buffer" });
    expect(Buffer.compare(stdout, bytes)).toBe(0);
    let given = 0;
    async function* source(): AsyncGenerator<Uint8Array> {
      for (; given < 200; given++) yield Buffer.alloc(65_536);
    }
    const slow = new PassThrough({ highWaterMark: 1 });
    const run = sandbox.run(["cat"], { stdin: source(), onStdout: slow });
    await until(() => given > 0, { what: "the source to be asked" });
    // That nothing more is asked for has no event: time enough for all of it, were nobody held up.
    await new Promise((resolve) => setTimeout(resolve, 200));
    expect(given).toBeLessThan(100);
    let size = 0;
    slow.on("data", (chunk: Buffer) => {
      size += chunk.length;
    });
    expect((await run).report.verdict).toBe("ok");
    await until(() => size === 200 * 65_536, { what: "the last byte" });
    await sandbox.close();
  });

  needs("userns")("cancels a run, also one that takes no input and whose output nobody takes", async () => {
    const { sandbox } = await served([]);
    const never = () => new Promise<void>(() => undefined);
    for (const [command, options] of [
      [["sleep", "60"], {}],
      [["sleep", "60"], { stdin: Buffer.alloc(1_000_000) }],
      [["yes"], { onStdout: never }],
    ] as const) {
      const stop = new AbortController();
      const run = sandbox.run(command, { ...options, signal: stop.signal });
      setTimeout(() => stop.abort(), 150);
      const { report } = await run;
      expect([report.verdict, report.time.wallMs === null], command.join(" ")).toEqual(["cancelled", false]);
    }
    await sandbox.close();
  });

  needs("userns")("runs eight at a time, each in a sandbox of its own", async () => {
    const { sandbox } = await served(["--size", "3"], { concurrency: 8 });
    const results = await Promise.all(Array.from({ length: 40 }, (_, i) => sandbox.run(shell(`ls -A; echo ${i} > mine; cat mine`))));
    expect(results.map(({ stdout }) => stdout)).toEqual(results.map((_, i) => `${i}\n`));
    await sandbox.close();
  });

  needs("userns")("that goes away makes its own, and keeps spares where it is to", async () => {
    const { pool, sandbox } = await served(["--size", "1"], { warm: 1 });
    process.kill(pool.server(), "SIGKILL");
    expect((await sandbox.run(["echo", "still"])).stdout).toBe("still\n");
    await pool.ended;
    expect((await sandbox.run(["echo", "there"])).stdout).toBe("there\n");
    await sandbox.close();
  });

  needs("userns")("in the middle of a run throws what is ours, and tries nothing again", async () => {
    const { pool, sandbox } = await served(["--size", "1"]);
    let out = "";
    const run = sandbox.run(shell("echo ready; sleep 60"), {
      onStdout: (chunk) => {
        out += Buffer.from(chunk).toString();
      },
    });
    await until(() => out === "ready\n", { what: "the program" });
    for (const launcher of childrenOf(pool.server())) process.kill(launcher, "SIGKILL");
    await expect(run).rejects.toMatchObject({ code: "launcher-failed", message: "running the launcher: it ended without a record" });
    await sandbox.close();
  });

  needs("userns")("is told which, or none", async () => {
    const pool = await servePool(["--size", "1"]);
    setEnvironment({ XDG_RUNTIME_DIR: runtimeFolder() });
    const { Sandbox } = await load();
    const sandbox = await Sandbox.open({ server: pool.path as `/${string}` });
    expect((await sandbox.run(["echo", "one"])).stdout).toBe("one\n");
    expect(ownLaunchers()).toEqual([]);
    await sandbox.close();
    await expect(Sandbox.open({ server: "/no/such/pool" })).rejects.toMatchObject({ code: "usage" });
    await expect(Sandbox.open({ server: "pool" as "auto" })).rejects.toMatchObject({ code: "usage" });
    setEnvironment(pool.env);
    const alone = await Sandbox.open({ server: "none" });
    const run = alone.run(["sleep", "0.2"]);
    await until(() => ownLaunchers().length === 1, { what: "a launcher" });
    await run;
    await alone.close();
  });
});
