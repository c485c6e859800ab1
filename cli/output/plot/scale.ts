/** Axes: round values that a person can read, and where they lie. */

export interface Axis {
  /** In the figure's own unit, from 0 to this. */
  readonly max: number;
  readonly unit: string;
  readonly ticks: readonly { readonly value: number; readonly text: string }[];
}

interface Unit {
  readonly name: string;
  readonly size: number;
  /** Steps between ticks are these times a power of `base`. */
  readonly steps: readonly number[];
  readonly base: number;
}

const decimal = { steps: [1, 2, 5], base: 10 } as const;
const binary = { steps: [1, 2, 4, 8, 16, 32, 64, 128, 256, 512], base: 1024 } as const;
const timeUnits: readonly Unit[] = [
  { name: "ms", size: 1, ...decimal },
  { name: "s", size: 1000, ...decimal },
  { name: "min", size: 60_000, ...decimal },
  { name: "h", size: 3_600_000, ...decimal },
];
const sizeUnits: readonly Unit[] = [
  { name: "bytes", size: 1, ...binary },
  { name: "KiB", size: 1024, ...binary },
  { name: "MiB", size: 2 ** 20, ...binary },
  { name: "GiB", size: 2 ** 30, ...binary },
  { name: "TiB", size: 2 ** 40, ...binary },
];

/** The largest unit of which there are at least two, so that ticks have few digits. */
function unitFor(units: readonly Unit[], max: number): Unit {
  const [smallest] = units;
  return units.findLast(({ size }) => max >= 2 * size) ?? (smallest as Unit);
}

/** The smallest round step that leaves at most `count` of them. */
function roundStep({ steps, base }: Unit, max: number, count: number): number {
  for (let power = 1 / base; ; power *= base) {
    const step = steps.map((one) => one * power).find((one) => one * count >= max);
    if (step !== undefined) return step;
  }
}

function axis(unit: Unit, max: number, { count, whole = false }: { readonly count: number; readonly whole?: boolean }): Axis {
  const largest = max / unit.size;
  const step = whole ? Math.max(1, roundStep(unit, largest, count)) : roundStep(unit, largest, count);
  const ticks = Array.from({ length: Math.floor(largest / step + 1e-9) + 1 }, (_, i) => i * step);
  return {
    max,
    unit: unit.name,
    ticks: ticks.map((value) => ({ value: value * unit.size, text: String(Number(value.toFixed(6))) })),
  };
}

export const timeAxis = (maxMs: number, count: number): Axis => axis(unitFor(timeUnits, maxMs), maxMs, { count });
export const sizeAxis = (maxBytes: number, count: number): Axis => axis(unitFor(sizeUnits, maxBytes), maxBytes, { count });
export const countAxis = (max: number, count: number): Axis => axis({ name: "", size: 1, ...decimal }, max, { count, whole: true });
