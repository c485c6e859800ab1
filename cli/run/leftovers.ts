import { existsSync, readdirSync, rmdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import type { LaunchPlan } from "../../policy/compile/types.ts";

const deadlineMs = 2000;
const pauseMs = 10;

/** Kernel files cannot be removed and vanish with their directory; only directories are visited. */
function removeTree(path: string): void {
  for (const entry of readdirSync(path, { withFileTypes: true })) if (entry.isDirectory()) removeTree(join(path, entry.name));
  rmdirSync(path);
}

function tryRemove(path: string): boolean {
  if (!existsSync(path)) return true;
  try {
    // v2 only; v1 has no such file, and there the dying pid namespace is all that was inside.
    if (existsSync(join(path, "cgroup.kill"))) writeFileSync(join(path, "cgroup.kill"), "1");
    removeTree(path);
    return true;
  } catch {
    return false;
  }
}

/**
 * Removes the cgroups of a run whose launcher was killed. Its tasks are dying (init by its parent-death signal, everything
 * else with init), which takes a moment. Returns what could not be removed: `belljar gc` tries again later.
 */
export async function removeCgroups({ sandbox }: LaunchPlan): Promise<readonly string[]> {
  let left = sandbox.cgroups.map(({ parent }) => join(parent, sandbox.runId));
  for (let waitedMs = 0; ; waitedMs += pauseMs) {
    left = left.filter((path) => !tryRemove(path));
    if (left.length === 0 || waitedMs >= deadlineMs) return left;
    await sleep(pauseMs);
  }
}
