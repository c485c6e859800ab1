// `belljar run` in a sandbox of a run server: the same report, words, streams, files and status as in one of its own.
import { spawnSync } from "node:child_process";
import { closeSync, openSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect } from "vitest";
import { needs } from "../../helpers/abilities.ts";
import { type BelljarOptions, belljarCommand, startBelljar } from "../../helpers/belljar.ts";
import { until } from "../../helpers/deadline.ts";
import { tempDir } from "../../helpers/places.ts";
import { bothWays, runWith, sameOf, servePool } from "../../helpers/pool.ts";

const shell = (script: string): readonly string[] => ["--", "sh", "-c", script];

const megabytes = Buffer.alloc(3_000_000, "0123456789abcdef\n");

const table: readonly (readonly [what: string, args: readonly string[], options?: BelljarOptions])[] = [
  ["success", ["--", "/bin/true"]],
  ["a status", shell("exit 3")],
  ["a signal", shell("kill -SEGV $$")],
  ["both outputs", shell("echo out; echo err >&2")],
  ["no such program", ["--", "nosuchprogram"]],
  ["no such path", ["--", "/no/such/program"]],
  ["what is no program", ["--", "/etc/hostname"]],
  ["a folder", ["--", "/usr"]],
  ["input", ["--", "cat"], { stdin: "some input\n" }],
  ["much input and output", ["--", "cat"], { stdin: megabytes }],
  ["input that is not read", ["--", "true"], { stdin: megabytes }],
  ["input that is half read", ["--", "head", "-c", "100"], { stdin: megabytes }],
  ["an output that was closed", shell("exec >&-; sleep 0.1; echo late >&2")],
  ["bytes that are no text", shell("printf '\\377\\000\\376'")],
  ["wall time", ["--wall-time", "300ms", "--", "sleep", "60"]],
  ["CPU time", ["--cpu-time", "200ms", ...shell("while :; do :; done")]],
  ["memory", ["--memory", "32M", "--", "python3", "-c", "x = bytearray(100 << 20)"]],
  ["processes", ["--processes", "4", ...shell("for i in 1 2 3 4 5 6 7 8; do sleep 1 & done; wait; exit 1")]],
  ["output", ["--output", "100k", "--", "yes"]],
  ["a full disk", shell("head -c 2G /dev/zero > big; exit 1")],
  ["open files", ["--open-files", "17", ...shell("ulimit -n; ulimit -Hn")]],
  ["file size", ["--file-size", "1k", ...shell("trap '' XFSZ; head -c 5000 /dev/zero > f; wc -c < f; exit 1")]],
  ["variables", ["-e", "A=1", "-e", "HOME=/tmp", ...shell("echo $A $HOME $PWD")]],
  ["a denied call", ["--", "unshare", "-r", "true"]],
  ["a daemon", shell("sleep 60 & echo done")],
  ["the document", ["--json", ...shell("echo text; echo more >&2; exit 4")]],
  ["silence", ["--quiet", ...shell("exit 5")]],
];

