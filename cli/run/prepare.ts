import { compilePlan, scopeUnit } from "../../policy/compile/index.ts";
import type { CgroupFacts, HostFacts, LaunchPlan } from "../../policy/compile/types.ts";
import { BelljarError } from "../../policy/errors.ts";
import type { ResolvedPolicy } from "../../policy/profile/types.ts";
import type { AuditContext } from "../../policy/verdict/denials.ts";
import type { RunReport } from "../../policy/verdict/report-types.ts";
import { encodeExec, encodeSandbox } from "../../policy/wire/encode.ts";
import type { PlainFacts } from "../host/facts.ts";
import type { Scope } from "../host/systemd-scope.ts";
import { maxCaptureBytes } from "./capture.ts";
import { checkVolumeSource } from "./files.ts";
import type { Override, ProgramInput, RunInput, SandboxInput } from "./input.ts";
import { withLimitRemedy } from "./limit-remedy.ts";
import { type KnownProfile, resolveOnce } from "./profile-cache.ts";
import { loadProfile } from "./profiles.ts";
import { type Wish, wishOf, withImage } from "./request.ts";
import { openRoot, type Root, type RootContext } from "./root.ts";

export interface PreparedRun {
  readonly policy: ResolvedPolicy;
  /** As asked for: the script itself, where there is one. */
  readonly command: readonly string[];
  /** Whether the command may be a file of the caller's. */
  readonly hostScripts: boolean;
  readonly plan: LaunchPlan;
  /** What the user's manager of systemd has to make before the plan can be carried out. */
  readonly scope: Scope | null;
  /** The host file that is run, where there is one. */
  readonly scriptPath: string | null;
  /** Files that the profile was read from. */
  readonly profileFiles: readonly string[];
  readonly sandboxBytes: Uint8Array;
  readonly execBytes: Uint8Array;
  readonly profileDigest: string;
  readonly filterDigest: string;
  /** How refused calls are told of; null where they are not heard. */
  readonly audit: AuditContext | null;
  /** What the plan sets up for each limit and guard. */
  readonly enforcement: RunReport["enforcement"];
  /** Of each stream, when streams are captured. */
  readonly captureBytes: number;
  readonly warnings: readonly string[];
  /** What the plan was made for. */
  readonly host: HostFacts;
  /** Where a program starts that files are copied in for. */
  readonly filesCwd: string;
  /** What an image puts before a command. */
  readonly entrypoint: readonly string[];
  /** Of the image: its name in the store and the digest of its manifest. */
  readonly image: string | null;
  /** Lets go of what the run needed to stay as it was. */
  release(): Promise<void>;
}

export interface PrepareContext extends RootContext {
  readonly runId?: string;
  /** For runs at other times, from other environments: nothing of this moment goes into the plan, nor what only a run can have made for itself. */
  readonly ahead?: boolean;
}

/** Where somebody else makes the sandbox of a run: what its plan has to be made for. */
export interface Venue {
  readonly runId: string;
  readonly cgroup: CgroupFacts;
  /** Limits of the session that makes it; else the caller's own. */
  readonly limits?: Partial<PlainFacts>;
}

/** A run that may be planned for several places, of which it takes one. */
export interface OpenRun {
  /** Throws BelljarError; each plan is released with the run. */
  plan(venue: Venue | null): Promise<PreparedRun>;
  readonly policy: ResolvedPolicy;
  readonly plainFacts: PlainFacts;
  release(): Promise<void>;
}

/** A sandbox for any number of runs: what they have in common has been done. */
export interface PreparedSandbox {
  /** Compiles one program, under limits of its own where some are given, and under that name, or for that place, where it has one already. Throws BelljarError; else `release` must be called after the run. */
  planRun(program: ProgramInput, limits: readonly Override[], where?: string | Venue): Promise<PreparedRun>;
  /** Whether what is made for one run can serve another: not where it lies in a folder or a systemd scope of the run's own. */
  readonly canBeMadeAhead: boolean;
  readonly policy: ResolvedPolicy;
  readonly plainFacts: PlainFacts;
  /** Where the cgroups of its runs are made; this may move the process. */
  cgroup(): CgroupFacts;
  /** To be called when the last run has been released. */
  release(): Promise<void>;
}

