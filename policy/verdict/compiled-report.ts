/** The report part of a compiled plan: what is needed to tell of a run in the words of the report, by a program that has none. docs/plan-file.md. */

import { errnoNumbers } from "../seccomp/errno.ts";
import { syscallNumbers } from "../seccomp/syscalls.ts";
import { type ReportArgument, type ReportPlan, type ReportSlot, wireTable } from "../wire/wire.gen.ts";
import { argumentOf, argumentWords } from "./denial-arguments.ts";
import { type AuditContext, syscallNamer } from "./denials.ts";
import { cgroupWith } from "./figures.ts";
import type { ReportContext } from "./report.ts";
import { sandboxOf } from "./report.ts";
import { type LimitFacts, limitEffects, reportLimits } from "./report-limits.ts";
import { entrySentences, outputSentences, reportSentences, startFailureSentences } from "./report-words.ts";
import { signalMax, signalName, signalWords } from "./signals.ts";
import { errnoWords } from "./words.ts";

export interface CompiledReportInput extends ReportContext, LimitFacts {
  readonly audit: AuditContext | null;
  readonly warnings: readonly string[];
  /** Of the host, as uname(2) has them. */
  readonly machine: string;
  readonly kernel: string;
  readonly hasCommand: boolean;
  readonly entrypoint: readonly string[];
  readonly inheritEnv: readonly string[];
  readonly filesCwd: string;
  readonly outMaxBytes: number;
  readonly captureBytes: number;
}

function sandboxFields(input: CompiledReportInput): Pick<ReportPlan, "sandbox" | "writableVolumes"> {
  const { writableVolumes, landlockAbi: _measured, ...fields } = sandboxOf(input, null);
  return { sandbox: Object.entries(fields).map(([name, value]) => ({ name, json: JSON.stringify(value) })), writableVolumes };
}

const slotOf = ({ action, outcome, rule }: AuditContext["slots"][number]): ReportSlot => ({
  isDenial: action !== "pass" && outcome !== "errno:ENOSYS",
  action: outcome,
  rule,
  isEverywhere: rule.startsWith("base#"),
});

function argumentsOf({ arch, arguments: all }: AuditContext): readonly ReportArgument[] {
  const nameOf = syscallNamer(arch);
  return all.map(({ syscall, index }) => {
    const [name] = argumentWords(nameOf(syscall), index, 0n);
    const known = argumentOf(nameOf(syscall), index);
    const values = Object.entries(known?.words ?? {}).map(([word, value]) => ({ value, name: word }));
    return { syscall, index, name, kind: known?.kind ?? "plain", values };
  });
}

function deniedWords(audit: AuditContext | null): Pick<ReportPlan, "syscalls" | "slots" | "arguments"> {
  if (audit === null) return { syscalls: [], slots: [], arguments: [] };
  const names = new Map(Object.entries(syscallNumbers(audit.arch)).map(([name, number]) => [number, name]));
  const syscalls = [...names].map(([number, text]) => ({ number, text })).sort((a, b) => a.number - b.number);
  return { syscalls, slots: audit.slots.map(slotOf), arguments: argumentsOf(audit) };
}

/** Pure; the words come from the same functions as those of the report itself. */
export function compileReport(input: CompiledReportInput): ReportPlan {
  const { plan, host, machine, kernel } = input;
  const numbers = [...new Set(Object.values(errnoNumbers))].sort((a, b) => a - b);
  return {
    ...{ table: wireTable, machine, kernel, uid: host.uid, gid: host.gid },
    hasCommand: input.hasCommand,
    entrypoint: input.entrypoint,
    inheritEnv: input.inheritEnv,
    filesCwd: input.filesCwd,
    outMaxBytes: BigInt(input.outMaxBytes),
    captureBytes: BigInt(input.captureBytes),
    processesPeak: cgroupWith(plan, "pids") !== null,
    memoryBy: cgroupWith(plan, "memory") ?? "supervisor",
    processesBy: cgroupWith(plan, "pids") ?? "supervisor",
    warnings: input.warnings,
    ...sandboxFields(input),
    limits: reportLimits(input),
    effects: limitEffects(input),
    sentences: reportSentences(input),
    startFailures: startFailureSentences(),
    entries: entrySentences(),
    outputFailures: outputSentences(),
    errors: numbers.map((number) => ({ number, text: errnoWords(number) })),
    signals: Array.from({ length: signalMax + 1 }, (_, number) => ({
      name: number === 0 ? "" : signalName(number),
      words: number === 0 ? "" : signalWords(number),
    })),
    ...deniedWords(input.audit),
  };
}
