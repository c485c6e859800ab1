// SIGKILL to the command or to the launcher, at any moment: nothing may be left.
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { expect } from "vitest";
import { needs } from "../helpers/abilities.ts";
import { startBelljar } from "../helpers/belljar.ts";
import { until } from "../helpers/deadline.ts";
import { orphanedCgroups } from "../helpers/leaks.ts";
import { tempDir } from "../helpers/places.ts";

/** Live children of a process (field `children` is there where the kernel has CONFIG_PROC_CHILDREN, as distributions have). */
function childrenOf(pid: number): readonly number[] {
  try {
    return readdirSync(`/proc/${pid}/task`).flatMap((task) =>
      readFileSync(`/proc/${pid}/task/${task}/children`, "utf8").trim().split(" ").filter(Boolean).map(Number),
    );
  } catch {
    return [];
  }
}

const nameOf = (pid: number): string => {
  try {
    return readFileSync(`/proc/${pid}/comm`, "utf8").trim();
  } catch {
    return "";
  }
};

function kill(pid: number): boolean {
  try {
    process.kill(pid, "SIGKILL");
    return true;
  } catch {
    return false; // it has ended by itself
  }
}

type Victim = "command" | "launcher";

interface Outcome {
  readonly victim: Victim;
  readonly hit: boolean;
}

/** One run that forks, holds files and sleeps; killed after delayMs. The helper itself fails the test when a process or file is left. */
async function killedRun(victim: Victim, delayMs: number): Promise<Outcome> {
  const out = tempDir("out");
  const handle = startBelljar(
    [
      "run",
      "-q",
      "--in",
      "/etc/hostname",
      "--out",
      `x:${join(out, "x")}`,
      "--",
      "sh",
      "-c",
      "(sleep 20 & setsid sleep 20 &); echo x > x; sleep 20",
    ],
    {
      report: false,
      graceMs: 3000,
    },
  );
  const pid = await handle.pid;
  const end = performance.now() + delayMs;
  let hit = false;
  if (victim === "command") {
    while (performance.now() < end) await new Promise((resolve) => setTimeout(resolve, end - performance.now()));
    hit = kill(pid);
  } else {
    const launcher = await until(() => childrenOf(pid).find((child) => nameOf(child).startsWith("belljar-launch")), {
      what: "the launcher",
      everyMs: 1,
      timeoutMs: 10_000,
    }).catch(() => null);
    const wait = Math.max(0, delayMs - 40);
    if (wait > 0) await new Promise((resolve) => setTimeout(resolve, wait));
    if (launcher !== null) hit = kill(launcher);
  }
  const result = await handle.result;
  if (victim === "command") expect(result.signal).toBe(9);
  else if (hit) expect(result.code, result.stderr).toBe(125);
  expect(readdirSync(out), "a half-written output").toEqual([]);
  return { victim, hit };
}

/** Delays from before the launcher is there until well into the run: 0 to 140 ms, each a little off the other. */
const delays = Array.from({ length: 100 }, (_, i) => (i * 7919) % 140);

for (const victim of ["command", "launcher"] as const) {
  needs("userns")(
    `SIGKILL of the ${victim} at 100 moments leaves no process, mount, cgroup or file`,
    async () => {
      const outcomes: Outcome[] = [];
      const queue = [...delays];
      const worker = async (): Promise<void> => {
        for (let delay = queue.pop(); delay !== undefined; delay = queue.pop()) outcomes.push(await killedRun(victim, delay));
      };
      await Promise.all([worker(), worker(), worker(), worker()]);
      expect(outcomes).toHaveLength(100);
      expect(outcomes.filter(({ hit }) => hit).length, "most were struck while they lived").toBeGreaterThan(90);
      await until(() => orphanedCgroups().length === 0, { what: "the cgroups to be gone", timeoutMs: 3000 });
    },
    150_000,
  );
}
