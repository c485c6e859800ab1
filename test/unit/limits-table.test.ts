// docs/limits-table.md names exactly the programs of the suite, and says of each what the suite expects.
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { root } from "../helpers/places.ts";
import type { Expected } from "../limits/kinds.ts";
import { mechanisms, ways } from "../limits/mechanisms.ts";
import { expectedOf, groups } from "../limits/programs.ts";

const lines = readFileSync(join(root, "docs/limits-table.md"), "utf8").split("\n");
const cellsOf = (line: string): readonly string[] => line.split(" | ").map((cell) => cell.replace(/^\| | \|$/g, ""));

/** Heading -> the lines of its table below the ruler. */
function tables(): ReadonlyMap<string, { readonly head: readonly string[]; readonly rows: readonly (readonly string[])[] }> {
  const starts = lines.flatMap((line, at) => (line.startsWith("## ") && line !== "## Notes" ? [at] : []));
  return new Map(
    starts.map((at) => {
      const table = lines.slice(at + 2);
      const end = table.findIndex((line) => !line.startsWith("|"));
      const [head = "", , ...rows] = table.slice(0, end === -1 ? undefined : end);
      return [(lines[at] ?? "").slice(3), { head: cellsOf(head), rows: rows.map(cellsOf) }];
    }),
  );
}

/** As table.mjs writes it, without the number of a note. */
function cell({ verdict, exitCode, signal }: Expected): string {
  if (verdict === "exit-nonzero") return `${verdict} ${exitCode}`;
  return verdict === "signaled" ? `${verdict} ${signal}` : verdict;
}

describe("the table of programs and verdicts", () => {
  const found = tables();
  test("has the groups of the suite", () => expect([...found.keys()]).toEqual(groups.map(({ title }) => title)));
  test.each(groups.map((group) => [group.title, group] as const))("%s: the suite's programs with its verdicts", (title, { programs }) => {
    const { head = [], rows = [] } = found.get(title) ?? {};
    const columns = mechanisms.filter((mechanism) => head.includes(ways[mechanism].title));
    expect(head).toEqual(["program", ...columns.map((mechanism) => ways[mechanism].title)]);
    expect(columns).toEqual(expect.arrayContaining(["cgroup2", "cgroup1", "none"]));
    expect(rows.map(([name]) => name)).toEqual(programs.map(({ name }) => name));
    for (const [at, program] of programs.entries()) {
      const shown = (rows[at] ?? []).slice(1).map((text) => text.replace(/ \(\d+\)$/, ""));
      const wanted = columns.map((mechanism) => cell(expectedOf(program, mechanism)));
      // What a program needs may be missing on one of the machines, never on all.
      expect(
        shown.map((text, column) => (text === "-" && program.needs !== undefined ? wanted[column] : text)),
        program.name,
      ).toEqual(wanted);
      expect(
        shown.some((text) => text !== "-"),
        program.name,
      ).toBe(true);
    }
  });
});
