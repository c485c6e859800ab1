/** Refused calls, from the launcher's numbers to words. Loaded only where there are any. */
import type { Arch } from "../compile/types.ts";
import type { AuditArgument, AuditSlot } from "../seccomp/audit-types.ts";
import { syscallNumbers } from "../seccomp/syscalls.ts";
import type { DenialRecord, RunRecord } from "../wire/wire.gen.ts";
import { argumentWords } from "./denial-arguments.ts";
import type { Denial } from "./report-types.ts";

export interface AuditContext {
  readonly arch: Arch;
  readonly slots: readonly AuditSlot[];
  readonly arguments: readonly AuditArgument[];
}

/** Names by number, "syscall 999" for what no table has. */
export function syscallNamer(arch: Arch): (number: number) => string {
  const names = new Map(Object.entries(syscallNumbers(arch)).map(([name, number]) => [number, name]));
  return (number) => names.get(number) ?? `syscall ${number}`;
}

export const argumentValues = (record: DenialRecord): readonly bigint[] => [
  ...[record.argument0, record.argument1, record.argument2],
  ...[record.argument3, record.argument4, record.argument5],
];

/** One entry for each call, rule and set of telling arguments, in the order in which they were first refused. */
export function denialsOf(records: readonly DenialRecord[], record: RunRecord, audit: AuditContext): readonly Denial[] {
  const nameOf = syscallNamer(audit.arch);
  return records.flatMap((one) => {
    const slot = audit.slots[one.slot];
    if (slot === undefined || slot.action === "pass" || slot.outcome === "errno:ENOSYS") return [];
    const syscall = nameOf(one.syscall);
    const values = argumentValues(one);
    const kept = audit.arguments.filter((argument) => argument.syscall === one.syscall);
    const words = kept.map(({ index }) => argumentWords(syscall, index, values[index] ?? 0n));
    return [
      {
        syscall,
        arguments: one.argumentsKept === 0 || kept.length === 0 ? null : Object.fromEntries(words),
        count: Number(one.count),
        countExact: record.audit === "exact" && record.denialsLost === 0n,
        action: slot.outcome,
        rule: slot.rule,
      },
    ];
  });
}
