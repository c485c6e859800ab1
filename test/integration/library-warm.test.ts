// Sandbox with spares: the same runs, each in a sandbox that nobody else has had, and nothing left of what was made ahead.
import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect } from "vitest";
import { needs } from "../helpers/abilities.ts";
import { until, within } from "../helpers/deadline.ts";
import { load, openSandbox, ownLaunchers, setEnvironment } from "../helpers/library.ts";
import { root, tempDir } from "../helpers/places.ts";
import { baseLayer, imageHome, runnableImage } from "../helpers/run-image.ts";
import { archive, file } from "../helpers/tar-writer.ts";

const shell = (text: string): readonly string[] => ["sh", "-c", text];
type Sandbox = Awaited<ReturnType<typeof openSandbox>>;

/** The launcher, but the second that is started waits until a line is written to the pipe. */
function launcherThatWaits(): { readonly secondWaits: () => boolean; readonly release: () => void } {
  const folder = tempDir("launcher");
  const [script, pipe] = [join(folder, "launcher"), join(folder, "pipe")];
  expect(spawnSync("mkfifo", [pipe], { timeout: 10_000, killSignal: "SIGKILL" }).status).toBe(0);
  const count = `cd ${folder}; if [ -e one ] && [ ! -e two ]; then : >two; read line <pipe; else : >one; fi`;
  writeFileSync(script, `#!/bin/sh\n${count}\ncd /; exec ${root}/native/build/belljar-launch "$@"\n`, { mode: 0o755 });
  setEnvironment({ BELLJAR_LAUNCHER: script });
  return { secondWaits: () => existsSync(join(folder, "two")), release: () => writeFileSync(pipe, "go\n") };
}

/** The first child, as soon as there is one. */
async function childOf(pid: number): Promise<number> {
  const children = () => readFileSync(`/proc/${pid}/task/${pid}/children`, "utf8").trim();
  return Number((await until(() => children() !== "" && children(), { what: `a child of ${pid}` })).split(" ")[0]);
}

/** The launchers of this process; those that were made ahead are there before any run. */
const spares = (count: number): Promise<unknown> =>
  until(() => ownLaunchers().length === count, { what: `${count} spare sandboxes`, timeoutMs: 20_000 });

