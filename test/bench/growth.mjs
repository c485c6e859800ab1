// How the cost of a start grows with what a profile asks for: mounts, layers, rules of the filter.
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { driveGroup, loadTypeScript } from "./measure.mjs";
import { makeRootfs } from "./rootfs.mjs";
import { launcherCase } from "./start.mjs";

const mountCounts = [0, 10, 30, 100];
const layerCounts = [1, 10, 30, 100];
const ruleCounts = [0, 10, 100, 500];

const mounts = (rootfs, count) => ({
  mounts: Array.from({ length: count }, (_, i) => ({
    ...{ kind: "bind", source: join(rootfs, "etc"), target: `/more/m${i}`, access: "read-only" },
  })),
});

/** Conditions that no call of the program meets: what is measured is the size of the filter. */
const rules = (count) => ({
  "seccomp.syscalls": Array.from({ length: count }, (_, i) => ({
    ...{ names: ["ioctl"], action: "errno:EPERM", args: [{ index: 1, op: "eq", value: 0x7000_0000 + i }], comment: "the benchmark" },
  })),
});

/** Of them the lowest holds what is run; each of the others one more folder. */
function layers(dir, rootfs, count) {
  return Array.from({ length: count }, (_, i) => {
    if (i === 0) return rootfs;
    const layer = join(dir, "layers", String(i));
    mkdirSync(join(layer, `folder-${i}`), { recursive: true });
    return layer;
  });
}

/** The rise from the first to the last, for one more of them. */
function rise(group, counts) {
  const there = group.results.map(({ median }, i) => ({ median, count: counts[i] })).filter(({ median }) => median !== undefined);
  const [first, last] = [there[0], there.at(-1)];
  return { ...group, slopeUs: (1000 * (last.median - first.median)) / (last.count - first.count) };
}

export async function* growthGroups({ dir, rounds }) {
  const rootfs = makeRootfs(dir);
  const { benchPlan } = await loadTypeScript(dir, "test/bench/plans.ts");
  const kinds = [
    { what: "mounts", one: "mount", counts: mountCounts, options: (count) => ({ set: mounts(rootfs, count) }) },
    { what: "layers", one: "layer", counts: layerCounts, options: (count) => ({ layers: layers(dir, rootfs, count) }) },
    { what: "rules with a condition", one: "rule", counts: ruleCounts, options: (count) => ({ set: rules(count) }) },
  ];
  for (const { what, one, counts, options } of kinds) {
    const cases = counts.map((count) => {
      const name = `${count} ${count === 1 ? one : what}`;
      return { ...launcherCase(dir, { name, plan: benchPlan(rootfs, options(count)) }), note: null };
    });
    yield rise(driveGroup({ dir }, { title: `A start by the launcher, by the number of ${what}`, cases, rounds, per: one }), counts);
  }
}
