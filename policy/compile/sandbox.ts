import { BelljarError } from "../errors.ts";
import type { ResolvedPolicy } from "../profile/types.ts";
import type { Namespace, SandboxPlan } from "../wire/wire.gen.ts";
import { capabilityBits } from "./capabilities.ts";
import type { CgroupPlan } from "./cgroup.ts";
import { type CompanionInput, type Confinement, companion } from "./companions.ts";
import type { CompiledIds } from "./ids.ts";
import { compileLandlock } from "./landlock.ts";
import { compileMounts } from "./mounts.ts";
import { workPath } from "./paths.ts";
import type { HostFacts, RunRequest } from "./types.ts";

interface SandboxInput {
  readonly policy: ResolvedPolicy;
  readonly facts: HostFacts;
  readonly request: RunRequest;
  readonly ids: CompiledIds;
  readonly cgroups: CgroupPlan;
  readonly baseFilter: Uint8Array;
  readonly auditBaseFilter: Uint8Array;
}

/** In the wire table's order, as the decoder gives them back. */
function namespaces(policy: ResolvedPolicy): readonly Namespace[] {
  const always = ["user", "mount", "pid", "ipc", "uts", "cgroup"] as const;
  return policy.network.mode === "host" ? always : [...always, "network"];
}

/** To look everywhere, whatever its mode. */
const countCapabilities = ["CAP_DAC_READ_SEARCH", "CAP_DAC_OVERRIDE"];
const countDeadlineMs = 10_000;

interface ScratchInput {
  readonly facts: HostFacts;
  readonly companions: SandboxPlan["companions"];
  readonly confinement: Confinement;
}

/** A folder has no limit of its own: a companion counts what is in it, and goes before the others, which may take long to be ready. */
function scratchOf(
  { scratch }: ResolvedPolicy,
  { facts, companions, confinement }: ScratchInput,
): Pick<SandboxPlan, "scratchPath" | "companions"> {
  if (scratch.storage === "memory") return { scratchPath: "", companions };
  if (facts.diskScratch === null) throw new BelljarError("internal", "compiling the plan: there is no scratch folder");
  const { path, apply } = facts.diskScratch;
  const counter: CompanionInput = {
    argv: [apply, "usage", path],
    capabilities: countCapabilities,
    ready: "usage",
    deadlineMs: countDeadlineMs,
    reads: [path],
    writes: [],
  };
  return { scratchPath: path, companions: [companion(counter, confinement), ...companions] };
}

/** What exists before any program is known. */
export function compileSandbox({ policy, facts, request, ids, cgroups, baseFilter, auditBaseFilter }: SandboxInput): SandboxPlan {
  if (!/^[a-z0-9-]{1,64}$/.test(request.runId)) throw new BelljarError("internal", `compiling the plan: run id '${request.runId}'`);
  const { initUid: _initUid, programIsCaller: _programIsCaller, ...idFields } = ids;
  const confinement = { filter: baseFilter, network: policy.network.mode };
  const { filesystem, ...root } = compileMounts({ policy, facts, request, uid: ids.programUid, gid: ids.programGid, confinement });
  return {
    runId: request.runId,
    namespaces: namespaces(policy),
    ...idFields,
    userNamespaces: policy.namespaces.user,
    hostname: policy.process.hostname,
    network: policy.network.mode === "host" ? "host" : "private",
    // In whole pages, as tmpfs gives them out.
    scratchBytes: BigInt(Math.ceil((policy.limits.disk ?? 0) / facts.pageSize) * facts.pageSize),
    scratchInodes: BigInt(policy.limits.inodes ?? 0),
    ...root,
    ...scratchOf(policy, { facts, companions: root.companions, confinement }),
    workPath,
    filesystem,
    cgroups: cgroups.hierarchies,
    boundingSet: capabilityBits(policy.capabilities),
    baseFilter,
    auditBaseFilter,
    ...compileLandlock(policy, { filesystem, rootReadOnly: root.rootReadOnly }),
  };
}
