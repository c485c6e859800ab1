export { cancelledReport, exitCodeFor, makeReport, type ReportContext, type ReportInput, sandboxErrorReport } from "./report.ts";
export type { EnforcementValue, ReportError, RunReport } from "./report-types.ts";
export { signalName, signalNumber } from "./signals.ts";
export { type Evidence, evidenceNames, type Verdict, verdictTable } from "./verdicts.gen.ts";
