/** The table: what each program does, under which limits, and the one right verdict. Data only; how it is run: suite.ts. */

import { judge } from "./judge.ts";
import { c, cpu, dies, type Expected, exits, type Group, type Limits, memory, ok, type Program, shell, wall } from "./kinds.ts";
import { languages } from "./languages.ts";
import type { Mechanism } from "./mechanisms.ts";

const signals: readonly (readonly [number, string])[] = [
  [1, "SIGHUP"],
  [2, "SIGINT"],
  [3, "SIGQUIT"],
  [4, "SIGILL"],
  [5, "SIGTRAP"],
  [6, "SIGABRT"],
  [7, "SIGBUS"],
  [8, "SIGFPE"],
  [9, "SIGKILL"],
  [10, "SIGUSR1"],
  [11, "SIGSEGV"],
  [13, "SIGPIPE"],
  [14, "SIGALRM"],
  [15, "SIGTERM"],
  [24, "SIGXCPU"],
  [25, "SIGXFSZ"],
  [34, "SIGRTMIN"],
];

const ends: Group = {
  title: "Ends of its own",
  programs: [
    { name: "exits with 0", command: c("exit", "0"), expected: ok },
    ...[1, 124, 125, 126, 127, 137, 255].map((code) => ({
      name: `exits with ${code}`,
      command: c("exit", String(code)),
      expected: exits(code),
    })),
    ...signals.map(([number, name]) => ({ name: `dies of ${name}`, command: c("raise", String(number)), expected: dies(name) })),
    { name: "abort()", command: c("abort"), expected: dies("SIGABRT") },
    { name: "divides by zero", command: c("divide", "1"), expected: dies("SIGFPE") },
    { name: "writes through a null pointer", command: c("null"), expected: dies("SIGSEGV") },
    { name: "a shell that kills itself with 9", command: shell("kill -9 $$"), expected: dies("SIGKILL") },
    { name: "a child dies of 9, the shell says 137", command: shell("sh -c 'kill -9 $$'"), expected: exits(137) },
    {
      name: "a background child holds stdout",
      command: shell("(sleep 30) & printf done; exit 3"),
      expected: { ...exits(3), stdout: "done" },
    },
    { name: "a daemon stays behind", command: c("daemon"), expected: { ...exits(3), stdout: "done" } },
  ],
};

/** Limits for each of them, under those of its own. */
const withLimits = (limits: Limits, programs: readonly Program[]): readonly Program[] =>
  programs.map((program) => ({ ...program, limits: { ...limits, ...program.limits } }));

const memoryPrograms: Group = {
  title: "Memory (limit 16 MiB)",
  programs: withLimits({ memory: "16M", cpuTime: "60s" }, [
    { name: "fills 48 MiB of heap", command: c("heap", "48"), expected: memory },
    { name: "fills 48 MiB of private mapping", command: c("map-private", "48"), expected: memory },
    { name: "fills 48 MiB of shared mapping", command: c("map-shared", "48"), expected: memory },
    { name: "fills a static array of 800 MB", command: { kind: "c", program: "array", args: ["fill"] }, expected: memory },
    { name: "touches one element of that array", command: { kind: "c", program: "array", args: ["one"] }, expected: ok },
    { name: "48 MiB of stack", command: c("stack", "48"), limits: { stack: "512M" }, expected: memory },
    { name: "recursion beyond an 8 MiB stack", command: c("stack", "12"), limits: { stack: "8M" }, expected: dies("SIGSEGV") },
    { name: "48 MiB into /tmp", command: c("write-tmp", "48"), limits: { disk: "128M" }, expected: memory },
    { name: "48 MiB into /dev/shm", command: c("write-shm", "48"), limits: { disk: "128M" }, expected: memory },
    { name: "48 MiB into a memfd", command: c("write-memfd", "48"), expected: memory },
    { name: "48 MiB of System V shared memory", command: c("segments", "48"), expected: memory },
    { name: "the same, detached", command: c("segments-detached", "48"), expected: memory },
    { name: "12 children of 4 MiB each", command: c("children", "48"), expected: memory },
    { name: "a child fills 48 MiB, the parent exits with 0", command: c("child", "48"), expected: memory },
    { name: "the same, and exits with 137", command: c("child-137", "48"), expected: memory },
    { name: "8 children share 10 MiB with their parent", command: c("children-share", "10"), expected: ok },
    { name: "asks for 48 MiB and touches nothing", command: c("untouched", "48"), expected: ok },
    { name: "asks for ever more until malloc says no", command: c("until-null"), expected: ok },
    { name: "writes 48 MiB to a disk", command: c("write-volume", "48"), volume: {}, expected: ok },
    {
      name: "maps and reads a file of 48 MiB",
      command: c("read-file", "48"),
      volume: { bigMiB: 48 },
      expected: { ...ok, stdout: "0\n" },
    },
  ]),
};

