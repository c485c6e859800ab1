import { printable } from "../../output/terminal.ts";
import type { AppliedLayer } from "./apply-layer.ts";
import { shownPath } from "./problem.ts";

const count = (n: number, one: string, many = `${one}s`): string => `${n} ${n === 1 ? one : many}`;

/** What was left out or changed in a layer, a sentence for each kind. `of` names the layer. */
export function layerWarnings(
  of: string,
  { deviations, done, warnings }: Pick<AppliedLayer, "deviations" | "done" | "warnings">,
): readonly string[] {
  const found: string[] = [];
  const { devices, firstDevice, strippedXattrs, clampedTimes } = deviations;
  if (devices > 0)
    found.push(`${of}: left out ${count(devices, "device")} (${shownPath(firstDevice ?? "")}): no ordinary user can make one`);
  if (done.refusedXattrs > 0) {
    const names = new Set(warnings.filter(({ stage }) => stage === "xattr").map(({ texts }) => printable(texts[1] ?? "")));
    const [first] = warnings.filter(({ stage }) => stage === "xattr");
    found.push(
      `${of}: left out ${count(done.refusedXattrs, "extended attribute")} that cannot be set here (${[...names].join(", ")}; first at ${shownPath(first?.texts[0] ?? "")})`,
    );
  }
  if (strippedXattrs > 0)
    found.push(`${of}: left out ${count(strippedXattrs, "extended attribute")} by which overlay file systems are controlled`);
  if (clampedTimes > 0) found.push(`${of}: ${count(clampedTimes, "date")} beyond what the file system can keep`);
  return found;
}

/** Once for the whole image: owners are squashed everywhere or nowhere. */
export function ownerWarning(squashedOwners: number, single: boolean): readonly string[] {
  if (squashedOwners === 0) return [];
  return [
    single
      ? `the owners of ${count(squashedOwners, "file")} are one: with a single id all files belong to root inside`
      : `the owners of ${count(squashedOwners, "file")} are replaced: this account has no subordinate ids for them`,
  ];
}
