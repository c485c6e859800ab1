/** What is drawn of a report: three figures over the same time. Values only; where they lie is plot.ts's. */
import { formatDuration, formatSize } from "../../../policy/units.ts";
import type { RunReport, SamplePoint, Samples } from "../../../policy/verdict/report-types.ts";
import { type Axis, countAxis, sizeAxis, timeAxis } from "./scale.ts";

export interface Panel {
  /** Names the colour too. */
  readonly kind: "cpu" | "memory" | "processes";
  readonly title: string;
  /** How it was measured. */
  readonly note: string;
  readonly points: readonly { readonly atMs: number; readonly value: number }[];
  readonly axis: Axis;
  /** Level lines, each with its words; `above` the axis they are only told of. */
  readonly levels: readonly { readonly kind: "limit" | "peak"; readonly value: number; readonly text: string; readonly above: boolean }[];
}

const tickCount = 5;
/** Room above the highest line. */
const headroom = 1.12;
/** A limit so many times above everything that was measured would press the curve flat. */
const farAbove = 3;

interface Drawn {
  readonly kind: Panel["kind"];
  readonly title: string;
  readonly note: string;
  readonly points: Panel["points"];
  readonly limit: number | string | undefined;
  readonly peak: number | null;
  readonly axisFor: (max: number, count: number) => Axis;
  readonly least: number;
  readonly words: (value: number) => string;
}

function panel({ kind, title, note, points, limit, peak, axisFor, least, words }: Drawn): Panel {
  const highest = Math.max(least, peak ?? 0, ...points.map(({ value }) => value));
  const limits = typeof limit === "number" ? [{ kind: "limit" as const, value: limit, text: `limit ${words(limit)}` }] : [];
  const peaks = peak === null ? [] : [{ kind: "peak" as const, value: peak, text: `peak ${words(peak)}` }];
  const near = limits.filter(({ value }) => value <= farAbove * highest);
  const top = headroom * Math.max(highest, ...near.map(({ value }) => value));
  const levels = [...limits, ...peaks].map((level) => ({ ...level, above: level.value > top }));
  return { kind, title, note, points, axis: axisFor(top, tickCount), levels };
}

function pointsOf(samples: Samples | null, figure: Exclude<keyof SamplePoint, "atMs">): Panel["points"] {
  return (samples?.points ?? []).flatMap(({ atMs, [figure]: value }) => (value === null ? [] : [{ atMs, value }]));
}

/** CPU time starts at 0 and ends with what the whole run used. */
function cpuPoints({ samples, time }: RunReport): Panel["points"] {
  if (time.wallMs === null || time.cpuMs === null) return pointsOf(samples, "cpuMs");
  return [{ atMs: 0, value: 0 }, ...pointsOf(samples, "cpuMs"), { atMs: time.wallMs, value: time.cpuMs }];
}

export function panelsOf(report: RunReport): readonly Panel[] {
  const { samples, limits, memory, processes, time } = report;
  const by = (figure: keyof Samples["measuredBy"]): string => (samples === null ? "" : `by ${samples.measuredBy[figure]}`);
  const exact = samples === null || (time.cpuExact && samples.cpuExact) ? "" : "a lower bound, ";
  return [
    panel({
      ...{ kind: "cpu", title: "CPU time", note: `${exact}${by("cpuMs")}`, points: cpuPoints(report) },
      ...{ limit: limits.cpuTime, peak: null, axisFor: timeAxis, least: 1, words: formatDuration },
    }),
    panel({
      ...{ kind: "memory", title: "Memory", note: by("memoryBytes"), points: pointsOf(samples, "memoryBytes") },
      ...{ limit: limits.memory, peak: memory.peakBytes, axisFor: sizeAxis, least: 4096, words: formatSize },
    }),
    panel({
      ...{ kind: "processes", title: "Processes and threads", note: by("processes"), points: pointsOf(samples, "processes") },
      ...{ limit: limits.processes, peak: processes.peak, axisFor: countAxis, least: 1, words: String },
    }),
  ];
}
