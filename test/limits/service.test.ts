// A run server as a service of the user's manager of systemd: whoever stands in a cgroup of root's has exact limits through it, and no scope for each run.
import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, onTestFinished } from "vitest";
import { needs } from "../helpers/abilities.ts";
import { belljar, belljarCommand } from "../helpers/belljar.ts";
import { until } from "../helpers/deadline.ts";
import { tempDir } from "../helpers/places.ts";
import { runWith } from "../helpers/pool.ts";
import { chosenMechanisms, ways } from "./mechanisms.ts";

const uid = process.getuid?.() ?? -1;
const runtime = `/run/user/${uid}`;
const manager = `/sys/fs/cgroup/user.slice/user-${uid}.slice/user@${uid}.service`;
const unit = "belljar-service-test.service";

function systemctl(...args: readonly string[]): string {
  const env = { PATH: process.env["PATH"], XDG_RUNTIME_DIR: runtime };
  const { stdout, stderr } = spawnSync("systemctl", ["--user", ...args], { encoding: "utf8", env, timeout: 60_000, killSignal: "SIGKILL" });
  return stdout + stderr;
}

/** A session in which no cgroup is to be had. */
function without(): string {
  const home = tempDir("config");
  mkdirSync(join(home, "belljar"));
  writeFileSync(join(home, "belljar/config.json"), JSON.stringify({ cgroup: { parent: "/sys/fs/cgroup/none/of/ours" } }));
  return home;
}

describe("service", () => {
  const test = chosenMechanisms().includes("scope") ? needs("userns", ...ways.scope.needs) : needs("root");

  test("as `belljar serve --unit` prints it: exact limits for a session that has none, and it outlives them", async () => {
    const [node = "", script = ""] = belljarCommand;
    const printed = spawnSync(node, [script, "serve", "--size", "2", "--unit"], {
      encoding: "utf8",
      timeout: 60_000,
      killSignal: "SIGKILL",
    });
    expect(printed.stderr).toBe("");
    const units = join(runtime, "systemd/user");
    mkdirSync(units, { recursive: true });
    writeFileSync(join(units, unit), printed.stdout);
    onTestFinished(() => {
      systemctl("stop", unit);
      rmSync(join(units, unit), { force: true });
      systemctl("daemon-reload");
    }, 60_000);
    systemctl("daemon-reload");
    expect(systemctl("start", unit)).toBe("");
    const pools = async () =>
      (
        JSON.parse((await belljar(["serve", "ls", "--json"], { env: { XDG_RUNTIME_DIR: runtime }, assertClean: false })).stdout) as {
          readonly pools: readonly { readonly path: string; readonly cgroup: string | null }[];
        }
      ).pools;
    await until(async () => (await pools()).length === 1, {
      what: `the pool: ${systemctl("status", unit)}`,
      timeoutMs: 60_000,
      everyMs: 200,
    });
    expect((await pools())[0]?.cgroup).toBe("cgroup2");

    const session = { env: { XDG_RUNTIME_DIR: runtime, XDG_CONFIG_HOME: without() } };
    const run = (...args: readonly string[]) => runWith(session, args, { deadlineMs: 60_000, assertClean: false });
    const own = await run("--no-server", "--", "true");
    expect([own.served, own.report?.enforcement]).toMatchObject([false, { memory: "supervisor", processes: "rlimit" }]);
    const served = await run("--", "true");
    expect([served.served, served.report?.enforcement], served.stderr).toMatchObject([
      true,
      { memory: "cgroup2", processes: "cgroup2", cpuTime: "cgroup2" },
    ]);
    expect(served.report?.time.cpuExact).toBe(true);

    const hungry = ["--memory", "24M", "--", "python3", "-c", "x = bytearray(200 << 20)"];
    for (let round = 0; round < 3; round++) {
      const { report, served: isServed } = await run(...hungry);
      expect([isServed, report?.verdict, (report?.memory.oomKills ?? 0) > 0]).toEqual([true, "memory-limit", true]);
    }
    const many = await run("--processes", "5", "--", "sh", "-c", "for i in 1 2 3 4 5 6 7 8 9; do sleep 1 & done; wait; exit 1");
    expect([many.served, many.report?.verdict]).toEqual([true, "process-limit"]);
    const spinning = await run("--cpu-time", "300ms", "--", "sh", "-c", "(while :; do :; done) & while :; do :; done");
    expect([spinning.served, spinning.report?.verdict]).toEqual([true, "cpu-time-limit"]);
    expect(systemctl("is-active", unit)).toBe("active\n");

    const slice = join(manager, "app.slice");
    const cgroup = join(slice, unit);
    const inside = () => readdirSync(cgroup, { withFileTypes: true }).flatMap((entry) => (entry.isDirectory() ? [entry.name] : []));
    const expected = [expect.stringMatching("^belljar-caller$"), ...[1, 2].map(() => expect.stringMatching("^belljar-run-"))];
    await until(() => inside().length === expected.length, { what: "the last runs' cgroups to go", timeoutMs: 20_000 }).catch(
      () => undefined,
    );
    expect(inside().toSorted()).toEqual(expected);
    expect(readdirSync(slice).filter((name) => name.startsWith("belljar-run-"))).toEqual([]);

    systemctl("stop", unit);
    expect(systemctl("show", "-P", "Result", unit)).toBe("success\n");
    expect(await pools()).toEqual([]);
    expect(existsSync(cgroup)).toBe(false);
  });

  test("that is started by hand in a session has a scope of its own, and all its runs are in that", async () => {
    const { servePool } = await import("../helpers/pool.ts");
    const pool = await servePool(["--size", "1"]);
    const { served, report } = await runWith({ env: { ...pool.env, XDG_CONFIG_HOME: without() } }, ["--", "true"], { deadlineMs: 60_000 });
    expect([served, report?.enforcement]).toMatchObject([true, { memory: "cgroup2", processes: "cgroup2" }]);
    const [scope = ""] = readdirSync(join(manager, "app.slice")).filter((name) => name.startsWith("belljar-serve-"));
    expect(readdirSync(join(manager, "app.slice", scope)).some((name) => name.startsWith("belljar-run-"))).toBe(true);
    expect(readdirSync(join(manager, "app.slice")).filter((name) => name.startsWith("belljar-"))).toEqual([
      expect.stringMatching(new RegExp(`^belljar-serve-${pool.pid}-\\d+\\.scope$`)),
    ]);
  });
});
