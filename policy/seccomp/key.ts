/** The name under which compiled filters may be kept. Imports no compiler: a run whose filters are there computes only this. */
import { createHash } from "node:crypto";
import type { FilterInput } from "./rules.ts";

/**
 * A key (64 hexadecimal digits) of all that compiled filters and their warnings depend on. Rule sets are data of belljar and are meant by their name, as is
 * the compiler: `context` must name the build, and what else is kept.
 */
export function filterKey(
  { arch, seccomp, capabilities, userNamespaces, pinned = false, kernel = null }: FilterInput,
  context: string,
): string {
  const { ruleSets, defaultAction, syscalls, file } = seccomp;
  const content = {
    context,
    arch,
    ruleSets,
    defaultAction,
    syscalls,
    file,
    kernel: file === null ? null : kernel,
    capabilities: [...capabilities].sort(),
    userNamespaces,
    pinned,
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
