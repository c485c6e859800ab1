import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { plotSvg } from "../../../cli/output/plot/plot.ts";
import { countAxis, sizeAxis, timeAxis } from "../../../cli/output/plot/scale.ts";
import { escaped, shortened } from "../../../cli/output/plot/svg.ts";
import type { RunReport } from "../../../policy/verdict/report-types.ts";
import { root } from "../../helpers/places.ts";

const typical = JSON.parse(readFileSync(join(root, "test/fixtures/plots/report.json"), "utf8")) as RunReport;

const known = ["svg", "title", "desc", "style", "rect", "g", "line", "path", "circle", "text", "tspan"];
const entities: Readonly<Record<string, string>> = { amp: "&", lt: "<", gt: ">", quot: '"', "#39": "'" };

/** Every tag closed in its turn, nothing but known elements, no character that XML forbids; gives the texts in between, unescaped. */
function textsOf(svg: string): readonly string[] {
  const open: string[] = [];
  const texts: string[] = [];
  const wrong: string[] = [];
  // biome-ignore lint/suspicious/noControlCharactersInRegex: finding them is the purpose
  if (/[\u0000-\u0008\u000b\u000c\u000e-\u001f\ufffe\uffff]|\p{Surrogate}/u.test(svg)) wrong.push("a forbidden character");
  let read = 0;
  for (const [whole, close, name, attributes = "", alone, text] of svg.matchAll(/<(\/?)([a-z]+)((?: [\w:-]+="[^"<]*")*)(\/?)>|([^<>]+)/g)) {
    read += whole.length;
    if (text !== undefined) texts.push(text);
    else if (close) wrong.push(...(open.pop() === name ? [] : [`</${name}>`]));
    else if (!alone) open.push(name ?? "");
    if ((name !== undefined && !known.includes(name)) || / on\w+=|href/.test(attributes)) wrong.push(whole);
    if (/&(?!(amp|lt|gt|quot|#39);)/.test(whole)) wrong.push(whole);
  }
  expect([wrong, open, read]).toEqual([[], [], svg.length]);
  return texts.map((text) => text.replace(/&(amp|lt|gt|quot|#39);/g, (_, entity: string) => entities[entity] ?? ""));
}

describe("the plot", () => {
  test("of a report is the picture in the documentation (BELLJAR_UPDATE_GOLDEN=1 draws it anew)", () => {
    const file = join(root, "docs/images/plot.svg");
    const made = plotSvg(typical);
    if (process.env["BELLJAR_UPDATE_GOLDEN"] === "1") writeFileSync(file, made);
    expect(existsSync(file) ? readFileSync(file, "utf8") : "").toBe(made);
  });
  test("names axes with units, limits with values, the verdict with its moment", () => {
    const texts = textsOf(plotSvg(typical));
    for (const text of [
      "cpu-time-limit: used more CPU time than the limit of 800 ms",
      "cpu-time-limit at 1.688 s",
      ...["CPU time (ms)", "limit 800 ms", "by cgroup1"],
      ...["Memory (MiB)", "limit 64 MiB", "peak 44.24 MiB"],
      ...["Processes and threads", "peak 5", "limit 256, above this scale"],
      ...["time since the program's start (ms)", "wall time limit 10 s"],
    ])
      expect(texts).toContain(text);
  });
  test("says what is a lower bound, and what was not sampled", () => {
    const samples = {
      intervalMs: 50,
      cpuExact: false,
      measuredBy: { cpuMs: "supervisor", memoryBytes: "supervisor", processes: "supervisor" },
    } as const;
    expect(textsOf(plotSvg({ ...typical, samples: { ...samples, points: [] } }))).toEqual(
      expect.arrayContaining(["a lower bound, by supervisor", "no samples"]),
    );
    const never = {
      ...typical,
      samples: null,
      time: { ...typical.time, wallMs: null, cpuMs: null },
      memory: { peakBytes: null, oomKills: null },
    };
    const texts = textsOf(plotSvg(never));
    expect(texts.filter((text) => text === "no samples")).toHaveLength(3);
    expect(texts.some((text) => text.includes(" at "))).toBe(false);
  });
  test("a figure that is missing leaves a gap in nothing but its own curve", () => {
    const [first] = typical.samples?.points ?? [];
    if (typical.samples === null || first === undefined) throw new Error("the report has samples");
    const points = [
      { ...first, memoryBytes: null },
      { ...first, atMs: 100 },
    ];
    const circles = (svg: string, kind: string) => svg.split(`class="${kind} dot"`).length - 1;
    const svg = plotSvg({ ...typical, samples: { ...typical.samples, points } });
    expect([circles(svg, "memory"), circles(svg, "processes")]).toEqual([1, 2]);
  });
  test("whatever is in a report, it becomes no markup, and no figure breaks the picture", () => {
    const hostile = fc.oneof(
      fc.string({ unit: "binary" }),
      fc.constantFrom("</text><script>alert(1)</script>", "&lt;", "]]>", "\u202e\u0000\ud800"),
    );
    const amount = fc.oneof(fc.constant(0), fc.nat(), fc.double({ min: 0, max: 1e16, noNaN: true }));
    const point = fc.record({ atMs: amount, cpuMs: fc.option(amount), memoryBytes: fc.option(amount), processes: fc.option(fc.nat()) });
    fc.assert(
      fc.property(
        hostile,
        hostile,
        fc.array(point, { maxLength: 8 }),
        fc.option(amount),
        fc.option(amount),
        (message, profile, points, wallMs, limit) => {
          const svg = plotSvg({
            ...typical,
            message,
            sandbox: { ...typical.sandbox, profile, image: profile },
            time: { ...typical.time, wallMs },
            limits: limit === null ? {} : { cpuTime: limit, memory: limit, wallTime: limit, processes: limit },
            samples: typical.samples && { ...typical.samples, points },
          });
          textsOf(svg);
          expect(svg).not.toMatch(/NaN|Infinity|undefined|="[^"]*\de\+/);
        },
      ),
      { numRuns: 30 },
    );
  });
});

describe("text in a plot", () => {
  test("is escaped, with what cannot be seen made visible", () => {
    expect(escaped(`<a b="c">&'`)).toBe("&lt;a b=&quot;c&quot;&gt;&amp;&#39;");
    expect(escaped("a\u202eb\u0000\n\uffff")).toBe("a\\u{202e}b\\x00\\n\ufffd");
  });
  test("is cut between characters", () => {
    expect(shortened("𝒜𝒜𝒜", 3)).toBe("𝒜𝒜𝒜");
    expect(shortened("𝒜𝒜𝒜𝒜", 3)).toBe("𝒜𝒜…");
  });
});

describe("axes", () => {
  const shown = ({ unit, ticks }: ReturnType<typeof timeAxis>) => [unit, ...ticks.map(({ text }) => text)].join(" ");
  test("have few round ticks in a unit that suits them", () => {
    expect(shown(timeAxis(1.2, 5))).toBe("ms 0 0.5 1");
    expect(shown(timeAxis(1999, 5))).toBe("ms 0 500 1000 1500");
    expect(shown(timeAxis(2000, 5))).toBe("s 0 0.5 1 1.5 2");
    expect(shown(timeAxis(3_600_000, 6))).toBe("min 0 10 20 30 40 50 60");
    expect(shown(sizeAxis(70 * 2 ** 20, 5))).toBe("MiB 0 16 32 48 64");
    expect(shown(sizeAxis(5000, 5))).toBe("KiB 0 1 2 3 4");
    expect(shown(countAxis(1.1, 5))).toBe(" 0 1");
    expect(shown(countAxis(70_000, 5))).toBe(" 0 20000 40000 60000");
  });
});
