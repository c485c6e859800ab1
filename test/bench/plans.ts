/** Encoded plans for the launcher alone: the default profile on a directory, as `belljar run --rootfs DIR -- /bin/true` would make them. */
import { loadConfig } from "../../cli/host/config.ts";
import { probeHostFacts } from "../../cli/host/facts.ts";
import { compilePlan } from "../../policy/compile/index.ts";
import type { CgroupFacts, RunRequest } from "../../policy/compile/types.ts";
import { loadBuiltin, resolveProfile } from "../../policy/profile/index.ts";
import { compileBaseFilter, compileFilter } from "../../policy/seccomp/compile.ts";
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

/** A plan for a root file system in a directory; "none" leaves the cgroup out, whatever the host has. Null where the host has no such cgroup. */
export function benchPlan(rootfs: string, cgroup: CgroupFacts["kind"]): BenchPlan | null {
  const load = (name: string) => {
    const loaded = loadBuiltin(name);
    if (loaded === null) throw new Error(`no built-in profile ${name}`);
    return loaded;
  };
  const overrides = [{ path: "rootfs", value: { kind: "directory", path: rootfs }, origin: "the benchmark" }];
  const { policy } = resolveProfile("default", { load, overrides });
  const facts = probeHostFacts({ policy, config: loadConfig() });
  const wanted: CgroupFacts = cgroup === "none" ? { kind: "none", reason: "left out by the benchmark" } : facts.cgroup;
  if (wanted.kind !== cgroup) return null;
  // The plan is carried out many times, and by the launcher alone: nobody asks the user's manager of systemd for a scope.
  if (wanted.kind === "cgroup2" && wanted.scope === true) return null;
  const filter = { arch: facts.arch, seccomp: policy.seccomp, capabilities: policy.capabilities, userNamespaces: policy.namespaces.user };
  const { plan, enforcement } = compilePlan({
    policy,
    facts: { ...facts, cgroup: wanted },
    request,
    filters: { base: compileBaseFilter(filter).bytes, profile: compileFilter(filter).bytes },
  });
  return { bytes: Buffer.concat([encodeSandbox(plan.sandbox), encodeExec(plan.exec)]), enforcement: enforcement as Record<string, string> };
}
