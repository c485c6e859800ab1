// What the soak runs, how the client behaves meanwhile, and the one right answer to it. Data, but for the few answers that depend on the run.
// `weight`: how often it is, beside the others. `stdin`: at most so many bytes. `behaviour`: what the client does beside the usual
// (connection.mjs), when it has `after` bytes of stdout; of a run that it leaves, no record is expected.

/** Of every program, under its own. The size of the disk belongs to the sandbox: it is the same for all. */
export const usualLimits = {
  ...{ cpuTime: "20s", wallTime: "60s", memory: "64M", processes: 16 },
  ...{ output: "256K", disk: "8M", inodes: 200 },
};

const c = (...args) => ["/bin/limits", ...args];
const sh = (script) => ["/bin/sh", "-c", script];
const exits = (exitCode) => ({ verdict: exitCode === 0 ? "ok" : "exit-nonzero", exitCode });
const dies = (signal) => ({ verdict: "signaled", signal });
const soon = { wallTime: "150ms" };
const spends = { cpuTime: "40ms" };
/** What the kernel holds for tasks that have ended it gives back in its own time: on a busy machine that can come to the memory limit first. */
const bombed = { verdicts: ["cpu-time-limit", "memory-limit"] };

const ends = [
  { name: "exits with 0", weight: 300, argv: c("exit", "0"), expected: exits(0) },
  { name: "exits with 7", weight: 80, argv: c("exit", "7"), expected: exits(7) },
  ...[1, 2, 9, 11, 13, 15, 24].map((signal) => ({
    name: `dies of signal ${signal}`,
    ...{ weight: 10, argv: c("raise", String(signal)), expected: dies(signal) },
  })),
  { name: "aborts", weight: 10, argv: c("abort"), expected: dies(6) },
  { name: "kills all and waits", weight: 8, argv: c("kill-all"), limits: soon, expected: { verdict: "wall-time-limit" } },
  { name: "stops itself", weight: 8, argv: c("stop-self"), limits: soon, expected: { verdict: "wall-time-limit" } },
  { name: "leaves a daemon", weight: 30, argv: c("daemon"), expected: { ...exits(3), stdout: "done" } },
  { name: "is not there", weight: 30, argv: ["/bin/none"], expected: { verdict: "start-failed" } },
  { name: "is no program", weight: 10, argv: ["/etc/data"], expected: { verdict: "start-failed" } },
];

const streams = [
  {
    name: "two streams",
    ...{ weight: 60, argv: sh("echo out; echo err >&2; exit 3"), expected: { ...exits(3), stdout: "out\n", stderr: "err\n" } },
  },
  { name: "copies its input", weight: 120, argv: ["/bin/cat"], stdin: 200_000, expected: { ...exits(0), stdout: "stdin" } },
  {
    name: "copies all at once",
    weight: 60,
    argv: ["/bin/cat"],
    stdin: 200_000,
    behaviour: "floods",
    expected: { ...exits(0), stdout: "stdin" },
  },
  { name: "reads no input", weight: 30, argv: c("exit", "0"), stdin: 250_000, behaviour: "floods", expected: exits(0) },
  {
    name: "reads no input and waits",
    weight: 10,
    argv: c("sleep"),
    stdin: 2_000_000,
    limits: soon,
    expected: { verdict: "wall-time-limit" },
  },
  { name: "floods stdout", weight: 30, argv: c("flood"), expected: { verdict: "output-limit", stdoutBytes: 262_144 } },
  { name: "floods stderr", weight: 15, argv: c("flood-error"), expected: { verdict: "output-limit", stderrBytes: 262_144 } },
  { name: "two floods", weight: 10, argv: sh("/bin/limits flood & /bin/limits flood-error"), expected: { verdict: "output-limit" } },
  {
    name: "floods, and nobody reads until the end",
    ...{
      weight: 10,
      argv: c("flood"),
      limits: { ...soon, output: "64M" },
      behaviour: "reads late",
      expected: { verdict: "wall-time-limit" },
    },
  },
  {
    name: "long arguments",
    ...{
      weight: 20,
      argv: [...sh('printf %s "$1" | wc -c; printf %s "$A" | wc -c'), "sh", "x".repeat(100_000)],
      env: [["A", "y".repeat(20_000)]],
    },
    expected: { ...exits(0), stdout: "100000\n20000\n" },
  },
  {
    name: "its own environment",
    ...{ weight: 20, argv: ["/bin/env"], env: [["MINE", "1"]], expected: { ...exits(0), stdoutHas: "MINE=1\n", stdoutHasNot: "A=yyy" } },
  },
  {
    name: "an empty folder",
    weight: 20,
    argv: sh("ls -A /work /tmp /dev/shm; touch /work/a /tmp/b /dev/shm/c"),
    expected: { ...exits(0), stdoutHasNot: "a\n" },
  },
];

