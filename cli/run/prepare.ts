import { randomBytes } from "node:crypto";
import { posix } from "node:path";
import { compilePlan } from "../../policy/compile/index.ts";
import type { LaunchPlan, RunRequest } from "../../policy/compile/types.ts";
import { BelljarError } from "../../policy/errors.ts";
import { resolveProfile } from "../../policy/profile/index.ts";
import type { ResolvedPolicy } from "../../policy/profile/types.ts";
import type { RunReport } from "../../policy/verdict/report-types.ts";
import { encodeExec, encodeSandbox } from "../../policy/wire/index.ts";
import type { Config } from "../host/config.ts";
import { probeHostFacts } from "../host/facts.ts";
import { maxCaptureBytes } from "./capture.ts";
import { resolveCommand } from "./command.ts";
import { checkFilesIn, checkFilesOut, checkVolumeSource } from "./files.ts";
import { filtersFor } from "./filters.ts";
import type { Override, RunInput } from "./input.ts";
import { workFolder } from "./paths.ts";
import { loadProfile } from "./profiles.ts";
import { checkVariableBytes } from "./raw-text.ts";
import { parseUser } from "./user.ts";

export interface PreparedRun {
  readonly policy: ResolvedPolicy;
  /** As asked for: the script itself, where there is one. */
  readonly command: readonly string[];
  /** Whether the command may be a file of the caller's. */
  readonly hostScripts: boolean;
  readonly plan: LaunchPlan;
  /** The host file that is run, where there is one. */
  readonly scriptPath: string | null;
  /** Files that the profile was read from. */
  readonly profileFiles: readonly string[];
  readonly sandboxBytes: Uint8Array;
  readonly execBytes: Uint8Array;
  readonly profileDigest: string;
  readonly filterDigest: string;
  /** What the plan sets up for each limit and guard. */
  readonly enforcement: RunReport["enforcement"];
  /** Of each stream, when streams are captured. */
  readonly captureBytes: number;
  readonly warnings: readonly string[];
}

export interface PrepareContext {
  readonly config: Config;
  readonly environment: Readonly<Record<string, string | undefined>>;
  /** Names the run's cgroup; random unless given, as a plan that is only shown needs. */
  readonly runId?: string;
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

function requestOf(input: RunInput, policy: ResolvedPolicy, { environment, runId }: PrepareContext): RunRequest {
  const filesIn = checkFilesIn(input.filesIn, policy.limits);
  const { argv, script } = resolveCommand(input, filesIn);
  if (argv.some((word) => word.includes("\0")))
    throw new BelljarError("usage", "reading options: an argument cannot contain a NUL character");
  return {
    // Whose run it is, for `belljar gc`, and which of theirs.
    runId: runId ?? `belljar-run-${process.pid}-${randomBytes(6).toString("hex")}`,
    command: argv,
    cwd: input.workdir === null ? null : posix.resolve(workFolder, input.workdir),
    env: input.env,
    inherited: inheritedEnv(policy.process.inheritEnv, environment),
    user: input.user === null ? null : parseUser(input.user, policy),
    terminal: input.terminal,
    stdin: input.stdin,
    filesIn,
    filesOut: checkFilesOut(input.filesOut, input.outMaxBytes ?? policy.limits.disk ?? defaultOutMaxBytes),
    script,
  };
}

/**
 * Everything between a request and a start: resolves the profile, checks the caller's files, probes the host, compiles and
 * encodes the plan. Nothing has been started or changed when it throws a BelljarError.
 */
export async function prepareRun(input: RunInput, context: PrepareContext): Promise<PreparedRun> {
  const resolved = resolveProfile(input.profile, { load: loadProfile, overrides: [...input.overrides, ...volumeOverrides(input)] });
  const policy = withCaptureLimit(resolved.policy, input.capture);
  const request = requestOf(input, policy, context);
  checkMounts(policy);
  const facts = probeHostFacts({ policy, config: context.config, environment: context.environment });
  const filters = await filtersFor(policy, facts.arch);
  const { plan, warnings, enforcement } = compilePlan({
    policy,
    facts,
    request,
    filters: { base: filters.base, profile: filters.profile },
  });
  return {
    policy,
    command: input.script === null ? input.command : [input.script, ...input.command],
    hostScripts: input.hostScripts,
    plan,
    scriptPath: request.script?.hostPath ?? null,
    profileFiles: resolved.sources.flatMap(({ file }) => (file.startsWith("/") ? [file] : [])),
    sandboxBytes: encodeSandbox(plan.sandbox),
    execBytes: encodeExec(plan.exec),
    profileDigest: resolved.digest,
    filterDigest: filters.digest,
    enforcement,
    captureBytes: policy.limits.output ?? maxCaptureBytes,
    warnings: [...resolved.warnings, ...filters.warnings, ...warnings.map((warning) => warning.message)],
  };
}