function volumeOverrides(volumes: SandboxInput["volumes"]): readonly Override[] {
  return volumes.map((volume) => ({
    path: "mounts[+]",
    value: { kind: "bind", source: checkVolumeSource(volume), target: volume.target, access: volume.access },
    origin: `option --volume ${volume.source}:${volume.target}`,
  }));
}

/** Captured streams are held in memory, so they always have a limit; the report names it like any other. */
function withCaptureLimit(policy: ResolvedPolicy, capture: boolean): ResolvedPolicy {
  const { output } = policy.limits;
  if (!capture || (output !== null && output <= maxCaptureBytes)) return policy;
  return { ...policy, limits: { ...policy.limits, output: maxCaptureBytes } };
}

/** Mount sources of the profile itself must be there before anything starts. */
function checkMounts(policy: ResolvedPolicy): void {
  for (const mount of policy.mounts) if (mount.kind === "bind" && !mount.optional) checkVolumeSource(mount);
}

/** What a run at another time will find of this host: not the scope that it would have to ask for. */
export function factsAhead(facts: HostFacts): HostFacts {
  if (!hasScope(facts)) return facts;
  return { ...facts, cgroup: { kind: "none", reason: "a compiled plan cannot ask the user's manager of systemd for a scope" } };
}

const noScope =
  "limits are planned without a cgroup: a run of a compiled plan cannot ask the user's manager of systemd for one; 'belljar run' does";

function refuseFolder({ scratch }: ResolvedPolicy): void {
  if (scratch.storage === "disk")
    throw new BelljarError(
      "not-supported",
      'compiling the plan: scratch.storage "disk": each run needs a folder of its own, which only belljar itself makes',
      {
        hint: "--set scratch.storage=memory",
      },
    );
}

const hasScope = ({ cgroup }: HostFacts): boolean => cgroup.kind === "cgroup2" && cgroup.scope === true;

function scopeOf({ sandbox }: LaunchPlan, facts: HostFacts): Scope | null {
  const [hierarchy] = sandbox.cgroups;
  if (!hasScope(facts) || hierarchy === undefined) return null;
  return { unit: scopeUnit(sandbox.runId), path: hierarchy.parent };
}

/** For a plan that is carried out here, or in another's place. */
const factsAt = (root: Root, policy: ResolvedPolicy, venue: Venue | null): HostFacts =>
  venue === null ? root.factsFor(policy) : { ...root.plainFacts, ...venue.limits, cgroup: venue.cgroup };

async function planOn(
  root: Root,
  { policy: asked, provenance, files, warnings: said, digest }: KnownProfile,
  wish: Wish,
  host: HostFacts,
): Promise<PreparedRun> {
  const { layered } = root;
  const { input } = wish;
  const filters = await root.filtersFor(asked);
  const image = layered?.facts.image ?? null;
  const { policy, request } = await withImage(wish, { policy: asked, provenance, image });
  const scratch = await root.takeScratch();
  const release = async (): Promise<void> => scratch?.remove();
  try {
    const facts = {
      ...host,
      layeredRootfs: layered?.facts ?? null,
      diskScratch: scratch === null ? null : { path: scratch.path, apply: scratch.apply },
    };
    const { plan, warnings, enforcement } = compilePlan({ policy, facts, request, filters });
    const asTyped = input.script === null ? input.command : [input.script, ...input.command];
    return {
      policy,
      command: wish.isHostScript ? asTyped : request.command,
      // An image's own command is none of the caller's files.
      hostScripts: input.hostScripts && (wish.isHostScript || request.command[0] === asTyped[0]),
      plan,
      scope: scopeOf(plan, facts),
      host,
      filesCwd: request.cwd === null ? asked.process.workdir : plan.exec.cwd,
      entrypoint: image === null ? [] : (input.entrypoint ?? image.config.entrypoint),
      image: image?.name ?? null,
      scriptPath: request.script?.hostPath ?? null,
      profileFiles: files,
      sandboxBytes: encodeSandbox(plan.sandbox),
      execBytes: encodeExec(plan.exec),
      profileDigest: digest,
      filterDigest: filters.digest,
      audit: filters.audit === null ? null : { ...filters.audit, arch: host.arch },
      enforcement,
      captureBytes: policy.limits.output ?? maxCaptureBytes,
      warnings: [...said, ...filters.warnings, ...(layered?.warnings ?? []), ...warnings.map((warning) => warning.message)],
      release,
    };
  } catch (error) {
    await release();
    throw await withLimitRemedy(error, asked, root.config);
  }
}

