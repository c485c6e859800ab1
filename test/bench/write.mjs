// docs/performance.md and its picture from figures: what stands between `<!-- bench:KIND -->` and `<!-- /bench -->` is made, all else is written by hand.
// The figures are kept in docs/performance.json, each kind with the machine it was measured on, so that a run of some kinds replaces only those.
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { loadTypeScript } from "./measure.mjs";
import { root } from "./native.mjs";
import { groupText, machineText } from "./table.mjs";

const paths = { figures: "docs/performance.json", page: "docs/performance.md", picture: "docs/performance.svg" };
const path = (name) => join(root, paths[name]);

/** What was measured now, in the place of what was before. */
function merged({ machine, groups }) {
  const kept = existsSync(path("figures")) ? JSON.parse(readFileSync(path("figures"), "utf8")) : {};
  const kinds = [...new Set(groups.map(({ kind }) => kind))];
  return {
    ...kept,
    ...Object.fromEntries(kinds.map((kind) => [kind, { machine, groups: groups.filter((group) => group.kind === kind) }])),
  };
}

const sectionOf = ({ machine, groups }) => `${groups.map(groupText).join("\n\n")}\n\n${machineText(machine)}, ${machine.date}.`;

function page(text, figures) {
  return text.replace(/<!-- bench:(\w+) -->\n[\s\S]*?<!-- \/bench -->/g, (whole, kind) =>
    figures[kind] === undefined ? whole : `<!-- bench:${kind} -->\n\n${sectionOf(figures[kind])}\n\n<!-- /bench -->`,
  );
}

async function picture({ start, rate }) {
  const dir = mkdtempSync(join(tmpdir(), "belljar-bench-picture-"));
  try {
    const { pictureOf } = await loadTypeScript(dir, "test/bench/picture.ts");
    const rates = (rate?.groups ?? []).filter(({ unit }) => unit === "runs/s");
    const { cpu, cpus, kernel } = start.machine;
    return pictureOf({ start: start.groups[0], rates, machine: `${cpus} CPUs of ${cpu}, Linux ${kernel}` });
  } finally {
    rmSync(dir, { recursive: true, force: true });
  }
}

/** Rewrites the three files of docs/. */
export async function writeFigures(measured) {
  const figures = merged(measured);
  writeFileSync(path("figures"), `${JSON.stringify(figures, null, 2)}\n`);
  writeFileSync(path("page"), page(readFileSync(path("page"), "utf8"), figures));
  if (figures.start !== undefined) writeFileSync(path("picture"), await picture(figures));
}
