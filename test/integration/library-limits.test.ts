// Limits of one run's own in a sandbox that was prepared without them: what depends on them is made for that run.
import { readFileSync } from "node:fs";
import { expect } from "vitest";
import { needs } from "../helpers/abilities.ts";
import { openSandbox } from "../helpers/library.ts";

const cpu = /^Cpus_allowed_list:\s*(\d+)/m.exec(readFileSync("/proc/self/status", "utf8"))?.[1] ?? "0";
/** Sets the affinity that it has: what the kernel allows everybody. */
const sets =
  "import os\ntry:\n  os.sched_setaffinity(0, os.sched_getaffinity(0)); print('set', len(os.sched_getaffinity(0)))\nexcept OSError as e: print('errno', e.errno)";

for (const warm of [0, 1])
  needs("userns", "python3")(`CPUs of one run's own hold for it, and not for the next (${warm} spare sandboxes)`, async () => {
    const sandbox = await openSandbox({ profile: "default", warm });
    const run = (cpuset: string | null) => sandbox.run(["python3", "-c", sets], { limits: { cpuset } });
    const [before, pinned, after] = [await run(null), await run(cpu), await run(null)];
    for (const { stdout, report } of [before, after]) {
      expect(stdout).toMatch(/^set \d+\n$/);
      expect(report.enforcement.cpuset).toBeUndefined();
    }
    expect(pinned.stdout).toBe("errno 1\n");
    expect(pinned.report.limits.cpuset).toBe(cpu);
    expect(["cgroup2", "enforced"]).toContain(pinned.report.enforcement.cpuset);
  });
