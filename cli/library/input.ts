import { parseDuration } from "../../policy/units.ts";
import type { Override, ProgramInput, SandboxInput } from "../run/input.ts";
import { absoluteHostPath } from "../run/paths.ts";
import type { Files } from "./folder.ts";
import type { Limits, ProgramOptions, SandboxOptions } from "./options.ts";

const limitOverrides = (limits: Limits, origin: string): readonly Override[] =>
  Object.entries(limits).flatMap(([name, value]) => (value === undefined ? [] : [{ path: `limits.${name}`, value, origin }]));

/** Options as the form that the command fills too. */
export function sandboxInput(options: SandboxOptions): SandboxInput {
  const origin = "option Sandbox.open()";
  const { network, rootfs, image } = options;
  const overrides: Override[] = Object.entries(options.set ?? {}).map(([path, value]) => ({ path, value, origin }));
  overrides.push(...limitOverrides(options.limits ?? {}, origin));
  if (network !== undefined) overrides.push({ path: "network.mode", value: network, origin });
  if (rootfs !== undefined) {
    const value = rootfs === "host" ? { kind: "host" } : { kind: "directory", path: absoluteHostPath(rootfs) };
    overrides.push({ path: "rootfs", value, origin });
  }
  if (image !== undefined) overrides.push({ path: "rootfs", value: { kind: "image", reference: image }, origin });
  return {
    profile: options.profile ?? "default",
    overrides,
    volumes: (options.volumes ?? []).map(({ source, target, access = "read-only" }) => ({ source, target, access })),
    user: options.user ?? null,
    entrypoint: options.entrypoint ?? null,
    pull: options.pull ?? "missing",
  };
}

export const programLimits = ({ limits = {} }: ProgramOptions): readonly Override[] => limitOverrides(limits, "option sandbox.run()");

export interface ProgramContext {
  readonly command: readonly string[];
  readonly files: Files;
  /** Of the sandbox. */
  readonly env: SandboxOptions["env"];
  readonly stdin: ProgramInput["stdin"];
  readonly capture: boolean;
}

/** One program's options as the form that the command fills too. */
export function programInput(options: ProgramOptions, { command, files, env, stdin, capture }: ProgramContext): ProgramInput {
  return {
    command,
    script: options.script ?? null,
    hostScripts: false,
    workdir: options.cwd ?? null,
    env: [...Object.entries(env ?? {}), ...Object.entries(options.env ?? {})],
    terminal: false,
    filesIn: files.filesIn,
    filesOut: files.filesOut,
    outMaxBytes: options.outputMaxBytes ?? null,
    stdin,
    sampleMs: options.sample === undefined ? 0 : parseDuration(options.sample, "reading options: 'sample'", { min: 1 }),
    capture,
  };
}