const half: Limits = { cpuTime: "500ms" };
const cpuPrograms: Group = {
  title: "CPU time (limit 500 ms)",
  programs: [
    { name: "spins", command: c("spin"), limits: half, expected: cpu },
    { name: "spins in the kernel", command: c("spin-kernel"), limits: half, expected: cpu },
    { name: "spins, ignoring every signal", command: c("spin-ignoring"), limits: half, expected: cpu },
    { name: "4 children spin", command: c("spin-forks", "4"), limits: half, expected: cpu },
    { name: "4 threads spin", command: c("spin-threads", "4"), limits: half, expected: cpu },
    { name: "a child in a session of its own spins", command: c("spin-session"), limits: half, expected: cpu },
    { name: "children of 20 ms, one after the other", command: c("short-children"), limits: half, expected: cpu },
    { name: "the same under ignored SIGCHLD", command: c("short-ignored"), limits: half, expected: cpu },
    { name: "the same without an exit signal", command: c("short-silent"), limits: half, expected: cpu },
    { name: "a shell loop of short commands", command: shell("while :; do /bin/true; done"), limits: half, expected: cpu },
    { name: "a daemon spins, the main process exits", command: c("spin-daemon"), limits: half, expected: ok },
    { name: "uses 100 ms", command: c("spin-ms", "100"), limits: half, expected: ok },
  ],
};

const second: Limits = { wallTime: "1s" };
const wallPrograms: Group = {
  title: "Wall time (limit 1 s)",
  programs: [
    { name: "sleeps", command: c("sleep"), limits: second, expected: wall },
    { name: "stops itself", command: c("stop-self"), limits: second, expected: wall },
    { name: "stops its group", command: c("stop-group"), limits: second, expected: wall },
    { name: "stops all it can", command: c("stop-all"), limits: second, expected: wall },
    { name: "kills all it can and sleeps", command: c("kill-all"), limits: second, expected: wall },
    {
      name: "prints, then sleeps",
      command: c("print-wait", "5"),
      limits: second,
      expected: { ...wall, stdout: "xxxxx" },
    },
  ],
};

const sixteen: Limits = { processes: 16 };
const uncounted = {
  under: ["none"] as const,
  expected: exits(1),
  because: "a resource limit refuses and does not count, so nothing proves more",
};
const taskPrograms: Group = {
  title: "Processes and threads (limit 16)",
  programs: [
    {
      name: "forks until refused, then fails",
      command: c("forks"),
      limits: sixteen,
      expected: { verdict: "process-limit", exitCode: 1 },
      except: [uncounted],
    },
    {
      name: "starts threads until refused, then fails",
      command: c("threads"),
      limits: sixteen,
      expected: { verdict: "process-limit", exitCode: 1 },
      except: [uncounted],
    },
    { name: "forks until refused, and copes", command: c("forks-cope"), limits: sixteen, expected: ok },
    { name: "starts threads until refused, and copes", command: c("threads-cope"), limits: sixteen, expected: ok },
    { name: "fork bomb", command: c("bomb"), limits: { ...sixteen, ...half }, expected: cpu },
    { name: "thread bomb", command: c("thread-bomb"), limits: { ...sixteen, ...half }, expected: cpu },
  ],
};

