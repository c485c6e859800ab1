import { controllersOfRequired } from "../../policy/compile/index.ts";
import { BelljarError } from "../../policy/errors.ts";
import type { ResolvedPolicy } from "../../policy/profile/types.ts";
import type { Config } from "../host/config.ts";

/**
 * The error of a run that could not be compiled; where it was refused for want of a cgroup, with what would give it one on this host. Looking for that
 * takes code that other runs need not load.
 */
export async function withLimitRemedy(error: unknown, policy: ResolvedPolicy, { cgroup }: Config): Promise<unknown> {
  const controllers = controllersOfRequired(error, policy);
  if (controllers === null) return error;
  const { remedyForControllers } = await import("../host/remedies.ts");
  const { code, message } = error as BelljarError;
  const hint = remedyForControllers(controllers, { config: cgroup });
  return hint === null ? error : new BelljarError(code, message, { cause: error, hint });
}
