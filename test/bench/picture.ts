/** The figures that matter as a picture, with the colours and the escaping of `--plot`: how long a start takes by every way, and runs a second. */
import { styleSheet } from "../../cli/output/plot/style.ts";
import { element, escaped, lineFrom, textAt } from "../../cli/output/plot/svg.ts";

export interface Result {
  readonly name: string;
  readonly median?: number;
  readonly p99?: number;
}

export interface Group {
  readonly title: string;
  readonly unit: string;
  readonly results: readonly Result[];
}

const width = 840;
const [left, right] = [190, width - 90];
const rowHeight = 19;
const barHeight = 11;
const headHeight = 56;
const panelGap = 62;

/** Without any sandbox; others' programs; ours. */
const kindOf = (name: string): "memory" | "processes" | "cpu" =>
  /^(fork|bare|node -e|Node's)/.test(name) ? "processes" : /^(bubblewrap|crun|runc|podman)/.test(name) ? "memory" : "cpu";

interface Scale {
  readonly x: (value: number) => number;
  readonly ticks: readonly number[];
}

/** Powers of ten: what is compared lies apart by a factor of hundreds. */
function logScale(values: readonly number[]): Scale {
  const [low, high] = [Math.floor(Math.log10(Math.min(...values))), Math.ceil(Math.log10(Math.max(...values)))];
  const x = (value: number): number => left + ((Math.log10(value) - low) / (high - low)) * (right - left);
  return { x, ticks: Array.from({ length: high - low + 1 }, (_, i) => 10 ** (low + i)) };
}

const figure = (value: number): string => (value < 10 ? value.toFixed(2) : value < 100 ? value.toFixed(1) : value.toFixed(0));

function rowOf({ name, median = 0, p99 }: Result, { x }: Scale, { y, base }: { readonly y: number; readonly base: number }): string {
  const middle = y + rowHeight / 2;
  const whisker =
    p99 === undefined
      ? ""
      : `${lineFrom([x(median), middle], [x(p99), middle], "axis")}${lineFrom([x(p99), middle - 3], [x(p99), middle + 3], "axis")}`;
  return [
    textAt(left - 8, middle + 4, name, { "text-anchor": "end" }),
    element("rect", { x: base, y: middle - barHeight / 2, width: x(median) - base, height: barHeight, class: `${kindOf(name)} dot` }),
    whisker,
    textAt(right + 8, middle + 4, figure(median), { class: "tick" }),
  ].join("");
}

/** A bar for each, in the order given; a thin line goes on to what 99 of 100 need at most, where that says anything. */
function panelOf({ title, unit, results }: Group, top: number, whiskers: boolean): string {
  const there = results.filter(({ median }) => median !== undefined);
  const scale = logScale(there.flatMap(({ median = 1, p99 = 1 }) => (whiskers ? [median, p99] : [median])));
  const bottom = top + there.length * rowHeight;
  const ticks = scale.ticks.flatMap((value) => [
    lineFrom([scale.x(value), top], [scale.x(value), bottom], "grid"),
    textAt(scale.x(value), bottom + 15, String(Number(value.toFixed(3))), { class: "tick", "text-anchor": "middle" }),
  ]);
  const rows = there.map(({ name, median = 0, p99 }, i) =>
    rowOf({ name, median, ...(whiskers && p99 !== undefined ? { p99 } : {}) }, scale, { y: top + i * rowHeight, base: left }),
  );
  return element("g", {}, [textAt(left, top - 10, `${title} (${unit})`, { class: "strong" }), ...ticks, ...rows].join(""));
}

/** Runs a second of each way with each number of clients, in one panel. */
function together(rates: readonly Group[]): Group | null {
  const [first] = rates;
  if (first === undefined) return null;
  const clients = rates.map(({ title }) => /by (\d+) client/.exec(title)?.[1] ?? "?");
  const results = first.results.flatMap(({ name }) =>
    rates.flatMap(({ results: all }, i) =>
      all.filter((one) => one.name === name).map((one) => ({ ...one, name: `${name}, ${clients[i]} at once` })),
    ),
  );
  return { title: "Runs a second", unit: "runs/s", results };
}

export function pictureOf({
  start,
  rates,
  machine,
}: {
  readonly start: Group;
  readonly rates: readonly Group[];
  readonly machine: string;
}): string {
  const rate = together(rates);
  const rowsOf = (group: Group) => group.results.filter(({ median }) => median !== undefined).length;
  const first = headHeight + 30;
  const second = first + rowsOf(start) * rowHeight + panelGap;
  const height = (rate === null ? second - panelGap : second + rowsOf(rate) * rowHeight) + 36;
  const parts = [
    element("title", {}, escaped("What belljar costs")),
    element("style", {}, styleSheet),
    element("rect", { width, height, class: "ground" }),
    textAt(left, 26, "What a run costs", { class: "title" }),
    textAt(left, 46, `${machine}; medians, the lines go on to the 99th percentile; scales are logarithmic`, { class: "note" }),
    panelOf(start, first, true),
    ...(rate === null ? [] : [panelOf(rate, second, false)]),
  ];
  const size = { width, height, viewBox: `0 0 ${width} ${height}` };
  return `${element("svg", { xmlns: "http://www.w3.org/2000/svg", ...size, role: "img" }, `\n${parts.join("\n")}\n`)}\n`;
}
