/**
 * What an image asks for, merged with what the user asks for. The image comes before belljar's own profiles, which say nothing of this
 * image; a profile of the user's and options come before the image.
 */
import { BelljarError } from "../errors.ts";
import { builtinPrefix } from "../profile/builtin.ts";
import { formatPath } from "../profile/path.ts";
import { originOf } from "../profile/provenance.ts";
import { readStopSignal } from "../profile/stop-signal.ts";

import type { Provenance, ResolvedPolicy } from "../profile/types.ts";
import type { ImageConfig, ImageFacts, RunRequest } from "./types.ts";

interface CommandInput {
  /** As typed. */
  readonly command: readonly string[];
  /** In place of the image's; an empty list: none. null: the image's. */
  readonly entrypoint: readonly string[] | null;
}

/**
 * As container tools have it: the entry point, then the command, else the image's own command, which goes with the image's own entry
 * point only. Throws BelljarError `usage` when nothing is left.
 */
export function imageCommand(config: ImageConfig, { command, entrypoint }: CommandInput): readonly string[] {
  const argv = [...(entrypoint ?? config.entrypoint), ...(command.length > 0 ? command : entrypoint === null ? config.command : [])];
  if (argv[0] === undefined || argv[0] === "")
    throw new BelljarError("usage", "reading options: no command to run, and the image names none", {
      hint: "belljar run -i IMAGE -- COMMAND [ARG...]",
    });
  return argv;
}

/** NAME=VALUE texts; what has no name is nothing that a program could look up. */
function variables(config: ImageConfig): readonly (readonly [string, string])[] {
  return config.env.flatMap((text) => {
    const equals = text.indexOf("=");
    return equals < 1 ? [] : [[text.slice(0, equals), text.slice(equals + 1)] as const];
  });
}

export interface ImageRun {
  readonly policy: ResolvedPolicy;
  readonly request: RunRequest;
}

export interface ApplyImage extends ImageRun {
  readonly image: ImageFacts;
  /** Whether `image.user` is who option --user names, and not who the image itself does. */
  readonly optionUser: boolean;
  /** Who set each field of the policy. */
  readonly provenance: Provenance;
}

/** Throws BelljarError `image-invalid` for what no process could be given. */
export function applyImage({ policy, request, image, optionUser, provenance }: ApplyImage): ImageRun {
  // The user's own profile and options, and not belljar's profiles.
  const isOwn = (path: string): boolean => originOf(provenance, path)?.startsWith(builtinPrefix) === false;
  const { config, user } = image;
  const { env, workdir } = policy.process;
  const own = Object.entries(env).filter(([name]) => isOwn(formatPath(["process", "env", name])));
  const asked = variables(config);
  const merged = Object.fromEntries([...Object.entries(env), ...asked, ...own]);
  // "/" is what build tools write when nobody said anything. Files that are put into /work are meant to be found by their names.
  const says = config.workdir !== "" && config.workdir !== "/";
  const usesWork = request.script !== null || request.filesIn.length > 0;
  if (says && !config.workdir.startsWith("/"))
    throw new BelljarError("image-invalid", `reading image '${image.name}': its working directory '${config.workdir}' is not absolute`);
  const stop = config.stopSignal === "" || isOwn("process.stopSignal") ? null : readStopSignal(config.stopSignal);
  if (stop?.ok === false) throw new BelljarError("image-invalid", `reading image '${image.name}': its stop signal ${stop.problem}`);
  return {
    policy: {
      ...policy,
      process: {
        ...policy.process,
        env: merged,
        workdir: says && !usesWork && !isOwn("process.workdir") ? config.workdir : workdir,
        stopSignal: stop?.value ?? policy.process.stopSignal,
      },
    },
    request: { ...request, user: optionUser || !(isOwn("user.uid") || isOwn("user.gid")) ? user : null },
  };
}
