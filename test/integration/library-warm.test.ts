// Sandbox with spares: the same runs, each in a sandbox that nobody else has had, and nothing left of what was made ahead.
import { describe, expect } from "vitest";
import { needs } from "../helpers/abilities.ts";
import { until, within } from "../helpers/deadline.ts";
import { load, openSandbox, ownLaunchers } from "../helpers/library.ts";

const shell = (text: string): readonly string[] => ["sh", "-c", text];
type Sandbox = Awaited<ReturnType<typeof openSandbox>>;

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
    for (let round = 0; round < 5; round++) {
      await spares(2);
      for (const pid of ownLaunchers()) process.kill(pid, "SIGKILL");
      await spares(0);
      expect((await sandbox.run(shell("echo fine"))).stdout).toBe("fine\n");
    }
  });

  needs("userns")("end with the sandbox, at whatever moment that is closed", async () => {
    for (let delay = 0; delay < 12; delay++) {
      const sandbox = await openSandbox({ warm: 3 });
      for (let turn = 0; turn < delay; turn++) await new Promise((resolve) => setImmediate(resolve));
      await within(sandbox.close(), { what: "close", timeoutMs: 20_000 });
      expect(ownLaunchers()).toEqual([]);
    }
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
