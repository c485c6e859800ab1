import { posix } from "node:path";
import { compilePlan, scopeUnit } from "../../policy/compile/index.ts";
import { isLayered } from "../../policy/compile/rootfs.ts";
import type { HostFacts, ImageFacts, LaunchPlan, RunRequest } from "../../policy/compile/types.ts";
import { BelljarError } from "../../policy/errors.ts";
import type { Provenance, ResolvedPolicy } from "../../policy/profile/types.ts";
import type { AuditPurpose } from "../../policy/seccomp/audit-types.ts";
import type { AuditContext } from "../../policy/verdict/denials.ts";
import type { RunReport } from "../../policy/verdict/report-types.ts";
import { encodeExec, encodeSandbox } from "../../policy/wire/encode.ts";
import type { Config } from "../host/config.ts";
import { probeHostFacts } from "../host/facts.ts";
import type { ScratchFolder } from "../host/scratch-folder.ts";
import type { Scope } from "../host/systemd-scope.ts";
import { maxCaptureBytes } from "./capture.ts";
import { resolveCommand } from "./command.ts";
import { checkFilesIn, checkFilesOut, checkVolumeSource } from "./files.ts";
import { filtersFor } from "./filters.ts";
import type { Override, RunInput } from "./input.ts";
import type { ImageProgress, LayeredRoot } from "./layered.ts";
import { workFolder } from "./paths.ts";
import { resolveOnce } from "./profile-cache.ts";
import { checkVariableBytes } from "./raw-text.ts";
import { parseUser } from "./user.ts";

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
  /** Of the image: its name in the store and the digest of its manifest. */
  readonly image: string | null;
  /** Lets go of what the run needed to stay as it was. */
  release(): Promise<void>;
}

export interface PrepareContext {
  /** Shown while an image is pulled and unpacked. */
  readonly progress?: ImageProgress;
  /** Ends the wait for an image. */
  readonly signal?: AbortSignal;
  readonly config: Config;
  readonly environment: Readonly<Record<string, string | undefined>>;
  /** Names the run's cgroup; one of its own unless given, as a plan that is only shown needs. */
  readonly runId?: string;
  /** Which calls are heard, whatever the profile says. */
  readonly purpose?: AuditPurpose;
}

/** Where `--out-max` and the disk limit say nothing. */
const defaultOutMaxBytes = 256 * 1024 * 1024;

