// What a server cannot or need not do, a run does by itself: nothing of it may depend on there being one.
import { readdirSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { describe, expect } from "vitest";
import { needs } from "../../helpers/abilities.ts";
import { belljar, belljarCommand, startBelljar } from "../../helpers/belljar.ts";
import { until } from "../../helpers/deadline.ts";
import { tempDir } from "../../helpers/places.ts";
import { runtimeFolder, runWith, sameOf, servePool } from "../../helpers/pool.ts";
import { childrenOf } from "../../helpers/serve.ts";

const say = ["--", "echo", "done"];
/** The command under a shell's own settings. */
const under = (setting: string): readonly string[] => ["sh", "-c", `${setting}; exec "$@"`, "sh", ...belljarCommand];

describe("runs that another sandbox is made for", () => {
  needs("userns")("make it themselves", async () => {
    const dir = tempDir("other");
    writeFileSync(join(dir, "script.sh"), "echo done\n");
    const pool = await servePool(["--size", "1"]);
    expect((await runWith(pool, say)).served).toBe(true);
    for (const args of [
      ["--disk", "1M", ...say],
      ["--user", "5:5", ...say],
      ["-w", "/tmp", ...say],
      ["-v", `${dir}:/data`, ...say],
      ["--sample", "10ms", ...say],
      ["-p", "judge", ...say],
      ["--network", "host", ...say],
      ["--memory", "none", ...say],
      ["--set", "seccomp.defaultAction=errno:EPERM", "--set", "process.umask=077", ...say],
      ["--no-server", ...say],
      ["./script.sh"],
    ]) {
      const { served, stdout, code } = await runWith(pool, args, { cwd: dir });
      expect([served, stdout, code], args.join(" ")).toEqual([false, "done\n", 0]);
    }
  });

  needs("userns")("do so where who runs them stands elsewhere than the server, or is told to", async () => {
    const pool = await servePool(["--size", "1"]);
    for (const program of [
      under("umask 077"),
      under("ulimit -n 100"),
      ["nice", "-n", "3", ...belljarCommand],
      ["unshare", "-rm", "--map-current-user", ...belljarCommand],
    ])
      expect((await runWith(pool, say, { program })).served, program.join(" ")).toBe(false);
    // What no plan of the profile comes near to is no difference.
    expect((await runWith(pool, say, { program: under("ulimit -n 5000") })).served).toBe(true);
    expect((await runWith(pool, say, { env: { BELLJAR_SERVER: "none" } })).served).toBe(false);
    expect((await runWith(pool, say, { env: { BELLJAR_SERVER: pool.path, XDG_RUNTIME_DIR: undefined } })).served).toBe(true);
    expect((await belljar(["run", ...say], { env: { ...pool.env, BELLJAR_SERVER: "yes" } })).stderr).toContain(
      "is not auto, none or the folder of a pool",
    );
    const config = tempDir("config");
    const { mkdirSync } = await import("node:fs");
    mkdirSync(join(config, "belljar"));
    writeFileSync(join(config, "belljar/config.json"), '{ "server": "none" }');
    expect((await runWith(pool, say, { env: { XDG_CONFIG_HOME: config } })).served).toBe(false);
  });

  needs("userns")("do so for files that are another's to the server: /proc/self is its own", async () => {
    const pool = await servePool(["--size", "1"]);
    const file = join(tempDir("in"), "content");
    writeFileSync(file, "mine\n");
    const program = ["sh", "-c", `exec 9<${file}; exec "$@"`, "sh", ...belljarCommand];
    const args = ["--in", "/proc/self/fd/9:in", "--", "cat", "in"];
    const [found, own] = [await runWith(pool, args, { program }), await runWith(pool, ["--no-server", ...args], { program })];
    expect(found.served).toBe(false);
    expect(sameOf(found)).toEqual(sameOf(own));
  });
});

describe("a server that fails", () => {
  needs("userns")("is not missed: killed, its folder left or gone, or another process in its place", async () => {
    const pool = await servePool(["--size", "1"]);
    process.kill(pool.server(), "SIGKILL");
    const { served, stdout, code } = await runWith(pool, say);
    expect([served, stdout, code]).toEqual([false, "done\n", 0]);
    expect(await pool.ended).toBe(125);
    expect(pool.said()).toContain("it was killed by SIGKILL");
    expect((await runWith(pool, say)).served).toBe(false);
  });

  needs("userns")("or that has no sandbox left lets the run make its own", async () => {
    const pool = await servePool(["--size", "1", "--max", "1"]);
    const first = startBelljar(["run", "--", "sh", "-c", "echo ready; cat"], { env: pool.env, stdin: null });
    await until(() => first.output().includes("ready"), { what: "the first run" });
    const second = await runWith(pool, say);
    expect([second.served, second.stdout]).toEqual([false, "done\n"]);
    first.stdin.end();
    expect((await first.result).code).toBe(0);
  });

  needs("userns")("in the middle of a run: that is our failure, never the program's, and is not tried again", async () => {
    const pool = await servePool(["--size", "1"]);
    const dir = tempDir("once");
    const run = startBelljar(["run", "--", "sh", "-c", "echo ready; cat; echo again"], { env: pool.env, stdin: null, cwd: dir });
    await until(() => run.output().includes("ready"), { what: "the program" });
    const launchers = childrenOf(pool.server());
    for (const launcher of launchers) process.kill(launcher, "SIGKILL");
    const { code, stdout, report } = await run.result;
    expect([code, stdout, report?.verdict, report?.error?.code]).toEqual([125, "ready\n", "sandbox-error", "launcher-failed"]);
    expect(report?.message).toBe("running the launcher: it ended without a record");
  });

  needs("userns")("while runs go on lets them end, and takes no others", async () => {
    const pool = await servePool(["--size", "1"]);
    const run = startBelljar(["run", "--", "sh", "-c", "echo ready; cat; echo end"], { env: pool.env, stdin: null });
    await until(() => run.output().includes("ready"), { what: "the program" });
    pool.kill("SIGTERM");
    await until(async () => (await belljar(["serve", "ls"], { env: pool.env })).stdout.includes("another build's"), {
      what: "the pool to be withdrawn",
    });
    expect((await runWith(pool, say)).served).toBe(false);
    run.stdin.end();
    expect(await run.result).toMatchObject({ code: 0, stdout: "ready\nend\n" });
    expect(await pool.ended).toBe(0);
  });

  needs("userns")("leaves nothing that gc does not find, and its launchers end with it", async () => {
    const runtime = runtimeFolder();
    const pool = await servePool(["--size", "2"], { runtime });
    const server = pool.server();
    pool.kill("SIGKILL");
    await pool.ended;
    await until(
      () => {
        try {
          process.kill(server, 0);
          return false;
        } catch {
          return true;
        }
      },
      { what: "the server to end with the command" },
    );
    expect((await runWith(pool, say)).served).toBe(false);
    const { stdout } = await belljar(["gc"], { env: pool.env });
    expect(stdout).toContain(`removed pool ${pool.path} (process ${pool.pid} is gone)`);
    rmSync(runtime, { recursive: true, force: true });
  });

  needs("userns")("is found where a stranger has the name of the folder for it, and gc leaves nothing of that either", async () => {
    const [temporary, uid] = [runtimeFolder(), process.getuid?.() ?? 0];
    symlinkSync("/", join(temporary, `belljar-${uid}`));
    const env = { XDG_RUNTIME_DIR: "", TMPDIR: temporary };
    const pool = await servePool(["--size", "1"], { env });
    expect(dirname(dirname(dirname(pool.path)))).toBe(temporary);
    expect((await runWith(pool, say)).served).toBe(true);
    expect(JSON.parse((await belljar(["serve", "ls", "--json"], { env: pool.env })).stdout).pools).toMatchObject([{ path: pool.path }]);
    pool.kill("SIGKILL");
    await pool.ended;
    const { stdout } = await belljar(["gc"], { env: pool.env });
    expect(stdout).toContain(`removed pool ${pool.path} `);
    expect(readdirSync(temporary)).toEqual([`belljar-${uid}`]);
  });
});
