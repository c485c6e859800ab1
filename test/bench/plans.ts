/** Encoded plans for the launcher alone: the default profile on a directory, as `belljar run --rootfs DIR -- /bin/true` would make them. */
import { loadConfig } from "../../cli/host/config.ts";
import { probeHostFacts } from "../../cli/host/facts.ts";
import { compilePlan } from "../../policy/compile/index.ts";
import type { CgroupFacts, RunRequest } from "../../policy/compile/types.ts";
import { loadBuiltin, resolveProfile } from "../../policy/profile/index.ts";
import type { ResolvedPolicy } from "../../policy/profile/types.ts";
import { type CompiledFilters, compileFilters } from "../../policy/seccomp/filters.ts";
import { encodeExec, encodeSandbox } from "../../policy/wire/index.ts";

export interface BenchPlan {
  readonly bytes: Uint8Array;
  /** Mechanism of each limit, as the plan sets it up. */
  readonly enforcement: Readonly<Record<string, string>>;
}

const request: RunRequest = {
  runId: `belljar-run-${process.pid}-bench`,
  command: ["/bin/true"],
  cwd: null,
  env: [],
  inherited: {},
  user: null,
  terminal: false,
  stdin: "pump",
  filesIn: [],
  sampleMs: 0,
  filesOut: [],
  script: null,
};

function load(name: string) {
  const loaded = loadBuiltin(name);
  if (loaded === null) throw new Error(`no built-in profile ${name}`);
  return loaded;
}

function filtersOf(policy: ResolvedPolicy, audit: boolean): CompiledFilters {
  const arch = process.arch === "arm64" ? "aarch64" : "x86_64";
  const input = { arch, seccomp: policy.seccomp, capabilities: policy.capabilities, userNamespaces: policy.namespaces.user } as const;
  return compileFilters(input, audit ? "audit" : null);
}

/** The filters of the built-in profile. */
export function benchFilters(profile: string, { audit }: { readonly audit: boolean }): CompiledFilters {
  return filtersOf(resolveProfile(profile, { load, overrides: [] }).policy, audit);
}

export interface BenchPlanOptions {
  /** "none" leaves the cgroup out, whatever the host has. */
  readonly cgroup: CgroupFacts["kind"];
  readonly audit?: boolean;
}

/** A plan for a root file system in a directory. Null where the host has no such cgroup. */
export function benchPlan(rootfs: string, { cgroup, audit = true }: BenchPlanOptions): BenchPlan | null {
  const overrides = [{ path: "rootfs", value: { kind: "directory", path: rootfs }, origin: "the benchmark" }];
  const { policy } = resolveProfile("default", { load, overrides });
  const facts = probeHostFacts({ policy, config: loadConfig() });
  const wanted: CgroupFacts = cgroup === "none" ? { kind: "none", reason: "left out by the benchmark" } : facts.cgroup;
  if (wanted.kind !== cgroup) return null;
  // The plan is carried out many times, and by the launcher alone: nobody asks the user's manager of systemd for a scope.
  if (wanted.kind === "cgroup2" && wanted.scope === true) return null;
  const { plan, enforcement } = compilePlan({
    policy,
    facts: { ...facts, cgroup: wanted },
    request,
    filters: filtersOf(policy, audit),
  });
  return { bytes: Buffer.concat([encodeSandbox(plan.sandbox), encodeExec(plan.exec)]), enforcement: enforcement as Record<string, string> };
}