const kilobyte: Limits = { output: 1024 };
const whole = { truncated: [false, false] } as const;
const flooded: Expected = { verdict: "output-limit", stdoutBytes: 1024, stderrBytes: 0, truncated: [true, false] };
const outputPrograms: Group = {
  title: "Output (limit 1024 bytes a stream)",
  programs: [
    {
      name: "prints 1024 bytes",
      command: c("print", "1024"),
      limits: kilobyte,
      expected: { ...ok, ...whole, stdoutBytes: 1024, stderrBytes: 0 },
    },
    {
      name: "prints 1024 bytes to each stream",
      command: c("print-both", "1024"),
      limits: kilobyte,
      expected: { ...ok, ...whole, stdoutBytes: 1024, stderrBytes: 1024 },
    },
    { name: "prints 1025 bytes", command: c("print", "1025"), limits: kilobyte, expected: flooded },
    { name: "floods stdout", command: c("flood"), limits: kilobyte, expected: flooded },
    {
      name: "floods stderr",
      command: c("flood-error"),
      limits: kilobyte,
      expected: { ...flooded, stdoutBytes: 0, stderrBytes: 1024, truncated: [false, true] },
    },
    {
      name: "a grandchild floods stdout",
      command: c("flood-grandchild"),
      limits: kilobyte,
      expected: flooded,
    },
  ],
};

const diskPrograms: Group = {
  title: "Scratch space (32 MiB, 1000 files)",
  programs: [
    { name: "fills it, then fails", command: c("disk", "64"), expected: { verdict: "disk-limit", exitCode: 1 } },
    { name: "fills it, and copes", command: c("disk-cope"), expected: ok },
    { name: "fills it with a file without a name, then fails", command: c("disk-unlinked", "64"), expected: exits(1) },
    { name: "makes files until refused, then fails", command: c("inodes"), expected: { verdict: "disk-limit", exitCode: 1 } },
    { name: "a file beyond the file size limit", command: c("disk", "8"), limits: { fileSize: "4M" }, expected: dies("SIGXFSZ") },
  ],
};

const tiny: Group = {
  title: "Tiny limits",
  programs: [
    { name: "a static program with 1 MiB", command: c("exit", "0"), limits: { memory: "1M" }, expected: ok },
    { name: "a static program with 1 process", command: c("exit", "0"), limits: { processes: 1 }, expected: ok },
    { name: "a static program with 10 ms", command: c("exit", "0"), limits: { cpuTime: "10ms" }, expected: ok, needs: ["fast-core"] },
    {
      name: "a static program with 1 MiB, 1 process and 10 ms of CPU time",
      command: c("exit", "0"),
      limits: { memory: "1M", processes: 1, cpuTime: "10ms" },
      expected: ok,
      needs: ["fast-core"],
    },
    { name: "fills 2 MiB, with 1 MiB", command: c("heap", "2"), limits: { memory: "1M" }, expected: memory },
    {
      name: "starts a thread, with 1 process",
      command: c("threads"),
      limits: { processes: 1 },
      expected: { verdict: "process-limit", exitCode: 1 },
      except: [uncounted],
    },
    { name: "spins, with 10 ms", command: c("spin"), limits: { cpuTime: "10ms" }, expected: cpu },
    { name: "sleeps, with 10 ms", command: c("sleep"), limits: { wallTime: "10ms" }, expected: wall },
    {
      name: "forks, with 1 process",
      command: c("forks"),
      limits: { processes: 1 },
      expected: { verdict: "process-limit", exitCode: 1 },
      except: [uncounted],
    },
  ],
};

export const groups: readonly Group[] = [
  ends,
  memoryPrograms,
  cpuPrograms,
  wallPrograms,
  taskPrograms,
  outputPrograms,
  diskPrograms,
  tiny,
  judge,
  languages,
];

export function expectedOf(program: Program, mechanism: Mechanism): Expected {
  return program.except?.find(({ under }) => under.includes(mechanism))?.expected ?? program.expected;
}
