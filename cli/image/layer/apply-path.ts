import { existsSync } from "node:fs";
import { fileURLToPath } from "node:url";

/** The helper: beside the bundle, beside the sources, or where $BELLJAR_APPLY says. */
export function applyPath(environment: Readonly<Record<string, string | undefined>> = process.env): string {
  const named = environment["BELLJAR_APPLY"];
  if (named !== undefined && named !== "") return named;
  const besideBundle = fileURLToPath(new URL("../native/build/belljar-apply", import.meta.url));
  return existsSync(besideBundle) ? besideBundle : fileURLToPath(new URL("../../../native/build/belljar-apply", import.meta.url));
}
