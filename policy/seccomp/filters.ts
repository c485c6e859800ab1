/** All filters of a run. */
import { compileAudit } from "./audit.ts";
import type { AuditFilters, AuditPurpose } from "./audit-types.ts";
import { compileBaseFilter, compileFilter } from "./compile.ts";
import type { FilterInput } from "./rules.ts";

export interface CompiledFilters {
  readonly base: Uint8Array;
  readonly profile: Uint8Array;
  /** What takes their place where calls are audited; null where that is not asked for, or they would be too large. */
  readonly audit: AuditFilters | null;
  /** `sha256:…` of the profile's filter. */
  readonly digest: string;
  readonly warnings: readonly string[];
}

/** With filters for what is to be heard, if anything is. Throws BelljarError as compileFilter does. */
export function compileFilters(input: FilterInput, heard: AuditPurpose | null): CompiledFilters {
  const profile = compileFilter(input);
  const base = compileBaseFilter(input);
  const audit = heard === null ? null : compileAudit(input, heard);
  const tooLarge = heard !== null && audit === null;
  const warnings = [
    ...profile.warnings,
    ...(tooLarge ? ["seccomp.audit: the filter is too large for it: denied calls are not counted"] : []),
  ];
  return { base: base.bytes, profile: profile.bytes, audit, digest: profile.digest, warnings };
}
