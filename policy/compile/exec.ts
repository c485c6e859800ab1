import { BelljarError } from "../errors.ts";
import type { ResolvedPolicy } from "../profile/types.ts";
import type { AuditFilters } from "../seccomp/audit-types.ts";
import type { ExecPlan } from "../wire/wire.gen.ts";
import { capabilityBits } from "./capabilities.ts";
import { type CgroupPlan, cgroupWrites, wholePages } from "./cgroup.ts";
import { checkExecTexts, compileEnv } from "./env.ts";
import type { CompiledIds } from "./ids.ts";
import { compileCpus, type Mechanisms, mechanismNumbers, requiredMask } from "./limits.ts";
import { sandboxPath } from "./paths.ts";
import { compileRlimits } from "./rlimits.ts";
import type { HostFacts, RunRequest } from "./types.ts";

interface ExecInput {
  readonly policy: ResolvedPolicy;
  readonly facts: HostFacts;
  readonly request: RunRequest;
  readonly ids: CompiledIds;
  readonly cgroups: CgroupPlan;
  readonly mechanisms: Mechanisms;
  readonly filter: Uint8Array;
  readonly audit: AuditFilters | null;
}

const noOutputLimit = 0xffff_ffff_ffff_ffffn;
/** The launcher keeps a descriptor for each. */
const maxFiles = 256;
const maxGroups = 32;

/** Those that the map has, as many as the launcher takes: a group that cannot be given only takes rights away. */
function mappedGroups({ gidMaps }: CompiledIds, { user }: RunRequest): readonly number[] {
  const isMapped = (id: number): boolean => gidMaps.some(({ containerId, size }) => id >= containerId && id < containerId + size);
  return (user?.groups ?? []).filter(isMapped).slice(0, maxGroups);
}

/** What runs: OCI's `process`, the run's files and its limits. */
export function compileExec({ policy, facts, request, ids, cgroups, mechanisms, filter, audit }: ExecInput): ExecPlan {
  const { limits } = policy;
  const env = compileEnv(policy, request);
  checkExecTexts({ argv: request.command, env, pageSize: facts.pageSize, stackBytes: limits.stack });
  for (const [what, files] of [["in", request.filesIn] as const, ["out", request.filesOut] as const])
    if (files.length > maxFiles)
      throw new BelljarError("usage", `compiling the plan: ${files.length} files to copy ${what}: more than ${maxFiles}`, {
        hint: "mount a folder with -v, or pack them into one file",
      });
  const stdio = request.terminal ? ("terminal" as const) : null;
  return {
    parked: false,
    argv: request.command,
    interpreterFallback: false,
    env,
    cwd: sandboxPath(request.cwd ?? policy.process.workdir, { what: "working directory", code: "usage" }),
    uid: ids.programUid,
    gid: ids.programGid,
    groups: ids.denySetgroups ? [] : mappedGroups(ids, request),
    capabilities: capabilityBits(policy.capabilities),
    umask: policy.process.umask,
    rlimits: compileRlimits({ limits, mechanisms, initCounts: ids.initUid === ids.programUid, coreIsClosed: facts.core.closed }),
    cpus: compileCpus({ policy, facts }),
    stdin: stdio ?? request.stdin,
    stdout: stdio ?? "pump",
    stderr: stdio ?? "pump",
    filter,
    auditFilter: audit?.profile ?? new Uint8Array(),
    auditSlots: audit?.slots.map(({ action, error }) => ({ action, error })) ?? [],
    auditArguments: audit?.arguments ?? [],
    cgroupWrites: cgroupWrites({ cgroups, limits, pageSize: facts.pageSize }),
    wallMs: BigInt(limits.wallTime ?? 0),
    stopSignal: policy.process.stopSignal ?? 0,
    stopMs: BigInt(policy.process.stopSignal === null ? 0 : policy.process.stopTimeout),
    cpuMs: BigInt(limits.cpuTime ?? 0),
    sampleMs: BigInt(request.sampleMs),
    memoryBytes: limits.memory === null ? 0n : BigInt(wholePages(limits.memory, facts.pageSize)),
    processes: BigInt(limits.processes ?? 0),
    outputBytes: limits.output === null ? noOutputLimit : BigInt(limits.output),
    mechanisms: mechanismNumbers(mechanisms),
    requiredMask: requiredMask(policy.required),
    filesIn: request.filesIn,
    filesOut: request.filesOut.map(({ source, hostPath, maxBytes }) => ({ source, hostPath, maxBytes: BigInt(maxBytes) })),
  };
}
