import { machine, release } from "node:os";
import { compileReport } from "../../policy/verdict/compiled-report.ts";
import { encodeExec, encodeReport } from "../../policy/wire/encode.ts";
import { maxCaptureBytes } from "./capture.ts";
import type { ProgramInput } from "./input.ts";
import type { PreparedRun } from "./prepare.ts";
import { defaultOutMaxBytes } from "./request.ts";

/** As long as every name that takes its place: `belljar-run-<ten digits of a process>-<sixteen more>`. */
export const compiledRunId = `belljar-run-${"0".repeat(10)}-${"0".repeat(16)}`;

export interface PlanFileOptions {
  /** The command was named; an image has one of its own. */
  readonly hasCommand: boolean;
  readonly env: ProgramInput["env"];
  readonly outMaxBytes: number | null;
}

/** A compiled plan as bytes, docs/plan-file.md: the sandbox part, the exec part, and what is needed to tell of its runs. */
export function planFile(prepared: PreparedRun, { hasCommand, env, outMaxBytes }: PlanFileOptions): Uint8Array {
  const { policy } = prepared;
  const given = new Set(env.map(([name]) => name));
  const report = compileReport({
    ...prepared,
    machine: machine(),
    kernel: release(),
    hasCommand: hasCommand || policy.rootfs.kind === "image",
    inheritEnv: policy.process.inheritEnv.filter((name) => !given.has(name)),
    outMaxBytes: outMaxBytes ?? policy.limits.disk ?? defaultOutMaxBytes,
    captureBytes: maxCaptureBytes,
  });
  // A template for both: for a run server as it stands, and a single run makes its own exec part of it.
  const template = encodeExec({ ...prepared.plan.exec, parked: true });
  return Buffer.concat([prepared.sandboxBytes, template, encodeReport(report)]);
}
