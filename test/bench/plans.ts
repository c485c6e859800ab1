/** Encoded plans for the launcher alone: the default profile on a directory, as `belljar run --rootfs DIR -- /bin/true` would make them. */
import { loadConfig } from "../../cli/host/config.ts";
import { probeHostFacts } from "../../cli/host/facts.ts";
import { compilePlan } from "../../policy/compile/index.ts";
import type { CgroupFacts, LayeredRootfsFacts, RunRequest } from "../../policy/compile/types.ts";
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
  // As long as a run server wants it, which puts names of its own there.
  runId: `belljar-run-${String(process.pid).padStart(10, "0")}-${"0".repeat(16)}`,
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
  readonly cgroup?: CgroupFacts["kind"];
  readonly audit?: boolean;
  /** Fields of the profile, by path. */
  readonly set?: Readonly<Record<string, unknown>>;
  readonly command?: readonly string[];
  /** Trees in overlay form in the place of the root file system, lowest first. */
  readonly layers?: readonly string[];
}

/** A plan for a root file system in a directory. Null where the host has no such cgroup. */
function planFor(rootfs: string, options: BenchPlanOptions) {
  const { cgroup = "none", audit = true, set = {}, command = request.command, layers = null } = options;
  const kind = layers === null ? { kind: "directory", path: rootfs } : { kind: "image", reference: "bench" };
  const overrides = Object.entries({ rootfs: kind, ...set }).map(([path, value]) => ({ path, value, origin: "the benchmark" }));
  const { policy } = resolveProfile("default", { load, overrides });
  const facts = probeHostFacts({ policy, config: loadConfig() });
  const wanted: CgroupFacts = cgroup === "none" ? { kind: "none", reason: "left out by the benchmark" } : facts.cgroup;
  if (wanted.kind !== cgroup) return null;
  // The plan is carried out many times, and by the launcher alone: nobody asks the user's manager of systemd for a scope.
  if (wanted.kind === "cgroup2" && wanted.scope === true) return null;
  return compilePlan({
    policy,
    facts: { ...facts, cgroup: wanted, ...(layers === null ? {} : { layeredRootfs: layered(layers) }) },
    request: { ...request, command },
    filters: filtersOf(policy, audit),
  });
}

function layered(layers: readonly string[]): LayeredRootfsFacts {
  const config = { entrypoint: [], command: [], env: [], workdir: "", stopSignal: "" };
  return { layers, driver: "kernel", fuseOverlayfs: null, apply: "/usr/bin/false", image: { name: "bench", config, user: null } };
}

export function benchPlan(rootfs: string, options: BenchPlanOptions): BenchPlan | null {
  const compiled = planFor(rootfs, options);
  if (compiled === null) return null;
  const { plan, enforcement } = compiled;
  return { bytes: Buffer.concat([encodeSandbox(plan.sandbox), encodeExec(plan.exec)]), enforcement: enforcement as Record<string, string> };
}

/** A sandbox to be made ahead, and the exec part that a run in it is started with. */
export function benchParked(rootfs: string, options: BenchPlanOptions = {}): { readonly template: Uint8Array; readonly exec: Uint8Array } {
  const compiled = planFor(rootfs, options);
  if (compiled === null) throw new Error("the host has no such cgroup");
  const { sandbox, exec } = compiled.plan;
  return { template: Buffer.concat([encodeSandbox(sandbox), encodeExec({ ...exec, parked: true })]), exec: encodeExec(exec) };
}
