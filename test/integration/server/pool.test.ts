// `belljar serve` itself: what it serves, what it tells, and when it ends.
import { readdirSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { describe, expect } from "vitest";
import { needs } from "../../helpers/abilities.ts";
import { belljar } from "../../helpers/belljar.ts";
import { until } from "../../helpers/deadline.ts";
import { runtimeFolder, runWith, servePool } from "../../helpers/pool.ts";
import { baseLayer, imageHome, runnableImage } from "../../helpers/run-image.ts";
import { archive, file } from "../../helpers/tar-writer.ts";

describe("belljar serve", () => {
  needs("userns")("is told of by ls and doctor, and leaves nothing", async () => {
    const none = await belljar(["serve", "ls"], { env: { XDG_RUNTIME_DIR: runtimeFolder() } });
    expect([none.code, none.stdout]).toEqual([0, "no pool is served\n"]);
    const pool = await servePool(["-p", "judge", "--size", "2", "--max", "7"]);
    const ls = await belljar(["serve", "ls", "--json"], { env: pool.env });
    expect(JSON.parse(ls.stdout)).toMatchObject({
      schemaVersion: 1,
      pools: [{ path: pool.path, pid: pool.pid, profile: "judge", image: null, size: 2, max: 7 }],
    });
    expect((await belljar(["serve", "ls"], { env: pool.env })).stdout).toMatch(/^PROFILE .*\njudge +- +2 +7 .*\n$/);
    expect((await belljar(["doctor"], { env: pool.env })).stdout).toContain("profile judge: 2 sandboxes ready");
    for (const name of ["", "socket", "plan", "pool"]) expect(statSync(join(pool.path, name)).mode & 0o077, name).toBe(0);
    pool.kill("SIGTERM");
    expect(await pool.ended).toBe(0);
    expect(readdirSync(join(pool.path, ".."))).toEqual([]);
  });

  needs("userns")("ends at the second signal although a program runs", async () => {
    const pool = await servePool(["--size", "1"]);
    const run = runWith(pool, ["--", "sleep", "4712"]);
    await until(() => readdirSync("/proc").some((pid) => isSleeping(pid)), { what: "the program" });
    pool.kill("SIGINT");
    await until(() => !readdirSync(pool.path).includes("socket"), { what: "the server to stop listening" });
    pool.kill("SIGINT");
    const { report, served } = await run;
    expect([served, report?.verdict]).toEqual([true, "cancelled"]);
    expect(await pool.ended).toBe(0);
  });

  needs("userns")("tells what is wrong before it serves", async () => {
    const env = { XDG_RUNTIME_DIR: runtimeFolder() };
    for (const [args, words] of [
      [["--size", "0"], "'--size' '0': is no whole number from 1 to 4096"],
      [["--size", "9", "--max", "8"], "'--max' '8': is less than the 9 that are kept ready"],
      [["true"], "'true': takes no argument but ls"],
      [["-t"], "'-t': unknown option"],
      [["--set", "scratch.storage=disk"], "each run needs a folder of its own there"],
      [["-p", "nosuch"], "nosuch"],
    ] as const) {
      const { code, stderr } = await belljar(["serve", ...args], { env });
      expect([code, stderr], args.join(" ")).toEqual([125, expect.stringContaining(words)]);
    }
  });

  needs("userns")("on an image keeps it, and is passed over when its name means another", async () => {
    const saying = (text: string) => runnableImage([baseLayer(), archive(file("said", text))], {});
    const home = imageHome();
    await home.add("t/a:1", saying("one"));
    const pool = await servePool(["-p", "image", "-i", "t/a:1", "--size", "2"], { env: home.env });
    const run = (name: string) => runWith(pool, ["-p", "image", "-i", name, "--", "cat", "/said"]);
    for (const name of ["t/a:1", "docker.io/t/a:1"]) {
      const { stdout, served } = await run(name);
      expect([stdout, served], name).toEqual(["one", true]);
    }
    await home.add("t/a:1", saying("two"));
    const other = await run("t/a:1");
    expect([other.stdout, other.served]).toEqual(["two", false]);
    await home.command(["image", "tag", "t/a:1", "t/b:1"]);
    await home.command(["image", "prune"]);
    const kept = await servePool(["-p", "image", "-i", "t/b:1", "--size", "1"], { env: home.env });
    const second = await runWith(kept, ["-p", "image", "-i", "t/b:1", "--", "cat", "/said"]);
    expect([second.stdout, second.served]).toEqual(["two", true]);
  });
});

/** Whether a process is the program. */
function isSleeping(pid: string): boolean {
  try {
    return /^\d+$/.test(pid) && readFileSync(`/proc/${pid}/cmdline`, "utf8") === ["sleep", "4712", ""].join("\0");
  } catch {
    return false;
  }
}
