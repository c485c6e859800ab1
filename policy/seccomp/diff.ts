/** What two profiles' filters answer differently, read off the compiled filters (regions.ts). */
import type { Arch } from "../compile/types.ts";
import { BelljarError } from "../errors.ts";
import { formatAnswer } from "./actions.ts";
import { dataOffset } from "./assembler.ts";
import { type Box, boxContains, boxOf, boxWords, joinBoxes } from "./boxes.ts";
import { type FilterGroups, isProven, type Knowledge, knownCall, type Region, regionsOf, witnessOf } from "./regions.ts";
import { auditArch, syscallNumbers } from "./syscalls.ts";
import { type Atom, fullWord, rangesOf } from "./word.ts";

/** The filters of one side: the base filter and the profile's. */
export type SideFilters = readonly Uint8Array[];

export interface SyscallDiff {
  /** A name; "number 500..4294967295" for numbers without one; "other ABIs". */
  readonly syscall: string;
  /** All of them hold for the calls that differ; empty: whatever the arguments are. */
  readonly conditions: readonly string[];
  /** In the profile's words. */
  readonly left: string;
  readonly right: string;
  /** Which side lets the call through; null: neither does, or both do. */
  readonly allowedBy: "left" | "right" | null;
  /** A call that differs so: the first arguments, up to the last that matters. */
  readonly example: readonly string[];
}

export interface FilterDiff {
  readonly rows: readonly SyscallDiff[];
  /** Calls whose rules are too many to be compared. */
  readonly undecided: readonly string[];
}

/** @throws BelljarError internal where the simulator contradicts what was found */
export function diffFilters({
  left,
  right,
  arch,
}: {
  readonly left: SideFilters;
  readonly right: SideFilters;
  readonly arch: Arch;
}): FilterDiff {
  const rows: SyscallDiff[] = [];
  const undecided: string[] = [];
  for (const { name, known } of targetsOf(arch)) {
    try {
      rows.push(...rowsOf(name, known, [left, right]));
    } catch (error) {
      if (!(error instanceof RangeError)) throw error;
      undecided.push(name);
    }
  }
  return { rows, undecided };
}

/** Rows for one call; more say nothing to anybody. */
const maxRows = 2048;

interface Target {
  readonly name: string;
  readonly known: Knowledge;
}

/** Every call by name; then the numbers without one; then what comes through other ABIs. */
function targetsOf(arch: Arch): readonly Target[] {
  const numbers = syscallNumbers(arch);
  const native: Atom = { mask: fullWord, low: auditArch[arch], high: auditArch[arch], inside: true };
  const nameless = Object.values(numbers).map((number): Atom => ({ mask: fullWord, low: number, high: number, inside: false }));
  return [
    ...Object.entries(numbers).map(([name, number]) => ({ name, known: knownCall(arch, number) })),
    { name: "", known: new Map([[dataOffset.arch, [native]], [dataOffset.nr, nameless]]) }, // biome-ignore format: one line
    { name: "other ABIs", known: new Map([[dataOffset.arch, [{ ...native, inside: false }]]]) },
  ];
}

function rowsOf(name: string, known: Knowledge, groups: FilterGroups): readonly SyscallDiff[] {
  const byAnswers = new Map<string, Region[]>();
  for (const region of regionsOf(groups, known)) {
    const [left, right] = region.answers.map(formatAnswer);
    if (left === right) continue;
    if (!isProven(region, groups)) throw new BelljarError("internal", `comparing filters: '${name}': the simulator answers otherwise`);
    const key = JSON.stringify([name === "" ? numbersOf(region) : name, left, right]);
    byAnswers.set(key, [...(byAnswers.get(key) ?? []), region]);
  }
  const rows = [...byAnswers].flatMap(([key, regions]) => {
    const [syscall, left, right] = JSON.parse(key) as [string, string, string];
    return joinBoxes(regions.map(({ known: facts }) => boxOf(facts))).map((box) => ({
      ...{ syscall, conditions: boxWords(box), left, right, allowedBy: allowedBy(left, right) },
      example: exampleOf(box, regions),
    }));
  });
  if (rows.length > maxRows) throw new RangeError("the differences of one call are too many to be read");
  return rows;
}

function numbersOf({ known }: Region): string {
  const ranges = rangesOf(known.get(dataOffset.nr) ?? [], fullWord);
  return `number ${ranges.map(([low, high]) => (low === high ? `${low}` : `${low}..${high}`)).join(", ")}`;
}

/** Each box comes from at least one region, whose witness lies in it; the arguments up to the last that matters. */
function exampleOf(box: Box, regions: readonly Region[]): readonly string[] {
  const args = regions.map((region) => witnessOf(region).args).find((found) => boxContains(box, found)) ?? [];
  return args.slice(0, Math.max(-1, ...box.keys()) + 1).map((value) => `0x${value.toString(16)}`);
}

const isAllowed = (action: string): boolean => action === "allow" || action === "log";

function allowedBy(left: string, right: string): SyscallDiff["allowedBy"] {
  if (isAllowed(left) === isAllowed(right)) return null;
  return isAllowed(left) ? "left" : "right";
}
