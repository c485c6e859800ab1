/** The library: everything that other programs may import. The contract is docs/library.md. */
export { BelljarError, type ErrorCode, errorCodes } from "../policy/errors.ts";
export type { LimitName } from "../policy/profile/types.ts";
export type { EnforcementValue, ReportError, RunReport, SamplePoint, Samples } from "../policy/verdict/report-types.ts";
export type { Verdict } from "../policy/verdict/verdicts.gen.ts";
export type {
  CloseOptions,
  InputFile,
  InteractOptions,
  InteractProgram,
  Limits,
  OpenOptions,
  ProgramOptions,
  RunOptions,
  SandboxOptions,
  SandboxRunOptions,
  VolumeOption,
} from "./library/options.ts";
export type { InteractResult, ProgramResult, RunResult } from "./library/results.ts";
export { run } from "./library/run.ts";
export { Sandbox } from "./library/sandbox.ts";
export { plotSvg } from "./output/plot/plot.ts";
export type { OutputSink, StdinSource } from "./run/flows.ts";
