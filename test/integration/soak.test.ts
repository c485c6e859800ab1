// A short soak of the run server, the same each time: what the long one has found stays found (test/soak, `npm run soak`).
import { spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { expect } from "vitest";
import { needs } from "../helpers/abilities.ts";
import { root, tempDir } from "../helpers/places.ts";

interface Summary {
  readonly runs: number;
  readonly failures: readonly string[];
  readonly verdicts: Readonly<Record<string, number>>;
  readonly kills: Readonly<Record<string, number>>;
}

needs("userns", "cgroup", "busybox")(
  "500 runs through one server, among kills of clients, sandboxes and the server, each end as they should, and nothing is left",
  () => {
    const path = join(tempDir("soak"), "summary.json");
    const args = [join(root, "test/soak/bounded.mjs"), "--runs", "500", "--seed", "20", "--every", "250", "--summary", path];
    const env = { ...process.env, BELLJAR_SOAK_DEADLINE_MS: "150000" };
    const { status, stderr } = spawnSync(process.execPath, args, { env, encoding: "utf8", timeout: 170_000, killSignal: "SIGKILL" });
    expect(status, stderr).toBe(0);
    const { runs, failures, verdicts, kills } = JSON.parse(readFileSync(path, "utf8")) as Summary;
    expect([runs, failures]).toEqual([500, []]);
    expect(Object.keys(verdicts).length).toBeGreaterThan(10);
    expect(Math.min(...["member", "init", "task"].map((name) => kills[name] ?? 0))).toBeGreaterThan(0);
  },
  180_000,
);
