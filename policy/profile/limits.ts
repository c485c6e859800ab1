/** Each limit's unit: how it is read, and how it is said. One table, so that files, options and reports agree. */
import { BelljarError } from "../errors.ts";
import {
  formatDuration,
  formatSize,
  maxProcesses,
  type Reading,
  readCount,
  readCpuList,
  readCpus,
  readDuration,
  readSize,
  spellDuration,
  spellSize,
} from "../units.ts";
import type { LimitName } from "./types.ts";

export type LimitUnit = "duration" | "size" | "count" | "cpus" | "cpuset";
interface LimitKind {
  readonly unit: LimitUnit;
  /** Where 0 means something; elsewhere it is refused, for a limit of 0 either stops everything or, to the kernel, nothing. */
  readonly zero?: true;
  readonly max?: number;
  /** Below it no program with a C library starts: measured on x86_64 with 4 KiB pages, 400 starts of a static one each. */
  readonly min?: number;
}

export const limitKinds: Readonly<Record<LimitName, LimitKind>> = {
  cpuTime: { unit: "duration" },
  wallTime: { unit: "duration" },
  memory: { unit: "size" },
  processes: { unit: "count", max: maxProcesses },
  output: { unit: "size" },
  disk: { unit: "size" },
  inodes: { unit: "count" },
  openFiles: { unit: "count", min: 3, max: 2 ** 31 - 1 },
  fileSize: { unit: "size" },
  stack: { unit: "size", min: 16_384 },
  cpus: { unit: "cpus" },
  cpuset: { unit: "cpuset" },
  lockedMemory: { unit: "size", zero: true },
  core: { unit: "size", zero: true },
  addressSpace: { unit: "size", min: 1_048_576 },
};

/** A limit as written (text, number of base units or null) in base units; see `ResolvedLimits`. */
export function readLimit(name: LimitName, value: unknown, or = "null for no limit"): Reading<number | string | null> {
  if (value === null) return { ok: true, value: null };
  const { unit, zero, max, min = zero ? 0 : 1 } = limitKinds[name];
  const bounds = { min, or, ...(max === undefined ? {} : { max }) };
  switch (unit) {
    case "duration":
      return readDuration(value, bounds);
    case "size":
      return readSize(value, bounds);
    case "count":
      return readCount(value, bounds);
    case "cpus":
      return readCpus(value, bounds);
    case "cpuset":
      return readCpuList(value, bounds);
  }
}

/** The text of an option; "none" lifts the limit. Throws BelljarError "usage" that names `option`. */
export function parseLimit(name: LimitName, text: string, option: string): number | string | null {
  const reading = readLimit(name, text === "none" ? null : text, '"none" for no limit');
  if (reading.ok) return reading.value;
  throw new BelljarError("usage", `${option}: ${reading.problem}`);
}

/** For people: "64 MiB", "1.5 s", "32", "no limit". */
export function formatLimit(name: LimitName, value: number | string | null): string {
  if (value === null) return "no limit";
  const { unit } = limitKinds[name];
  if (unit === "size") return formatSize(Number(value));
  return unit === "duration" ? formatDuration(Number(value)) : String(value);
}

/** As profiles spell it, without loss. */
export function spellLimit(name: LimitName, value: number | string | null): string | number | null {
  if (typeof value !== "number") return value;
  const { unit } = limitKinds[name];
  if (unit === "size") return spellSize(value);
  return unit === "duration" ? spellDuration(value) : value;
}
