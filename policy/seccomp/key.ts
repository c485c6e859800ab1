/** The name under which a compiled filter may be kept. Imports no compiler: a warm run computes only this. */
import { createHash } from "node:crypto";
import { baseRuleSet, findRuleSet } from "./rule-sets.ts";
import type { FilterInput } from "./rules.ts";
import { syscallTablesDigest } from "./tables.gen.ts";

/** Raised whenever the same input compiles to other bytes or other warnings. */
const compilerVersion = 4;

/**
 * A key (64 hexadecimal digits) of everything that the compiled filters and their warnings depend on; `use` names what else is kept with them.
 * @throws BelljarError profile-invalid for an unknown rule set
 */
export function filterKey({ arch, seccomp, capabilities, userNamespaces, kernel = null }: FilterInput, use = ""): string {
  const { ruleSets, defaultAction, syscalls, file } = seccomp;
  const content = {
    compilerVersion,
    use,
    base: baseRuleSet,
    syscallTablesDigest,
    arch,
    ruleSets: ruleSets.map(findRuleSet),
    defaultAction,
    syscalls,
    file,
    kernel: file === null ? null : kernel,
    capabilities: [...capabilities].sort(),
    userNamespaces,
  };
  return createHash("sha256").update(canonicalJson(content)).digest("hex");
}

/** Keys in order, so that two profiles that say the same share a filter. */
function canonicalJson(value: unknown): string {
  return JSON.stringify(value, (_key, inner: unknown) =>
    typeof inner === "object" && inner !== null && !Array.isArray(inner)
      ? Object.fromEntries(Object.entries(inner).sort(([a], [b]) => (a < b ? -1 : 1)))
      : inner,
  );
}
