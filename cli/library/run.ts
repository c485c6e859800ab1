import { checkCommand, checkOptions } from "./check.ts";
import type { RunOptions, SandboxOptions, SandboxRunOptions } from "./options.ts";
import type { Bytes, RunResult, Utf8 } from "./results.ts";
import { Sandbox } from "./sandbox.ts";

/** Limits and variables, which both have, are the sandbox's: it has one program only. */
function apart(options: RunOptions) {
  const { profile, limits, env, user, volumes, network, rootfs, image, pull, entrypoint, set, server, command, ...program } = options;
  const sandbox = { profile, limits, env, user, volumes, network, rootfs, image, pull, entrypoint, set, server, signal: options.signal };
  return { sandbox: given(sandbox) as SandboxOptions, program: program as SandboxRunOptions, command };
}

const given = (options: object): object => Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined));

/**
 * Runs one program, in a sandbox that is opened and closed for it: see {@link Sandbox.open} and {@link Sandbox.run}. Throws BelljarError
 * as these do.
 */
export async function run(options: RunOptions & Bytes): Promise<RunResult<Uint8Array>>;
export async function run(options: RunOptions & Utf8): Promise<RunResult<string>>;
export async function run(options: RunOptions): Promise<RunResult<string> | RunResult<Uint8Array>>;
export async function run(options: RunOptions): Promise<RunResult<string> | RunResult<Uint8Array>> {
  const { sandbox: where, program, command = [] } = apart(checkOptions("run()", options));
  checkCommand(command, { optional: program.script !== undefined || where.image !== undefined });
  const sandbox = await Sandbox.open(where);
  try {
    return await sandbox.run(command, program);
  } finally {
    await sandbox.close();
  }
}
