/** ResolvedPolicy, facts of the host and the request -> LaunchPlan: complete, deterministic, without effects. */
import type { ResolvedPolicy } from "../profile/types.ts";
import type { AuditFilters } from "../seccomp/audit-types.ts";
import type { EnforcementValue, RunReport } from "../verdict/report-types.ts";
import { applyLimits } from "./applied.ts";
import { planCgroups } from "./cgroup.ts";
import { compileExec } from "./exec.ts";
import { compileIds } from "./ids.ts";
import { checkRequired, chooseMechanisms, limitWarnings, type Mechanisms } from "./limits.ts";
import { compileSandbox } from "./sandbox.ts";
import type { CompileWarning, HostFacts, LaunchPlan, RunRequest } from "./types.ts";

export { scopeUnit } from "./cgroup.ts";
export { controllersOfRequired } from "./limits.ts";
export { writableVolumes } from "./mounts.ts";
export { workPath } from "./paths.ts";

export interface CompileInput {
  readonly policy: ResolvedPolicy;
  readonly facts: HostFacts;
  readonly request: RunRequest;
  /** struct sock_filter[] of the ceiling and of the profile, the latter empty for none; and what takes their place where calls are audited. */
  readonly filters: { readonly base: Uint8Array; readonly profile: Uint8Array; readonly audit?: AuditFilters | null };
}

export interface CompileResult {
  readonly plan: LaunchPlan;
  readonly warnings: readonly CompileWarning[];
  /** What the plan sets up; the report says what held. */
  readonly enforcement: RunReport["enforcement"];
}

/**
 * Throws BelljarError: `usage` (command, environment, ids, working directory), `profile-invalid` (contradictions),
 * `limit-unenforceable`, `guard-unavailable`, `rootfs-invalid`, `not-supported`.
 */
export function compilePlan({ policy: asked, facts, request, filters }: CompileInput): CompileResult {
  const ids = compileIds({ policy: asked, facts, request });
  const applied = applyLimits({ policy: asked, facts, initCounts: ids.initUid === ids.programUid });
  const policy = { ...asked, limits: applied.limits };
  const cgroups = planCgroups({ runId: request.runId, facts: facts.cgroup, limits: policy.limits, programIsCaller: ids.programIsCaller });
  const mechanisms = chooseMechanisms({ policy, facts, cgroups });
  checkRequired({ policy, facts, cgroups }, mechanisms);
  const audit = filters.audit ?? null;
  const sandbox = compileSandbox({
    ...{ policy, facts, request, ids, cgroups },
    baseFilter: filters.base,
    auditBaseFilter: audit?.base ?? new Uint8Array(),
  });
  const exec = compileExec({ policy, facts, request, ids, cgroups, mechanisms, filter: filters.profile, audit });
  return {
    plan: { sandbox, exec },
    // What a profile loosens, whatever the host, the profile layer has said already.
    warnings: [...applied.warnings, ...limitWarnings(mechanisms, facts)],
    enforcement: {
      ...enforcementOf(mechanisms),
      seccomp: filters.profile.length > 0 ? "enforced" : "none",
      landlock: sandbox.landlockWanted ? "enforced" : "none",
      ...(audit === null ? {} : { audit: "enforced" as const }),
    },
  };
}

function enforcementOf(mechanisms: Mechanisms): RunReport["enforcement"] {
  const asked = Object.entries(mechanisms).filter(([, mechanism]) => mechanism !== "notAsked");
  return Object.fromEntries(asked) as Readonly<Record<string, EnforcementValue>>;
}
