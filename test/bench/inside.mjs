// What a program that runs feels of the sandbox: bytes through its streams, and its own work inside against outside.
import { mkdtempSync, rmSync } from "node:fs";
import { join } from "node:path";
import { loadTypeScript, longGroup } from "./measure.mjs";
import { launcher, must, program } from "./native.mjs";
import { makeRootfs } from "./rootfs.mjs";
import { withServer } from "./server.mjs";
import { file } from "./start.mjs";

const mib = 2 ** 20;

const shown = (dir) => ({ mounts: [{ kind: "bind", source: program(dir, "toil"), target: "/toil", access: "read-only" }] });

async function* streamGroups({ dir, rootfs, rounds, plans }) {
  const bytes = 256 * mib;
  const set = { ...shown(dir), "limits.output": "64G" };
  for (const [direction, words, command] of [
    ["out", "standard output", ["/toil", "source", String(bytes)]],
    ["in", "standard input", ["/toil", "sink"]],
  ]) {
    const plan = file(join(dir, `${direction}.plan`), plans.benchPlan(rootfs, { set, command }).bytes);
    const cases = [
      { name: "a pipe", note: "no sandbox", way: ["exec", program(dir, "toil"), ...command.slice(1)] },
      { name: "belljar-launch", way: ["plan", plan, launcher, "run"] },
    ];
    yield* withServer({ dir, parts: plans.benchParked(rootfs, { set, command }), size: 2 }, async function* (server) {
      const group = { title: `Through ${words}`, unit: "MiB/s", cases: [...cases, server], rounds };
      yield await longGroup(
        group,
        ({ way }) => (bytes / mib / Number(must([program(dir, "flow"), direction, String(bytes), ...way]))) * 1e9,
      );
    });
  }
}

/** A process may be some percent slower than the next for all of its life, by where its memory happens to lie: of three the best. */
const best = (argv, env) => Math.min(...Array.from({ length: 3 }, () => Number(must(argv, { env: { ...process.env, ...env } }))));

async function* workGroups({ dir, rounds, belljar, withoutCgroup }) {
  const toil = program(dir, "toil");
  const outside = mkdtempSync("/dev/shm/belljar-bench-");
  const inside = [...belljar, "run", "-v", `${toil}:/toil`, "--", "/toil"];
  const kinds = [
    { what: "Computing", words: ["cpu", "20000"], aims: [{ of: "in a sandbox", to: "outside", atMost: 1.01 }] },
    { what: "A million of the cheapest system calls", words: ["calls", "1000000"] },
    {
      what: "20,000 files: made, written, read, removed",
      words: ["files", "20000"],
      places: [outside, "/tmp"],
      note: "tmpfs on both sides",
    },
  ];
  try {
    for (const { what, words, places = [null, null], note = null, aims = [] } of kinds) {
      const at = (place) => (place === null ? [] : [place]);
      const cases = [
        { name: "outside", argv: [toil, ...words, ...at(places[0])] },
        { name: "in a sandbox", argv: [...inside, ...words, ...at(places[1])], env: { XDG_CONFIG_HOME: withoutCgroup }, note },
        { name: "in a sandbox, cgroup", argv: [...inside, ...words, ...at(places[1])], note },
      ];
      yield await longGroup({ title: what, cases, rounds, aims }, ({ argv, env = {} }) => best(argv, env) / 1e6);
    }
  } finally {
    rmSync(outside, { recursive: true, force: true });
  }
}

export async function* insideGroups({ dir, rounds: asked, belljar, withoutCgroup }) {
  const rootfs = makeRootfs(dir);
  const plans = await loadTypeScript(dir, "test/bench/plans.ts");
  const rounds = Math.max(5, Math.floor(asked / 12));
  yield* streamGroups({ dir, rootfs, rounds, plans });
  yield* workGroups({ dir, rounds, belljar, withoutCgroup });
}
