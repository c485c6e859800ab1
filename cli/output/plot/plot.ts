/** A report's samples as a picture: plain SVG without scripts, readable on light and dark ground, the same text for the same report. */
import { formatDuration } from "../../../policy/units.ts";
import type { RunReport } from "../../../policy/verdict/report-types.ts";
import { type Panel, panelsOf } from "./panels.ts";
import { type Axis, timeAxis } from "./scale.ts";
import { styleSheet } from "./style.ts";
import { element, escaped, lineFrom, pathOf, shortened, textAt } from "./svg.ts";

const width = 840;
const [left, right] = [76, width - 24];
const headHeight = 78;
const panelHeight = 132;
/** From the bottom of one panel to the top of the next: the heading is in between. */
const panelGap = 44;
const footHeight = 46;
/** Further to the right, words of a vertical line stand on its left side. */
const middle = (left + right) / 2;
/** Single measurements are marked as long as they can be told apart. */
const maxDots = 80;
const titleLength = 108;
/** A wall limit is drawn where the run came near it. */
const nearWall = 1.25;

interface Frame {
  readonly time: Axis;
  readonly x: (ms: number) => number;
  /** Where words at the right end: before the line that marks the verdict. */
  readonly end: number;
}

function frameOf({ time, limits, samples }: RunReport): Frame {
  const ends = [1, time.wallMs ?? 0, samples?.points.at(-1)?.atMs ?? 0];
  const last = Math.max(...ends);
  const wall = typeof limits.wallTime === "number" && limits.wallTime <= nearWall * last ? limits.wallTime : 0;
  const axis = timeAxis(1.02 * Math.max(last, wall), 10);
  const x = (ms: number): number => left + (ms / axis.max) * (right - left);
  const moment = x(time.wallMs ?? 0);
  return { time: axis, x, end: moment > middle ? moment - 6 : right - 6 };
}

const topOf = (index: number): number => headHeight + 30 + index * (panelHeight + panelGap);

function gridOf({ axis }: Panel, { time, x }: Frame, top: number): string {
  const y = (value: number) => top + panelHeight - (value / axis.max) * panelHeight;
  const rows = axis.ticks.flatMap(({ value, text }) => [
    lineFrom([left, y(value)], [right, y(value)], value === 0 ? "axis" : "grid"),
    textAt(left - 8, y(value) + 4, text, { class: "tick", "text-anchor": "end" }),
  ]);
  const columns = time.ticks.map(({ value }) => lineFrom([x(value), top], [x(value), top + panelHeight], value === 0 ? "axis" : "grid"));
  return [...columns, ...rows].join("");
}

function curveOf({ kind, points, axis }: Panel, { x }: Frame, top: number): string {
  const places = points.map(({ atMs, value }) => [x(atMs), top + panelHeight - (value / axis.max) * panelHeight] as const);
  // There is no half a process on the way from one count to the next.
  const steps = places.flatMap((place, i) => (i === 0 ? [place] : [[place[0], places[i - 1]?.[1] ?? 0] as const, place]));
  const line = pathOf(kind === "processes" ? steps : places);
  const [first, last] = [places[0], places.at(-1)];
  if (first === undefined || last === undefined)
    return textAt(middle, top + panelHeight / 2, "no samples", { class: "note", "text-anchor": "middle" });
  const bottom = top + panelHeight;
  const area = `${line}L${pathOf([[last[0], bottom]]).slice(1)}L${pathOf([[first[0], bottom]]).slice(1)}Z`;
  const dots = places.length > maxDots ? [] : places.map(([cx, cy]) => element("circle", { cx, cy, r: 2, class: `${kind} dot` }));
  return [element("path", { d: area, class: `${kind} area` }), element("path", { d: line, class: `${kind} curve` }), ...dots].join("");
}

/** Words stand above their line; those of a peak on the left, so that they never meet those of a limit. */
function levelsOf({ levels, axis }: Panel, { end }: Frame, top: number): string {
  return levels
    .filter(({ above }) => !above)
    .flatMap(({ kind, value, text }) => {
      const y = top + panelHeight - (value / axis.max) * panelHeight;
      const place = kind === "limit" ? { x: end, anchor: "end" } : { x: left + 8, anchor: "start" };
      return [lineFrom([left, y], [right, y], kind), textAt(place.x, y - 4, text, { class: `${kind}-text`, "text-anchor": place.anchor })];
    })
    .join("");
}

