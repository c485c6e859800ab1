// How steady a judge's figures are, and how late a CPU limit ends a run: through the library, as a judge would.
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { summarise } from "./measure.mjs";
import { program as compiled, root } from "./native.mjs";

/** About 100 ms on a processor of 2023. */
const workRounds = "20000";
const others = 2;
const limitMs = 300;

/** CPUs that this process may use, as a list of numbers. */
function usableCpus() {
  const text = /^Cpus_allowed_list:\s*(.*)/m.exec(readFileSync("/proc/self/status", "utf8"))?.[1] ?? "0";
  return text.split(",").flatMap((part) => {
    const [first, last = first] = part.split("-").map(Number);
    return Array.from({ length: last - first + 1 }, (_, i) => first + i);
  });
}

/** What the bench asks of a run that must have gone as it should: its report. */
async function reportOf(api, options, verdict) {
  const { report } = await api.run({ volumes: [{ source: options.program, target: "/program" }], ...options.run });
  if (report.verdict !== verdict) throw new Error(`limits: ${report.message}`);
  return report;
}

/** Each case in turn, round after round; the first round is not counted. */
async function inTurns(cases, rounds, measureOne) {
  const samples = cases.map(() => []);
  for (let round = 0; round <= rounds; round++)
    for (const [at, one] of cases.entries()) {
      const figures = await measureOne(one);
      if (round > 0) samples[at].push(figures);
    }
  return samples;
}

/** The measured run alone or beside others; pinned: it has a CPU for itself, and they share the rest. */
async function noiseGroups(api, program, rounds) {
  const [own, ...rest] = usableCpus();
  const pinned = rest.length === 0 ? null : { own: String(own), rest: rest.join(",") };
  const wanted = [
    { name: "alone", beside: 0, pins: null, note: null },
    { name: "alone, pinned", beside: 0, pins: pinned, note: `CPU ${own}` },
    { name: `beside ${others} others`, beside: others, pins: null, note: null },
    { name: `beside ${others} others, pinned`, beside: others, pins: pinned, note: `CPU ${own}; the others on the rest` },
  ];
  const cases = wanted.filter(({ name, pins }) => pins !== null || !name.includes("pinned"));
  const run = (cpuset) => reportOf(api, { program, run: { command: ["/program", workRounds], limits: { cpuset } } }, "ok");
  const samples = await inTurns(cases, rounds, async ({ beside, pins }) => {
    const [report] = await Promise.all([run(pins?.own ?? null), ...Array.from({ length: beside }, () => run(pins?.rest ?? null))]);
    return report.time;
  });
  const figure = (name) => samples.map((times) => times.map((time) => time[name]));
  return [
    summarise({ title: "CPU time of the same work", rounds, cases }, figure("cpuMs")),
    summarise({ title: "Wall time of the same work", rounds, cases }, figure("wallMs")),
  ];
}

/** CPU time beyond the limit when a run has ended. */
async function excessGroup(api, program, { rounds, withoutCgroup }) {
  const configHome = process.env["XDG_CONFIG_HOME"];
  const kinds = [
    { name: "1 thread", threads: "1", home: configHome },
    { name: "4 threads", threads: "4", home: configHome },
    { name: "1 thread, no cgroup", threads: "1", home: withoutCgroup },
    { name: "4 threads, no cgroup", threads: "4", home: withoutCgroup },
  ];
  const enforcedBy = new Map();
  const samples = await inTurns(kinds, rounds, async ({ name, threads, home }) => {
    if (home === undefined) delete process.env["XDG_CONFIG_HOME"];
    else process.env["XDG_CONFIG_HOME"] = home;
    const run = { command: ["/program", "0", threads], limits: { cpuTime: limitMs } };
    const { time, enforcement } = await reportOf(api, { program, run }, "cpu-time-limit");
    enforcedBy.set(name, enforcement.cpuTime);
    return time.cpuMs - limitMs;
  });
  if (configHome === undefined) delete process.env["XDG_CONFIG_HOME"];
  else process.env["XDG_CONFIG_HOME"] = configHome;
  const cases = kinds.map(({ name }) => ({ name, note: `by ${enforcedBy.get(name)}` }));
  return summarise({ title: `CPU time beyond a limit of ${limitMs} ms`, rounds, cases }, samples);
}

export async function* limitsGroups({ dir, rounds: asked, withoutCgroup }) {
  const api = await import(pathToFileURL(join(root, "dist/api.mjs")).href);
  const program = compiled(dir, "work");
  const rounds = Math.max(5, Math.floor(asked / 4));
  yield* await noiseGroups(api, program, rounds);
  yield await excessGroup(api, program, { rounds, withoutCgroup });
}