function volumeOverrides(input: RunInput): readonly Override[] {
  return input.volumes.map((volume) => ({
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

/** Variables of the caller that the profile lets through. */
function inheritedEnv(names: readonly string[], environment: PrepareContext["environment"]): Readonly<Record<string, string>> {
  return Object.fromEntries(
    names.flatMap((name) => {
      const value = environment[name];
      if (value !== undefined) checkVariableBytes(name, value);
      return value === undefined ? [] : [[name, value] as const];
    }),
  );
}

/** Mount sources of the profile itself must be there before anything starts. */
function checkMounts(policy: ResolvedPolicy): void {
  for (const mount of policy.mounts) if (mount.kind === "bind" && !mount.optional) checkVolumeSource(mount);
}

interface Asked {
  readonly request: RunRequest;
  readonly isHostScript: boolean;
}

function requestOf(input: RunInput, policy: ResolvedPolicy, { environment, runId }: PrepareContext): Asked {
  const filesIn = checkFilesIn(input.filesIn, policy.limits);
  const isImage = policy.rootfs.kind === "image";
  if (!isImage && input.script === null && (input.command.length === 0 || input.command[0] === ""))
    throw new BelljarError("usage", "reading options: no command to run", {
      hint: "belljar run [OPTIONS] -- COMMAND [ARG...], for example: belljar run -- echo hello",
    });
  if (!isImage && input.entrypoint !== null)
    throw new BelljarError("usage", "reading options: '--entrypoint': only images have one", { hint: "-i IMAGE runs on an image" });
  const { argv, script, isHostScript } = resolveCommand(input, filesIn);
  if (argv.some((word) => word.includes("\0")))
    throw new BelljarError("usage", "reading options: an argument cannot contain a NUL character");
  const request = {
    // Whose run it is, for `belljar gc`, and which of theirs.
    runId: runId ?? `belljar-run-${process.pid}-${process.hrtime.bigint().toString(16)}`,
    command: argv,
    cwd: input.workdir === null ? null : posix.resolve(workFolder, input.workdir),
    env: input.env,
    inherited: inheritedEnv(policy.process.inheritEnv, environment),
    // Who a user of an image is, says the image.
    user: input.user === null || isImage ? null : parseUser(input.user, policy),
    terminal: input.terminal,
    stdin: input.stdin,
    sampleMs: input.sampleMs,
    filesIn,
    filesOut: checkFilesOut(input.filesOut, input.outMaxBytes ?? policy.limits.disk ?? defaultOutMaxBytes),
    script,
  };
  return { request, isHostScript };
}

/** What the image asks for, where the user asks for nothing else. */
async function withImage(
  { request, isHostScript }: Asked,
  {
    policy,
    provenance,
    input,
    image,
  }: { readonly policy: ResolvedPolicy; readonly provenance: Provenance; readonly input: RunInput; readonly image: ImageFacts | null },
): Promise<Pick<PreparedRun, "policy"> & { readonly request: RunRequest }> {
  if (image === null) return { policy, request };
  const { applyImage, imageCommand } = await import("../../policy/compile/image.ts");
  const { entrypoint } = input;
  const command = isHostScript ? request.command : imageCommand(image.config, { command: request.command, entrypoint });
  return applyImage({ policy, request: { ...request, command }, image, optionUser: input.user !== null, provenance });
}

function scopeOf({ sandbox }: LaunchPlan, { cgroup }: HostFacts): Scope | null {
  const [hierarchy] = sandbox.cgroups;
  if (cgroup.kind !== "cgroup2" || cgroup.scope !== true || hierarchy === undefined) return null;
  return { unit: scopeUnit(sandbox.runId), path: hierarchy.parent };
}

async function scratchFolder(environment: PrepareContext["environment"], host: HostFacts): Promise<ScratchFolder> {
  const { makeScratchFolder } = await import("../host/scratch-folder.ts");
  return makeScratchFolder(environment, host);
}

/**
 * Everything between a request and a start: resolves the profile, checks the caller's files, probes the host, makes an image ready,
 * compiles and encodes the plan. But for the image store nothing has been started or changed when it throws a BelljarError; when it
 * does not, `release` must be called after the run.
 */
export async function prepareRun(input: RunInput, context: PrepareContext): Promise<PreparedRun> {
  const overrides = [...input.overrides, ...volumeOverrides(input)];
  const { profile: resolved, keep } = await resolveOnce({ reference: input.profile, overrides });
  const { provenance } = resolved;
  const asked = withCaptureLimit(resolved.policy, input.capture);
  const wish = requestOf(input, asked, context);
  checkMounts(asked);
  const { config, environment, progress, signal, purpose } = context;
  const host = probeHostFacts({ policy: asked, config, environment });
  // Most runs need neither of the two, and none of their code.
  const scratch = asked.scratch.storage === "disk" ? await scratchFolder(environment, host) : null;
  let layered: LayeredRoot | null = null;
  const release = async (): Promise<void> => {
    await layered?.release();
    await scratch?.remove();
  };
  try {
    if (isLayered(asked)) {
      const { prepareLayers } = await import("./layered.ts");
      const upper = scratch?.path ?? null;
      layered = await prepareLayers({ ...input, upper, policy: asked, facts: host, config, environment, progress, signal });
    }
    const { policy, request } = await withImage(wish, { policy: asked, provenance, input, image: layered?.facts.image ?? null });
    const facts = {
      ...host,
      layeredRootfs: layered?.facts ?? null,
      diskScratch: scratch === null ? null : { path: scratch.path, apply: scratch.apply },
    };
    // An image changes nothing that filters depend on. What is heard on purpose is another filter than the profile's own.
    const filters = await filtersFor(policy, { arch: facts.arch, purpose, knownKey: purpose === undefined ? resolved.filterKey : null });
    if (filters.key !== null && purpose === undefined) keep(filters.key);
    const { plan, warnings, enforcement } = compilePlan({ policy, facts, request, filters });
    return {
      policy,
      command: input.script === null ? input.command : [input.script, ...input.command],
      hostScripts: input.hostScripts,
      plan,
      scope: scopeOf(plan, facts),
      image: layered?.facts.image?.name ?? null,
      scriptPath: request.script?.hostPath ?? null,
      profileFiles: resolved.files,
      sandboxBytes: encodeSandbox(plan.sandbox),
      execBytes: encodeExec(plan.exec),
      profileDigest: resolved.digest,
      filterDigest: filters.digest,
      audit: filters.audit === null ? null : { ...filters.audit, arch: facts.arch },
      enforcement,
      captureBytes: policy.limits.output ?? maxCaptureBytes,
      warnings: [...resolved.warnings, ...filters.warnings, ...(layered?.warnings ?? []), ...warnings.map((warning) => warning.message)],
      release,
    };
  } catch (error) {
    await release();
    throw error;
  }
}
