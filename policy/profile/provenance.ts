import type { Provenance } from "./types.ts";

/** Who set a path: its own entry, or that of the nearest field around it. */
export function originOf(provenance: Provenance, path: string): string | null {
  for (let at = path; at !== ""; at = at.replace(/(^|\.)[^.[\]]*$|\[[^\]]*\]$/, "")) {
    if (Object.hasOwn(provenance, at)) return provenance[at] ?? null;
  }
  return null;
}