describe("a run through a server", () => {
  needs("userns")("is the same as one of its own", async () => {
    const pool = await servePool(["--size", "2"]);
    for (const [what, args, options] of table) {
      const [served, own] = await bothWays(pool, args, () => options ?? {});
      expect(sameOf(served), what).toEqual(sameOf(own));
    }
  });

  needs("userns")("copies files in and out, and reads and writes the files of its streams", async () => {
    const pool = await servePool();
    const dir = tempDir("files");
    writeFileSync(join(dir, "in.txt"), "from a file\n");
    const run = async (more: readonly string[], args: readonly string[]) => {
      const names = ["made", "out", "err", "both"];
      const content = () =>
        names.map((name) => {
          try {
            return readFileSync(join(dir, name), "utf8");
          } catch {
            return null;
          }
        });
      for (const name of names) writeFileSync(join(dir, name), "old");
      const result = await runWith(pool, [...more, ...args], { cwd: dir });
      return { same: sameOf(result), files: content(), served: result.served };
    };
    for (const args of [
      ["--in", "in.txt", "--out", "made", ...shell("cat in.txt > made; echo more >> made")],
      ["--in", "in.txt:sub/a", "--out", "sub/b:made", ...shell("mv sub/a sub/b")],
      ["--out", "made", "--", "true"],
      ["--out", "made", ...shell("ln -s /etc/passwd made")],
      ["--out", "made", "--out-max", "10", ...shell("seq 100 > made")],
      ["--stdin", "in.txt", "--stdout", "out", "--stderr", "err", ...shell("cat; echo problem >&2")],
      ["--stdout", "both", "--stderr", "both", ...shell("echo one; sleep 0.05; echo two >&2")],
      ["--stdin", "/dev/null", ...shell("cat; echo end")],
      ["--stdout", "/dev/null", "--", "echo", "away"],
      ["--stdout", "/dev/full", ...shell("echo more than there is room for; sleep 10")],
    ]) {
      const served = await run([], args);
      const own = await run(["--no-server"], args);
      expect([served.served, own.served]).toEqual([true, false]);
      expect(served.same, args.join(" ")).toEqual(own.same);
      expect(served.files, args.join(" ")).toEqual(own.files);
    }
  });

  needs("userns")("that ended before its output could not be written is our failure all the same", async () => {
    const pool = await servePool();
    const { code, served, report } = await runWith(pool, ["--stdout", "/dev/full", "--", "echo", "more than there is room for"]);
    expect([code, served, report?.verdict]).toEqual([125, true, "sandbox-error"]);
    expect(report?.message).toContain("writing the program's stdout to where it was to go: ENOSPC");
  });

  needs("userns")("ends with its reader, as any command in a pipeline", async () => {
    const pool = await servePool();
    for (const more of ["", "--no-server"]) {
      const script = `"$@" run -q ${more} -- yes | head -n 2; echo "$${"{"}PIPESTATUS[0]}"`;
      const env = { ...process.env, ...pool.env };
      const { stdout } = spawnSync("bash", ["-c", script, "bash", ...belljarCommand], {
        env,
        encoding: "utf8",
        timeout: 20_000,
        killSignal: "SIGKILL",
      });
      expect(stdout, more).toBe("y\ny\n141\n");
    }
  });

  needs("userns")("reads no more of a file than a run of its own might, and nothing before it has its sandbox", async () => {
    const pool = await servePool();
    const file = join(tempDir("input"), "in");
    writeFileSync(file, "line\n");
    const descriptor = openSync(file, "r");
    const { stdout, served } = await runWith(pool, ["--", "cat"], { stdin: { fd: descriptor } });
    closeSync(descriptor);
    expect([stdout, served]).toEqual(["line\n", true]);
  });

  needs("userns")("leaves the descriptors that others share with it as they were", async () => {
    const pool = await servePool();
    // Node's pipes are sockets, which cannot be opened again.
    const flags = "import fcntl; print([fcntl.fcntl(fd, fcntl.F_GETFL) & 0o4000 for fd in (0, 1, 2)])";
    const { stdout, stderr } = spawnSync("sh", ["-c", `"$@" run --verbose -- true; python3 -c '${flags}'`, "sh", ...belljarCommand], {
      env: { ...process.env, ...pool.env },
      encoding: "utf8",
      timeout: 20_000,
      killSignal: "SIGKILL",
    });
    expect(stderr).toContain("sandbox of");
    expect(stdout).toBe("[0, 0, 0]\n");
  });

  needs("userns")("waits for a reader that is slow, and loses nothing", async () => {
    const pool = await servePool();
    const run = startBelljar(["run", "--", "head", "-c", "3000000", "/dev/zero"], { env: pool.env });
    run.stdout.pause();
    // A slow reader is one that lets time go by; a shorter time would make the test easier, never wrong.
    await new Promise((resolve) => setTimeout(resolve, 300));
    run.stdout.resume();
    const { code, stdoutBytes } = await run.result;
    expect([code, stdoutBytes.length]).toEqual([0, 3_000_000]);
  });

  needs("userns")("can be cancelled at any time, also behind input that nobody reads", async () => {
    const pool = await servePool();
    for (const [args, stdin] of [
      [shell("echo ready; sleep 60"), ""],
      [shell("echo ready; sleep 60"), megabytes],
      [["--stop-signal", "TERM", ...shell("trap 'echo bye; exit 7' TERM; echo ready; while :; do sleep 0.05; done")], ""],
    ] as const)
      for (const signal of ["SIGINT", "SIGTERM"] as const) {
        const ways = [];
        for (const more of [[], ["--no-server"]]) {
          const run = startBelljar(["run", ...more, ...args], { env: pool.env, stdin });
          await until(() => run.output().includes("ready"), { what: "the program" });
          process.kill(await run.pid, signal);
          const { code, stdout, stderr, report } = await run.result;
          ways.push({ code, stdout, stderr, verdict: report?.verdict, message: report?.message, signal: report?.signal });
        }
        expect(ways[0], `${args.join(" ")} ${signal}`).toEqual(ways[1]);
        expect(ways[0]?.verdict).toBe("cancelled");
      }
  });

  needs("userns")("dies with the command, whatever kills it", async () => {
    const pool = await servePool();
    const run = startBelljar(["run", ...shell("echo ready; exec sleep 4711")], { env: pool.env, assertClean: false, report: false });
    await until(() => run.output().includes("ready"), { what: "the program" });
    process.kill(await run.pid, "SIGKILL");
    await run.result;
    const sleeps = () =>
      spawnSync("pgrep", ["-u", String(process.getuid?.()), "-f", "^sleep 4711$"], {
        encoding: "utf8",
        timeout: 10_000,
        killSignal: "SIGKILL",
      }).stdout.trim();
    await until(() => sleeps() === "", { what: "the program to be gone" });
  });
});
