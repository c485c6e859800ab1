/** The launcher's numbers as the report has them. */
import type { LaunchPlan } from "../compile/types.ts";
import { notMeasured } from "./message.ts";

export const count = (value: bigint): number | null => (value === notMeasured ? null : Number(value));

/** Milliseconds to the microsecond. */
export const milliseconds = (ns: bigint): number | null => (ns === notMeasured ? null : Math.round(Number(ns) / 1000) / 1000);

/** The kind of cgroup that has a controller in this run; null where none has. */
export function cgroupWith({ sandbox }: LaunchPlan, controller: string): "cgroup2" | "cgroup1" | null {
  const found = sandbox.cgroups.find(({ controllers }) => controllers.split(" ").includes(controller));
  if (found === undefined) return null;
  return found.version === 2 ? "cgroup2" : "cgroup1";
}
