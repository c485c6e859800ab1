/** The ways in which limits are enforced, each where a host has it, and how a run is made to use it. */
import { existsSync, mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { EnforcementValue } from "../../policy/verdict/report-types.ts";
import type { Ability } from "../helpers/abilities.ts";
import { cacheDir } from "../helpers/places.ts";

export const mechanisms = ["cgroup2", "scope", "cgroup1", "none"] as const;
export type Mechanism = (typeof mechanisms)[number];

interface Way {
  /** Head of its column in the documentation. */
  readonly title: string;
  readonly needs: readonly Ability[];
  /** `cgroup.use` of the configuration. */
  readonly use: "auto" | "cgroup2" | "cgroup1" | "none";
  /** What the report must say, or the run did not prove what it should. */
  readonly enforcement: {
    readonly memory: EnforcementValue;
    readonly processes: EnforcementValue;
    readonly cpuTime: readonly EnforcementValue[];
  };
}

export const ways: Readonly<Record<Mechanism, Way>> = {
  cgroup2: {
    title: "v2, delegated",
    needs: ["cgroup2"],
    use: "cgroup2",
    enforcement: { memory: "cgroup2", processes: "cgroup2", cpuTime: ["cgroup2"] },
  },
  scope: {
    title: "v2, systemd session",
    needs: ["user-manager"],
    use: "auto",
    enforcement: { memory: "cgroup2", processes: "cgroup2", cpuTime: ["cgroup2"] },
  },
  cgroup1: {
    title: "v1",
    needs: ["cgroup1"],
    use: "cgroup1",
    enforcement: { memory: "cgroup1", processes: "cgroup1", cpuTime: ["cgroup1"] },
  },
  none: {
    title: "no cgroup",
    needs: [],
    use: "none",
    enforcement: { memory: "supervisor", processes: "rlimit", cpuTime: ["perf", "rlimit", "supervisor"] },
  },
};

/** Those that $BELLJAR_LIMITS names (comma-separated), else all; what the machine cannot do is skipped with its reason. */
export function chosenMechanisms(): readonly Mechanism[] {
  const named = (process.env["BELLJAR_LIMITS"] ?? "").split(",").filter((name) => name !== "");
  for (const name of named)
    if (!(mechanisms as readonly string[]).includes(name)) throw new Error(`BELLJAR_LIMITS: unknown mechanism '${name}'`);
  return named.length === 0 ? mechanisms : mechanisms.filter((name) => named.includes(name));
}

/** A configuration folder for $XDG_CONFIG_HOME that leaves a run no other mechanism. */
export function configHome(mechanism: Mechanism): string {
  const dir = join(cacheDir, "limits", "config", mechanism);
  const file = join(dir, "belljar/config.json");
  if (!existsSync(file)) {
    mkdirSync(join(dir, "belljar"), { recursive: true, mode: 0o700 });
    writeFileSync(file, JSON.stringify({ cgroup: { use: ways[mechanism].use } }));
  }
  return dir;
}