const limits = [
  { name: "eats memory", weight: 20, argv: c("heap", "48"), limits: { memory: "16M" }, expected: { verdict: "memory-limit" } },
  { name: "eats shared memory", weight: 10, argv: c("map-shared", "48"), limits: { memory: "16M" }, expected: { verdict: "memory-limit" } },
  { name: "children eat memory", weight: 5, argv: c("children", "48"), limits: { memory: "16M" }, expected: { verdict: "memory-limit" } },
  { name: "spins", weight: 8, argv: c("spin"), limits: spends, expected: { verdict: "cpu-time-limit" } },
  { name: "spins with four children", weight: 4, argv: c("spin-forks", "4"), limits: spends, expected: { verdict: "cpu-time-limit" } },
  { name: "fork bomb", weight: 8, argv: c("bomb"), limits: spends, expected: bombed },
  { name: "thread bomb", weight: 4, argv: c("thread-bomb"), limits: spends, expected: bombed },
  { name: "forks until refused", weight: 20, argv: c("forks"), expected: { verdict: "process-limit", exitCode: 1 } },
  { name: "forks until refused, and copes", weight: 10, argv: c("forks-cope"), expected: exits(0) },
  { name: "sleeps", weight: 20, argv: c("sleep"), limits: soon, expected: { verdict: "wall-time-limit" } },
  {
    name: "fills the disk",
    weight: 10,
    argv: sh("dd if=/dev/zero of=/work/x bs=64K 2>/dev/null; exit 1"),
    expected: { verdict: "disk-limit" },
  },
  { name: "fills the inodes", weight: 5, argv: c("inodes"), expected: { verdict: "disk-limit" } },
];

const clients = [
  {
    name: "is cancelled",
    weight: 40,
    argv: c("print-wait", "5"),
    behaviour: "cancels",
    after: 5,
    expected: { verdict: "cancelled", stdout: "xxxxx" },
  },
  {
    name: "is cancelled behind its input",
    weight: 10,
    argv: c("sleep"),
    stdin: 60_000,
    behaviour: "cancels soon",
    expected: { verdict: "cancelled" },
  },
  {
    name: "is half-closed",
    weight: 30,
    argv: c("print-wait", "5"),
    behaviour: "half-closes",
    after: 5,
    expected: { verdict: "cancelled", stdout: "xxxxx" },
  },
  {
    name: "is half-closed behind a flood",
    weight: 10,
    argv: c("sleep"),
    stdin: 150_000,
    behaviour: "half-closes soon",
    expected: { verdict: "cancelled" },
  },
  { name: "is left", weight: 30, argv: c("print-wait", "5"), behaviour: "closes", expected: null },
  { name: "is left in a flood", weight: 10, argv: c("flood"), limits: { output: "64M" }, behaviour: "closes", expected: null },
  {
    name: "is left with a fork bomb",
    weight: 5,
    argv: sh("echo; /bin/limits bomb"),
    limits: { cpuTime: "500ms" },
    behaviour: "closes",
    expected: null,
  },
  { name: "is left before it was asked for", weight: 10, argv: c("exit", "0"), behaviour: "closes at once", expected: null },
  { name: "is left within its plan", weight: 10, argv: c("exit", "0"), behaviour: "closes within the plan", expected: null },
  { name: "is asked for by noise", weight: 10, argv: c("exit", "0"), behaviour: "sends noise", expected: { verdict: "sandbox-error" } },
  { name: "wants another user", weight: 10, argv: c("exit", "0"), exec: { uid: 12 }, expected: { verdict: "sandbox-error" } },
  { name: "is a template", weight: 5, argv: c("exit", "0"), exec: { parked: true }, expected: { verdict: "sandbox-error" } },
  { name: "is sent a frame of no kind", weight: 10, argv: c("sleep"), behaviour: "sends no kind", expected: { verdict: "sandbox-error" } },
  { name: "is sent a frame too long", weight: 10, argv: c("sleep"), behaviour: "sends too much", expected: { verdict: "sandbox-error" } },
  { name: "is sent input after its end", weight: 10, argv: c("sleep"), behaviour: "writes on", expected: { verdict: "sandbox-error" } },
];

export const programs = [...ends, ...streams, ...limits, ...clients];

/** Why an outcome is not what is expected, or null. */
export function objection({ expected }, { record, stdout, stderr, stdin }) {
  if (record === null) return expected === null ? null : "no record came";
  if (expected === null) return null; // it was faster than the client
  if (expected.verdicts?.includes(record.verdict) === false) return `verdict is ${record.verdict}, none of ${expected.verdicts}`;
  for (const name of ["verdict", "exitCode", "signal"])
    if (name in expected && record[name] !== expected[name]) return `${name} is ${record[name]}, not ${expected[name]}`;
  for (const [name, seen] of Object.entries({ stdout, stderr })) {
    const wanted = expected[name] === "stdin" ? stdin : expected[name];
    if (wanted !== undefined && (expected[name] === "stdin" ? seen.digest !== wanted.digest : seen.text !== wanted))
      return `${name} is ${seen.bytes} bytes: ${JSON.stringify(seen.text.slice(0, 80))}`;
    const bytes = expected[`${name}Bytes`];
    if (bytes !== undefined && seen.bytes !== bytes) return `${name}: ${seen.bytes} bytes, not ${bytes}`;
    if (`${name}Has` in expected && !seen.text.includes(expected[`${name}Has`])) return `${name} lacks ${expected[`${name}Has`]}`;
    if (`${name}HasNot` in expected && seen.text.includes(expected[`${name}HasNot`])) return `${name} has ${expected[`${name}HasNot`]}`;
    if (seen.bytes !== record[`${name}Bytes`] && record.verdict !== "sandbox-error")
      return `${name}: ${seen.bytes} bytes came, the record says ${record[`${name}Bytes`]}`;
  }
  return null;
}
