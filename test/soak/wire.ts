/** The part of the wire that a client of the run server needs. */
export type { LaunchPlan } from "../../policy/compile/types.ts";
export { verdictTable } from "../../policy/verdict/verdicts.gen.ts";
export { decodeRecord } from "../../policy/wire/index.ts";
export { type ExecPlan, enums, wireMaxFrameBytes } from "../../policy/wire/wire.gen.ts";
