import { encodeExec } from "../../policy/wire/encode.ts";
import { type ExecPlan, taskFields } from "../../policy/wire/wire.gen.ts";

/** All that a second exec part may change. */
const bare: Omit<ExecPlan, (typeof taskFields)[number]> = {
  parked: true,
  argv: ["a"],
  interpreterFallback: false,
  env: [],
  rlimits: [],
  cgroupWrites: [],
  wallMs: 0n,
  stopMs: 0n,
  cpuMs: 0n,
  memoryBytes: 0n,
  processes: 0n,
  outputBytes: 0n,
  requiredMask: 0,
  filesIn: [],
  filesOut: [],
};

export const bytesEqual = (a: Uint8Array, b: Uint8Array): boolean => Buffer.compare(a, b) === 0;

/** What the task of a plan wears when it waits, as bytes: the launcher compares the same. */
export function wornBytes(exec: ExecPlan): Uint8Array {
  const own = Object.fromEntries(taskFields.map((name) => [name, exec[name]])) as Pick<ExecPlan, (typeof taskFields)[number]>;
  return encodeExec({ ...bare, ...own });
}
