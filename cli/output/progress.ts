import { type Bytes, formatDuration, formatSize, type Millis } from "../../policy/units.ts";
import type { Digest } from "../image/oci-types.ts";
import type { PullEvent } from "../image/pull-events.ts";
import { printable } from "./terminal.ts";

/** Where progress is shown, normally stderr. */
export interface ProgressTarget {
  readonly isTerminal: boolean;
  /** Of the terminal, asked anew each time: people resize. */
  readonly columns: () => number;
  readonly write: (text: string) => void;
  /** Monotonic milliseconds. */
  readonly now: () => number;
}

export interface Progress {
  show(event: PullEvent): void;
  /** Takes away what is only of the moment. */
  end(): void;
}

interface Layer {
  readonly size: number;
  have: number;
}

const redrawMs = 100;
const barWidth = 24;
const idWidth = 12;
const clearLine = "\u001b[2K";
const up = (lines: number): string => (lines === 0 ? "" : `\u001b[${lines}A`);

const shortId = (digest: Digest): string => digest.slice(digest.indexOf(":") + 1).slice(0, idWidth);
const size = (bytes: number): string => formatSize(bytes as Bytes);

function bar(have: number, all: number): string {
  const filled = all === 0 ? barWidth : Math.floor((Math.min(have, all) / all) * barWidth);
  return `[${"=".repeat(filled)}${" ".repeat(barWidth - filled)}]`;
}

/** What stays on the screen, or is all there is where nobody watches. null for what is only of the moment. */
function lastingLine(event: PullEvent): string | null {
  switch (event.kind) {
    case "resolving":
      return `asking ${event.host}`;
    case "finished":
      return `${shortId(event.digest)}  ${event.how === "present" ? "is there already" : size(event.size)}`;
    case "started":
      return event.offset > 0 && event.offset < event.size ? `${shortId(event.digest)}  goes on from ${size(event.offset)}` : null;
    case "waiting":
      return `${event.reason}; next attempt in ${formatDuration(event.delayMs as Millis)}`;
    case "warning":
      return `warning: ${event.message}`;
    case "layers":
    case "progress":
      return null;
  }
}

/** The lines of the moment: a bar for each layer that comes, and the sum. */
function momentLines(
  coming: ReadonlyMap<Digest, Layer>,
  sum: { readonly have: number; readonly all: number; readonly brought: number; readonly elapsedMs: number },
): readonly string[] {
  const lines = [...coming].map(
    ([digest, layer]) => `${shortId(digest)}  ${bar(layer.have, layer.size)}  ${size(layer.have)} of ${size(layer.size)}`,
  );
  // Of the first moment a rate says nothing.
  const rate = sum.elapsedMs < 1000 ? "" : `, ${size(Math.round((sum.brought / sum.elapsedMs) * 1000))}/s`;
  return [...lines, `${"all layers".padEnd(idWidth)}  ${bar(sum.have, sum.all)}  ${size(sum.have)} of ${size(sum.all)}${rate}`];
}

/**
 * Shows how a pull goes: on a terminal a bar for each layer that comes, redrawn in place; elsewhere one line for whatever is done.
 * Whatever a registry says is shown without control characters.
 */
export function pullProgress(target: ProgressTarget): Progress {
  const { isTerminal, columns, write, now } = target;
  const coming = new Map<Digest, Layer>();
  const done = new Map<Digest, number>();
  let all = 0;
  let startedAtMs: number | null = null;
  /** Bytes that this pull has brought, for the rate. */
  let brought = 0;
  let drawn = 0;
  let drawnAtMs = Number.NEGATIVE_INFINITY;

  const erase = (): string => {
    const text = drawn === 0 ? "" : `${up(drawn)}${`${clearLine}\n`.repeat(drawn)}${up(drawn)}`;
    drawn = 0;
    return text;
  };
  const draw = (): string => {
    if (coming.size === 0 || startedAtMs === null) return "";
    const have =
      [...done.values()].reduce((sum, bytes) => sum + bytes, 0) + [...coming.values()].reduce((sum, layer) => sum + layer.have, 0);
    const lines = momentLines(coming, { have, all, brought, elapsedMs: now() - startedAtMs });
    drawn = lines.length;
    drawnAtMs = now();
    // A line that wraps would be two, and the next redraw would start in the wrong place.
    return lines.map((line) => `${printable(line).slice(0, Math.max(1, columns() - 1))}\n`).join("");
  };

  const note = (event: PullEvent): void => {
    if (event.kind === "layers")
      all = [...new Map(event.layers.map((layer) => [layer.digest, layer.size])).values()].reduce((sum, bytes) => sum + bytes, 0);
    else if (event.kind === "started") {
      startedAtMs ??= now();
      coming.set(event.digest, { size: event.size, have: event.offset });
    } else if (event.kind === "progress") {
      const layer = coming.get(event.digest);
      if (layer === undefined) return;
      brought += event.have - layer.have;
      layer.have = event.have;
    } else if (event.kind === "finished") {
      coming.delete(event.digest);
      done.set(event.digest, event.size);
    }
  };

  return {
    show: (event) => {
      note(event);
      const line = lastingLine(event);
      const lasting = line === null ? "" : `belljar: ${printable(line)}\n`;
      if (!isTerminal) {
        if (lasting !== "") write(lasting);
        return;
      }
      if (lasting === "" && now() - drawnAtMs < redrawMs) return;
      write(erase() + lasting + draw());
    },
    end: () => {
      if (isTerminal && drawn > 0) write(erase());
    },
  };
}