describe("spare sandboxes", () => {
  needs("userns")("give what a sandbox from scratch gives, for verdicts, streams, files, limits and variables", async () => {
    const warm = await openSandbox({ profile: "judge", warm: 2, env: { A: "1" } });
    const cold = await (await load()).Sandbox.open({ profile: "judge", env: { A: "1" } });
    await spares(2);
    const cases: readonly [string, Parameters<Sandbox["run"]>[1]][] = [
      [
        "cat; echo $A $B; pwd; ulimit -n; cat in; echo made >out",
        { stdin: "from stdin\n", env: { B: "2" }, files: { in: "in\n" }, outputs: ["out"] },
      ],
      ["read x || echo no input; exit 3", {}],
      ["kill -SEGV $$", {}],
      ["ulimit -n", { limits: { openFiles: 40 } }],
      ["while :; do :; done", { limits: { cpuTime: "100ms" } }],
      ["sleep 60", { limits: { wallTime: "200ms" } }],
      ["yes", { limits: { output: 1000 } }],
      ["echo 123456 >a; cat a", { limits: { disk: "64K" } }],
      ["nosuchprogram", {}],
    ];
    for (const [text, options] of cases) {
      const [one, other] = [await warm.run(shell(text), options), await cold.run(shell(text), options)];
      const said = ({ report, stdout, outputs }: typeof one) => ({
        ...{ stdout: stdout.slice(0, 1000), outputs, verdict: report.verdict, exitCode: report.exitCode, signal: report.signal },
        ...{ limits: report.limits, enforcement: report.enforcement, sandbox: report.sandbox },
      });
      expect(said(one), text).toEqual(said(other));
    }
    await cold.close();
  });

  needs("userns")("are used, and each once: no run meets anything of another", async () => {
    const sandbox = await openSandbox({ warm: 3, concurrency: 2 });
    await spares(3);
    const look = "ls -A /work /tmp /dev/shm; cat /proc/sysvipc/shm | wc -l; cat /proc/[0-9]*/comm | grep -c sleep; env | grep -c MINE";
    const first = await sandbox.run(shell(look));
    const dirty = "touch /work/a /tmp/b /dev/shm/c; (sleep 60 &) ; export MINE=1";
    for (let round = 0; round < 10; round++) {
      const [, clean] = await Promise.all([sandbox.run(shell(`${dirty}; exit 0`), { env: { MINE: "1" } }), sandbox.run(shell(look))]);
      expect(clean.stdout).toBe(first.stdout);
    }
  });

  needs("userns")("wait until the run is there, and are not for runs that need another sandbox", async () => {
    const sandbox = await openSandbox({ warm: 1 });
    await spares(1);
    const [spare] = ownLaunchers();
    const { report } = await sandbox.run(["true"], { limits: { disk: "1M" } });
    expect(report.verdict).toBe("ok");
    expect(ownLaunchers()).toContain(spare);
    await sandbox.run(["true"]);
    expect(ownLaunchers()).not.toContain(spare);
  });

  needs("userns")("that are killed are replaced, whichever of their processes it was", async () => {
    const sandbox = await openSandbox({ warm: 2 });
    const victims = [async (launcher: number) => launcher, childOf, async (launcher: number) => childOf(await childOf(launcher))];
    for (const victim of [...victims, ...victims]) {
      await spares(2);
      const pids = await Promise.all(ownLaunchers().map(victim));
      expect(Math.min(...pids)).toBeGreaterThan(1); // 0 would be ourselves
      for (const pid of pids) process.kill(pid, "SIGKILL");
      await spares(0);
      expect((await sandbox.run(shell("echo fine"))).stdout).toBe("fine\n");
    }
  });

  needs("userns")("are made behind the runs: one that takes its time keeps none from starting", async () => {
    const { secondWaits, release } = launcherThatWaits();
    const sandbox = await openSandbox({ warm: 1 });
    expect((await sandbox.run(shell("echo warm"))).stdout).toBe("warm\n");
    await until(secondWaits, { what: "the next spare" });
    for (let round = 0; round < 3; round++) expect((await sandbox.run(shell("echo own"))).stdout).toBe("own\n");
    release();
    await spares(1);
    const [spare] = ownLaunchers();
    const used = async (): Promise<boolean> =>
      (await sandbox.run(["true"])).report.verdict === "ok" && !ownLaunchers().includes(spare ?? 0);
    await until(used, { what: "the use of what was made late" });
  });

  needs(
    "userns",
    "overlay",
    "busybox",
  )("have the image that the sandbox was opened on, whatever its name means meanwhile", async () => {
    const saying = (text: string) => runnableImage([baseLayer(), archive(file("said", text))], {});
    const home = imageHome();
    setEnvironment(home.env);
    await home.add("t/a:1", saying("one"));
    const before = await openSandbox({ profile: "image", image: "t/a:1", warm: 1 });
    await home.add("t/a:1", saying("two"));
    const after = await (await load()).Sandbox.open({ profile: "image", image: "t/a:1", warm: 1 });
    const said = async (sandbox: Sandbox): Promise<readonly unknown[]> => {
      const { stdout, report } = await sandbox.run(["cat", "/said"]);
      return [stdout, report.sandbox.image];
    };
    const [first, second] = [await said(before), await said(after)];
    expect([first[0], second[0]]).toEqual(["one", "two"]);
    expect(first[1]).not.toBe(second[1]);
    await home.command(["image", "rm", "t/a:1"]);
    await home.command(["image", "prune"]);
    // Spares that were made after all that, and runs that find none: as the first.
    for (let round = 0; round < 4; round++) {
      expect(await Promise.all([said(before), said(before)])).toEqual([first, first]);
      expect(await said(after)).toEqual(second);
    }
    await after.close();
  });

  needs("userns")("end with the sandbox, at whatever moment that is closed", async () => {
    for (let delay = 0; delay < 12; delay++) {
      const sandbox = await openSandbox({ warm: 3 });
      for (let turn = 0; turn < delay; turn++) await new Promise((resolve) => setImmediate(resolve));
      await within(sandbox.close(), { what: "close", timeoutMs: 20_000 });
      expect(ownLaunchers()).toEqual([]);
    }
  });

  needs("userns")("show the volume that its path leads to, not one that was there when they were made", async () => {
    const volume = join(tempDir("volume"), "it");
    const fill = (text: string): void => {
      mkdirSync(volume);
      writeFileSync(join(volume, "file"), text);
    };
    fill("old");
    const sandbox = await openSandbox({ warm: 3, volumes: [{ source: volume, target: "/data", access: "read-only" }] });
    await spares(3);
    const before = ownLaunchers();
    const read = async (): Promise<string> => (await sandbox.run(["cat", "/data/file"])).stdout;
    expect(await read()).toBe("old");
    expect(before.filter((pid) => ownLaunchers().includes(pid)).length).toBeGreaterThanOrEqual(2); // the control: a spare was enough
    await spares(3);
    renameSync(volume, `${volume}.before`);
    fill("new");
    expect(await Promise.all([read(), read(), read(), read()])).toEqual(["new", "new", "new", "new"]);
    rmSync(volume, { recursive: true });
    fill("newer");
    expect(await Promise.all([read(), read(), read(), read()])).toEqual(["newer", "newer", "newer", "newer"]);
  });

  needs("userns")("a run that is cancelled before it starts leaves them, and one that runs ends", async () => {
    const sandbox = await openSandbox({ warm: 1, concurrency: 1 });
    await spares(1);
    const abort = new AbortController();
    const running = sandbox.run(["sleep", "60"], { signal: abort.signal });
    const waiting = sandbox.run(["true"], { signal: abort.signal });
    setImmediate(() => abort.abort());
    await expect(waiting).rejects.toMatchObject({ code: "cancelled" });
    const verdict = await running.then(({ report }) => report.verdict).catch(({ code }: { readonly code: string }) => code);
    expect(verdict).toBe("cancelled");
    expect((await sandbox.run(["true"])).report.verdict).toBe("ok");
  });
});
