import { describe, expect, test } from "vitest";
import type { Digest } from "../../../cli/image/oci-types.ts";
import type { PullEvent } from "../../../cli/image/pull-events.ts";
import { pullProgress } from "../../../cli/output/progress.ts";

const id = (letter: string): Digest => `sha256:${letter.repeat(64)}`;
const mib = 1024 * 1024;

function shown(
  events: readonly (PullEvent | number)[],
  options: { readonly terminal: boolean; readonly columns?: number; readonly end?: boolean },
) {
  const writes: string[] = [];
  let clock = 0;
  const progress = pullProgress({
    isTerminal: options.terminal,
    columns: () => options.columns ?? 80,
    write: (text) => writes.push(text),
    now: () => clock,
  });
  for (const event of events) {
    if (typeof event === "number") clock += event;
    else progress.show(event);
  }
  if (options.end !== false) progress.end();
  return writes;
}

/** What a terminal shows after these bytes: knows line feeds, cursor up, and clearing of a line. */
function screen(text: string): readonly string[] {
  const lines: string[] = [""];
  let row = 0;
  // biome-ignore lint/suspicious/noControlCharactersInRegex: these are what a terminal acts on
  for (const [piece] of text.matchAll(/\u001b\[(\d*)[A-Z]|\n|[^\u001b\n]+/g)) {
    if (piece === "\n") row++;
    else if (piece === "\u001b[2K") lines[row] = "";
    else if (piece.startsWith("\u001b")) row -= Number(/\d+/.exec(piece)?.[0]);
    else lines[row] += piece;
    lines[row] ??= "";
  }
  return lines.slice(0, lines.findLastIndex((line) => line !== "") + 1);
}

const events: readonly (PullEvent | number)[] = [
  { kind: "resolving", host: "registry.example" },
  {
    kind: "layers",
    layers: [
      { digest: id("a"), size: 4 * mib },
      { digest: id("b"), size: 8 * mib },
      { digest: id("c"), size: mib },
    ],
  },
  { kind: "finished", digest: id("c"), size: mib, how: "present" },
  { kind: "started", digest: id("a"), size: 4 * mib, offset: 0 },
  { kind: "started", digest: id("b"), size: 8 * mib, offset: 2 * mib },
  500,
  { kind: "progress", digest: id("a"), size: 4 * mib, have: mib },
  1500,
  { kind: "progress", digest: id("b"), size: 8 * mib, have: 5 * mib },
];

describe("on a terminal", () => {
  test("a bar for each layer that comes, below what is done", () => {
    expect(screen(shown(events, { terminal: true, end: false }).join(""))).toEqual([
      "belljar: asking registry.example",
      "belljar: cccccccccccc  is there already",
      "belljar: bbbbbbbbbbbb  goes on from 2 MiB",
      "aaaaaaaaaaaa  [======                  ]  1 MiB of 4 MiB",
      "bbbbbbbbbbbb  [===============         ]  5 MiB of 8 MiB",
      "all layers    [============            ]  7 MiB of 13 MiB, 2 MiB/s",
    ]);
  });

  test("at the end only what lasts is left", () => {
    const all: readonly (PullEvent | number)[] = [...events, { kind: "finished", digest: id("a"), size: 4 * mib, how: "downloaded" }];
    expect(screen(shown(all, { terminal: true }).join(""))).toEqual([
      "belljar: asking registry.example",
      "belljar: cccccccccccc  is there already",
      "belljar: bbbbbbbbbbbb  goes on from 2 MiB",
      "belljar: aaaaaaaaaaaa  4 MiB",
    ]);
  });

  test("no line is wider than the terminal, however narrow", () => {
    for (const columns of [1, 20, 40]) {
      const lines = screen(shown(events, { terminal: true, columns, end: false }).join(""));
      expect(lines.filter((line) => !line.startsWith("belljar:")).every((line) => line.length < Math.max(2, columns))).toBe(true);
    }
  });

  test("redraws at most ten times a second", () => {
    const many = Array.from({ length: 1000 }, (_, have): PullEvent => ({ kind: "progress", digest: id("a"), size: 4 * mib, have }));
    const first = shown(events, { terminal: true, end: false }).length;
    expect(shown([...events, ...many], { terminal: true, end: false }).length).toBe(first);
    expect(shown([...events, ...many.flatMap((event) => [10, event])], { terminal: true, end: false }).length).toBe(first + 100);
  });
});

describe("elsewhere", () => {
  test("one line for whatever is done, without any control character", () => {
    const text = shown(
      [
        ...events,
        { kind: "waiting", reason: "registry.example: status 503: \u001b[2Jevil\n", delayMs: 1500 },
        { kind: "warning", message: "a helper \u001b]0;x\u0007" },
        { kind: "finished", digest: id("a"), size: 4 * mib, how: "downloaded" },
      ],
      { terminal: false },
    ).join("");
    expect(text).toBe(
      `${[
        "belljar: asking registry.example",
        "belljar: cccccccccccc  is there already",
        "belljar: bbbbbbbbbbbb  goes on from 2 MiB",
        "belljar: registry.example: status 503: \\x1b[2Jevil\\n; next attempt in 1.5 s",
        "belljar: warning: a helper \\x1b]0;x\\x07",
        "belljar: aaaaaaaaaaaa  4 MiB",
      ].join("\n")}\n`,
    );
  });
});

test("layers without bytes, and layers that come twice, do no harm", () => {
  const odd: readonly PullEvent[] = [
    { kind: "layers", layers: [{ digest: id("a"), size: 0 }] },
    { kind: "started", digest: id("a"), size: 0, offset: 0 },
    { kind: "progress", digest: id("b"), size: 1, have: 1 },
    { kind: "finished", digest: id("a"), size: 0, how: "downloaded" },
    { kind: "finished", digest: id("a"), size: 0, how: "present" },
  ];
  expect(screen(shown(odd, { terminal: true }).join(""))).toEqual([
    "belljar: aaaaaaaaaaaa  0 bytes",
    "belljar: aaaaaaaaaaaa  is there already",
  ]);
});