/** Of a judge with many problems; each holds a few kilobytes. */
const maxVariants = 64;

/**
 * Does what can be done before a program is known: resolves the profile, probes the host, makes filters and image ready. Nothing is
 * read again for a run, so all runs of the sandbox are alike. Throws BelljarError.
 */
export async function prepareSandbox(input: SandboxInput, context: RootContext): Promise<PreparedSandbox> {
  const loaded = new Map<string, ReturnType<typeof loadProfile>>();
  const load: typeof loadProfile = (reference, fromFile) => {
    const key = JSON.stringify([reference, fromFile]);
    const profile = loaded.get(key) ?? loadProfile(reference, fromFile);
    loaded.set(key, profile);
    return profile;
  };
  const overrides = [...input.overrides, ...volumeOverrides(input.volumes)];
  const base = await resolveOnce({ reference: input.profile, overrides, load });
  checkMounts(base.profile.policy);
  const root = await openRoot(base, input, context);
  const variants = new Map<string, KnownProfile>();
  const underLimits = async (limits: readonly Override[]): Promise<KnownProfile> => {
    if (limits.length === 0) return base.profile;
    const key = JSON.stringify(limits);
    const known = variants.get(key);
    if (known !== undefined) return known;
    const { profile } = await resolveOnce({ reference: input.profile, overrides: [...overrides, ...limits], load });
    if (variants.size >= maxVariants) variants.clear();
    variants.set(key, profile);
    return profile;
  };
  return {
    planRun: async (program, limits, where) => {
      const resolved = await underLimits(limits);
      const policy = withCaptureLimit(resolved.policy, program.capture);
      const venue = typeof where === "object" ? where : null;
      const runId = venue?.runId ?? (where as string | undefined);
      const wish = wishOf({ ...input, ...program }, { policy, environment: context.environment, runId });
      return planOn(root, { ...resolved, policy }, wish, factsAt(root, policy, venue));
    },
    get canBeMadeAhead() {
      return base.profile.policy.scratch.storage !== "disk" && !hasScope(root.factsFor(base.profile.policy));
    },
    policy: base.profile.policy,
    plainFacts: root.plainFacts,
    cgroup: () => root.factsFor(base.profile.policy).cgroup,
    release: root.release,
  };
}

/**
 * Everything between a request and a plan: resolves the profile, checks the caller's files, probes the host, makes an image ready. But for the
 * image store nothing has been started or changed when it throws a BelljarError; when it does not, `release` must be called after the run.
 */
export async function openRun(input: RunInput, context: PrepareContext): Promise<OpenRun> {
  const resolved = await resolveOnce({ reference: input.profile, overrides: [...input.overrides, ...volumeOverrides(input.volumes)] });
  const { profile, keep } = resolved;
  const policy = withCaptureLimit(profile.policy, input.capture);
  const { ahead = false } = context;
  const wish = wishOf(input, { policy, environment: ahead ? {} : context.environment, runId: context.runId, ahead });
  checkMounts(policy);
  if (ahead) refuseFolder(policy);
  const root = await openRoot({ profile: { ...profile, policy }, keep }, input, context);
  const plans: PreparedRun[] = [];
  return {
    plan: async (venue) => {
      const there = venue === null ? wish : { ...wish, request: { ...wish.request, runId: venue.runId } };
      const found = factsAt(root, policy, venue);
      const host = ahead ? factsAhead(found) : found;
      const warnings = host === found ? profile.warnings : [...profile.warnings, noScope];
      const run = await planOn(root, { ...profile, policy, warnings }, there, host);
      plans.push(run);
      return run;
    },
    policy,
    plainFacts: root.plainFacts,
    release: async () => {
      for (const run of plans) await run.release();
      await root.release();
    },
  };
}

/** The same, with the plan of a run that makes its sandbox itself, compiled and encoded. */
export async function prepareRun(input: RunInput, context: PrepareContext): Promise<PreparedRun> {
  const run = await openRun(input, context);
  try {
    return { ...(await run.plan(null)), release: run.release };
  } catch (error) {
    await run.release();
    throw error;
  }
}
