import { existsSync } from "node:fs";
import { join } from "node:path";

/** The helper: beside the bundle, beside the sources, or where $BELLJAR_APPLY says. */
export function applyPath(environment: Readonly<Record<string, string | undefined>> = process.env): string {
  const named = environment["BELLJAR_APPLY"];
  if (named !== undefined && named !== "") return named;
  const besideBundle = join(import.meta.dirname, "../native/build/belljar-apply");
  return existsSync(besideBundle) ? besideBundle : join(import.meta.dirname, "../../../native/build/belljar-apply");
}