function headingOf({ title, note, axis, levels }: Panel, { end }: Frame, top: number): string {
  const unit = axis.unit === "" ? "" : ` (${axis.unit})`;
  const strong = element("tspan", { class: "strong" }, escaped(`${title}${unit}`));
  const heading = element("text", { x: left, y: top - 10 }, `${strong}${element("tspan", { class: "note", dx: 8 }, escaped(note))}`);
  const above = levels.filter((level) => level.above).map(({ text }) => `${text}, above this scale`);
  return `${heading}${textAt(end, top - 10, above.join("; "), { class: "limit-text", "text-anchor": "end" })}`;
}

function panelOf(panel: Panel, frame: Frame, index: number): string {
  const top = topOf(index);
  return element(
    "g",
    {},
    [gridOf(panel, frame, top), curveOf(panel, frame, top), levelsOf(panel, frame, top), headingOf(panel, frame, top)].join(""),
  );
}

/** The moment of the verdict, and the wall limit where the run came near it: through all panels. */
function momentsOf({ verdict, time, limits }: RunReport, { time: axis, x }: Frame, bottom: number): string {
  const wall = limits.wallTime;
  const parts: string[] = [];
  if (typeof wall === "number" && wall <= axis.max) parts.push(lineFrom([x(wall), topOf(0)], [x(wall), bottom], "limit"));
  if (time.wallMs !== null) {
    const at = x(time.wallMs);
    const words = `${verdict} at ${formatDuration(time.wallMs)}`;
    const anchor = at > middle ? "end" : "start";
    parts.push(lineFrom([at, headHeight - 10], [at, bottom], "moment"));
    parts.push(textAt(at + (at > middle ? -6 : 6), headHeight - 1, words, { class: "moment-text", "text-anchor": anchor }));
  }
  return parts.join("");
}

function timeAxisOf({ time, x }: Frame, { limits }: RunReport, bottom: number): string {
  const ticks = time.ticks.map(({ value, text }) => textAt(x(value), bottom + 16, text, { class: "tick", "text-anchor": "middle" }));
  const title = textAt(middle, bottom + 36, `time since the program's start (${time.unit})`, { class: "strong", "text-anchor": "middle" });
  const wall = typeof limits.wallTime === "number" ? `wall time limit ${formatDuration(limits.wallTime)}` : "no wall time limit";
  return `${ticks.join("")}${title}${textAt(right, bottom + 36, wall, { class: "limit-text", "text-anchor": "end" })}`;
}

function headOf({ verdict, message, sandbox, samples }: RunReport): string {
  const rate =
    samples === null ? "nothing was sampled" : `${samples.points.length} samples, one every ${formatDuration(samples.intervalMs)}`;
  return [
    textAt(left, 28, shortened(`${verdict}: ${message}`, titleLength), { class: "title" }),
    textAt(left, 48, shortened(`profile ${sandbox.profile}, on ${sandbox.image ?? sandbox.rootfs}; ${rate}`, titleLength), {
      class: "note",
    }),
  ].join("");
}

/** The picture as the text of an SVG file. Whatever a report holds, nothing in it becomes markup. */
export function plotSvg(report: RunReport): string {
  const frame = frameOf(report);
  const panels = panelsOf(report);
  const bottom = topOf(panels.length - 1) + panelHeight;
  const height = bottom + footHeight;
  const parts = [
    element("title", {}, escaped(`belljar run: ${report.verdict}`)),
    element("desc", {}, escaped(report.message)),
    element("style", {}, styleSheet),
    element("rect", { width, height, class: "ground" }),
    headOf(report),
    ...panels.map((panel, index) => panelOf(panel, frame, index)),
    momentsOf(report, frame, bottom),
    timeAxisOf(frame, report, bottom),
  ];
  const size = { width, height, viewBox: `0 0 ${width} ${height}` };
  return `${element("svg", { xmlns: "http://www.w3.org/2000/svg", ...size, role: "img" }, `\n${parts.join("\n")}\n`)}\n`;
}
