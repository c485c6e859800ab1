import { posix } from "node:path";
import type { ImageFacts, RunRequest } from "../../policy/compile/types.ts";
import { BelljarError } from "../../policy/errors.ts";
import type { Provenance, ResolvedPolicy } from "../../policy/profile/types.ts";
import { resolveCommand } from "./command.ts";
import { checkFilesIn, checkFilesOut } from "./files.ts";
import type { ProgramInput, SandboxInput } from "./input.ts";
import { workFolder } from "./paths.ts";
import { checkVariableBytes } from "./raw-text.ts";
import { parseUser } from "./user.ts";

type Environment = Readonly<Record<string, string | undefined>>;

/** Where `--out-max` and the disk limit say nothing. */
export const defaultOutMaxBytes = 256 * 1024 * 1024;

/** Variables of the caller that the profile lets through. */
function inheritedEnv(names: readonly string[], environment: Environment): Readonly<Record<string, string>> {
  return Object.fromEntries(
    names.flatMap((name) => {
      const value = environment[name];
      if (value !== undefined) checkVariableBytes(name, value);
      return value === undefined ? [] : [[name, value] as const];
    }),
  );
}

/** What is asked of one run; the image, where there is one, has not been heard yet. */
export interface Wish {
  readonly input: ProgramInput & Pick<SandboxInput, "user" | "entrypoint">;
  readonly request: RunRequest;
  readonly isHostScript: boolean;
}

export interface WishContext {
  readonly policy: ResolvedPolicy;
  readonly environment: Environment;
  /** Names the run's cgroup; one of its own unless given, as a plan that is only shown needs. */
  readonly runId?: string | undefined;
  /** The command may still be unknown: then `true` holds its place. */
  readonly ahead?: boolean;
}

/** Checks a program and the caller's files for it, before anything starts. Throws BelljarError. */
export function wishOf(asked: Wish["input"], { policy, environment, runId, ahead = false }: WishContext): Wish {
  const unknown = ahead && policy.rootfs.kind !== "image" && asked.command.length === 0;
  const input = unknown ? { ...asked, command: ["true"] } : asked;
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
  return { input, request, isHostScript };
}

/** What the image asks for, where the user asks for nothing else. */
export async function withImage(
  { input, request, isHostScript }: Wish,
  { policy, provenance, image }: { readonly policy: ResolvedPolicy; readonly provenance: Provenance; readonly image: ImageFacts | null },
): Promise<{ readonly policy: ResolvedPolicy; readonly request: RunRequest }> {
  if (image === null) return { policy, request };
  const { applyImage, imageCommand } = await import("../../policy/compile/image.ts");
  const { entrypoint } = input;
  const command = isHostScript ? request.command : imageCommand(image.config, { command: request.command, entrypoint });
  return applyImage({ policy, request: { ...request, command }, image, optionUser: input.user !== null, provenance });
}
