import { enums, type Mechanism } from "./wire.gen.ts";

/** Names of the mechanisms that a plan or a record carries as numbers, by limit; limits not asked for are left out. */
export function mechanismsByLimit(mechanisms: readonly number[]): Partial<Record<(typeof enums.Limit)[number], Mechanism>> {
  const named: Partial<Record<(typeof enums.Limit)[number], Mechanism>> = {};
  enums.Limit.forEach((limit, i) => {
    const mechanism = enums.Mechanism[mechanisms[i] ?? 0] ?? "none";
    if (mechanism !== "notAsked") named[limit] = mechanism;
  });
  return named;
}
