/** What the soak sends: one compiled plan for the server, and an exec part for each program of its table. */
import { loadConfig } from "../../cli/host/config.ts";
import { probeHostFacts } from "../../cli/host/facts.ts";
import { compilePlan } from "../../policy/compile/index.ts";
import type { RunRequest } from "../../policy/compile/types.ts";
import { loadBuiltin, resolveProfile } from "../../policy/profile/index.ts";
import { compileFilters } from "../../policy/seccomp/filters.ts";
import { encodeExec, encodeSandbox } from "../../policy/wire/index.ts";
import type { ExecPlan, LaunchPlan } from "./wire.ts";

export { compileFile } from "../helpers/compile.ts";

export interface SoakProgram {
  readonly name: string;
  readonly argv: readonly string[];
  readonly env?: readonly (readonly [string, string])[];
  readonly limits?: Readonly<Record<string, string | number>>;
  /** Of the exec part, after it was compiled: what no option asks for. */
  readonly exec?: Partial<ExecPlan>;
}

const load = (name: string) => {
  const loaded = loadBuiltin(name);
  if (loaded === null) throw new Error(`no built-in profile ${name}`);
  return loaded;
};

function planOf(
  rootfs: string,
  { argv, env = [], limits = {} }: SoakProgram,
  usual: Readonly<Record<string, string | number>>,
): LaunchPlan {
  const overrides = [
    { path: "rootfs", value: { kind: "directory", path: rootfs }, origin: "the soak" },
    ...Object.entries({ ...usual, ...limits }).map(([name, value]) => ({ path: `limits.${name}`, value, origin: "the soak" })),
  ];
  const { policy } = resolveProfile("judge", { load, overrides });
  const arch = process.arch === "arm64" ? "aarch64" : "x86_64";
  const filterInput = { arch, seccomp: policy.seccomp, capabilities: policy.capabilities, userNamespaces: policy.namespaces.user } as const;
  const request: RunRequest = {
    runId: "belljar-run-0000000000-0000000000000000",
    command: argv,
    cwd: null,
    env,
    inherited: {},
    user: null,
    terminal: false,
    stdin: "pump",
    filesIn: [],
    sampleMs: 0,
    filesOut: [],
    script: null,
  };
  const facts = probeHostFacts({ policy, config: loadConfig() });
  return compilePlan({ policy, facts, request, filters: compileFilters(filterInput, "audit") }).plan;
}

/** Throws when a program asks for another sandbox than the rest: it would have to run by itself. */
export function soakPlans(rootfs: string, programs: readonly SoakProgram[], usual: Readonly<Record<string, string | number>>) {
  const template = planOf(rootfs, { name: "template", argv: ["/bin/true"] }, usual);
  const sandbox = Buffer.from(encodeSandbox(template.sandbox));
  const parts = programs.map((program) => {
    const plan = planOf(rootfs, program, usual);
    if (!sandbox.equals(encodeSandbox(plan.sandbox))) throw new Error(`${program.name}: needs another sandbox`);
    return [program.name, Buffer.from(encodeExec({ ...plan.exec, ...program.exec }))] as const;
  });
  return {
    file: Buffer.concat([sandbox, encodeExec({ ...template.exec, parked: true })]),
    parts: Object.fromEntries(parts),
    cgroupParents: template.sandbox.cgroups.map(({ parent }) => parent),
  };
}
