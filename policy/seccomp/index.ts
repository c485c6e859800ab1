/**
 * System call filters: from rule sets and a profile's rules to the BPF that the launcher installs. Pure; syscall names and
 * numbers come from libseccomp by way of a committed table (generate.mjs), so nothing here loads a library.
 * reference.ts alone loads the binding: libseccomp's own translation of the same rules, to compare with.
 */
export { type ActionName, formatAction, parseAction, type ReturnValue } from "./actions.ts";
export { type CompiledFilter, compileBaseFilter, compileFilter, maxInstructions } from "./compile.ts";
export { disassemble } from "./disassemble.ts";
export { errnoName, errnoNumbers } from "./errno.ts";
export { explainSyscall, type SyscallExplanation } from "./explain.ts";
export { filterKey } from "./key.ts";
export { ruleSetNames } from "./rule-sets.ts";
export type { FilterInput } from "./rules.ts";
export { type Answer, type SyscallCall, simulate, simulateFilters } from "./simulate.ts";
export { isSyscallName, syscallNumbers } from "./syscalls.ts";
