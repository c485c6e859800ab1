// A compiled plan, run by the launcher alone, is the run that the command makes: the same verdict, status, words, files and report.
import { existsSync, mkdirSync, readFileSync, renameSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { needs } from "../helpers/abilities.ts";
import { type BelljarOptions, type BelljarResult, belljar, startBelljar } from "../helpers/belljar.ts";
import { until } from "../helpers/deadline.ts";
import { launcherPath } from "../helpers/launcher.ts";
import { tempDir } from "../helpers/places.ts";
import { compile, judgePlan, launch } from "../helpers/plan-file.ts";

interface Case extends Pick<BelljarOptions, "stdin" | "env"> {
  readonly profile?: string;
  /** For the plan, and for the command. */
  readonly compiled?: readonly string[];
  /** For the run; `@` stands for a folder of its own. */
  readonly options?: readonly string[];
  readonly command: readonly string[];
  /** Files of that folder. */
  readonly files?: Readonly<Record<string, string | Uint8Array>>;
  /** Read from that folder afterwards. */
  readonly made?: readonly string[];
  readonly code: number;
  readonly verdict?: string;
}

/** What one run takes is not what another takes. */
const figures = /"(wallMs|cpuMs|userMs|systemMs|setupMs|peakBytes|peak|limitHits|oomKills|intervalMs)": ?(?:[\d.]+|null)/g;
const used = /^(belljar: (?:wall time|CPU time|set-up time|peak memory|peak processes) +).*$/gm;
/** A limit that is set for one run is in the report's limits; the profile is the one that the plan was compiled from. */
const digest = /"profileDigest": ?"[^"]+"/g;
const setsLimit = (options: readonly string[]): boolean =>
  options.some((option) => /^--.*-time$|^--(memory|output|processes|stack)$/.test(option));
const unmeasured = (text: string): string => text.replace(figures, '"$1":N').replace(used, "$1N");

interface Seen {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
  readonly report: string | null;
  readonly made: readonly (string | null)[];
}

async function bothWays({
  profile = "judge",
  compiled = [],
  options = [],
  command,
  files = {},
  made = [],
  stdin,
  env,
}: Case): Promise<readonly [Seen, Seen]> {
  const home = tempDir("plan-file");
  const plan = join(home, "plan");
  expect((await compile(plan, profile, compiled)).stderr).toBe("");
  const seenBy = async (name: string, run: (args: readonly string[], given: BelljarOptions) => Promise<BelljarResult>): Promise<Seen> => {
    // One path for both: it stands in messages.
    const dir = join(home, "@");
    mkdirSync(dir);
    for (const [file, content] of Object.entries(files)) writeFileSync(join(dir, file), content, { mode: 0o755 });
    const given = options.map((option) => option.replaceAll("@", dir));
    const report = given.includes("--json") ? [] : ["--report", join(dir, "report.json")];
    const behind = command.length === 0 ? [] : ["--", ...command];
    const result = await run([...given, ...report, ...behind], {
      ...(stdin === undefined ? {} : { stdin }),
      ...(env === undefined ? {} : { env }),
      deadlineMs: 50_000,
      cwd: dir,
    });
    const text = (file: string) => (existsSync(join(dir, file)) ? readFileSync(join(dir, file), "latin1") : null);
    const told = text("report.json");
    const masked = (shown: string) => (setsLimit(options) ? unmeasured(shown).replace(digest, "") : unmeasured(shown));
    const seen = {
      code: result.code,
      stdout: masked(result.stdout),
      stderr: unmeasured(result.stderr),
      report: told === null ? null : masked(told),
      made: made.map(text),
    };
    renameSync(dir, join(home, name));
    return seen;
  };
  return [
    await seenBy("command", (args, given) => belljar(["run", "-p", profile, ...compiled, ...args], { ...given, report: false })),
    await seenBy("launcher", (args, given) => launch([plan, ...args], given)),
  ];
}

const shell = (script: string) => ["sh", "-c", script];
const killing = ["--set", 'seccomp.syscalls=[{"names":["mount"],"action":"kill","comment":"test"}]'];

const cases: Readonly<Record<string, Case>> = {
  "a program that succeeds": { command: ["true"], code: 0 },
  "output and errors": { command: shell("echo out; echo err >&2"), code: 0 },
  "an exit code": { command: shell("exit 7"), code: 7 },
  "a signal": { command: shell("kill -SEGV $$"), code: 139 },
  "a real-time signal": { command: shell("kill -40 $$"), code: 168 },
  "standard input through a pipe": { command: ["cat"], stdin: "hello\n", code: 0 },
  "standard input from a file": { command: ["cat"], options: ["--stdin", "@/in"], files: { in: "from a file\n" }, code: 0 },
  "streams into files": {
    command: shell("echo out; echo err >&2"),
    options: ["--stdout", "@/out", "--stderr", "@/err"],
    files: { out: "what was there before is longer" },
    made: ["out", "err"],
    code: 0,
  },
  "both streams into one file": {
    command: shell("echo out; echo err >&2"),
    options: ["--stdout", "@/both", "--stderr", "@/both"],
    made: ["both"],
    code: 0,
  },
  "the document of --json": { command: shell("printf 'h\\303\\251\\033[31m\\n'; printf '\\377\\376' >&2"), options: ["--json"], code: 0 },
  "the document of a run that failed": { command: ["nothing-of-the-kind"], options: ["--json"], code: 127 },
  "the CPU limit of the plan": { command: shell("while :; do :; done"), compiled: ["--cpu-time", "300ms"], code: 124 },
  "a CPU limit of the run": { command: shell("while :; do :; done"), options: ["--cpu-time", "400ms"], code: 124 },
  "a wall clock limit of the run": { command: ["sleep", "20"], options: ["--wall-time", "300ms"], code: 124 },
  "a wall clock limit where the profile has none": {
    profile: "unlimited",
    command: ["sleep", "20"],
    options: ["--wall-time", "300ms"],
    code: 124,
  },
  "a memory limit of the run": { command: ["tail", "/dev/zero"], options: ["--memory", "40M"], code: 124 },
  "an output limit of the run": { command: ["yes"], options: ["--output", "1000"], code: 124 },
  "an output limit in a document": { command: ["yes"], options: ["--output", "1000", "--json"], code: 124 },
  "a process limit of the run": {
    command: shell("for i in 1 2 3 4 5 6 7 8; do sleep 1 & done; wait"),
    options: ["--processes", "4"],
    code: 124,
  },
  "limits of all kinds": {
    command: shell("ulimit -a"),
    options: ["--open-files", "77", "--file-size", "1500K", "--stack", "2M", "--locked-memory", "64K", "--memory", "100000001"],
    code: 0,
  },
  "a full disk": { command: shell("head -c 100M /dev/zero > /work/x"), compiled: ["--disk", "1M"], code: 124 },
  "a refused call": { command: shell("mount -t tmpfs x /tmp; unshare -n true; exit 3"), code: 3 },
  "a call that kills": { command: ["mount", "-t", "tmpfs", "x", "/tmp"], compiled: killing, code: 159 },
  "a refused call that the program copes with": { command: shell("unshare -n true; exit 0"), options: ["--verbose", "-q"], code: 0 },
  "a program that is not there": { command: ["nothing-of-the-kind"], code: 127 },
  "a folder for a program": { command: ["/usr"], code: 126 },
  "a file that is no program": { command: ["/work/x"], options: ["--in", "@/x"], files: { x: "\u0001\u0002nonsense" }, code: 126 },
  "a script with line ends of another system": {
    command: ["/work/x"],
    options: ["--in", "@/x"],
    files: { x: "#!/bin/sh\r\necho\r\n" },
    code: 126,
  },
  "a script without its interpreter": { command: ["/work/x"], options: ["--in", "@/x"], files: { x: "#!/opt/no-such\n" }, code: 126 },
  "a name that steers terminals": { command: ["\u001b[31m\u202e\nx"], code: 127 },
  "a working directory": { command: ["pwd"], options: ["-w", "../tmp/./"], code: 0 },
  "a working directory that is not there": { command: ["pwd"], options: ["--workdir", "/no\nwhere"], code: 126 },
  variables: {
    command: ["env"],
    options: ["-e", "LANG=de", "--env", "NEW=ü=1", "-eEMPTY=", "-e", "FROM_CALLER", "-e", "NOT_THERE"],
    env: { FROM_CALLER: "yes" },
    code: 0,
  },
  "variables that the profile passes on": {
    command: ["env"],
    compiled: ["--set", 'process.inheritEnv=["FROM_CALLER","LANG"]'],
    options: ["-e", "LATER=1"],
    env: { FROM_CALLER: "at run time" },
    code: 0,
  },
  "files in and out": {
    command: shell("cat a deep/b > c; mkdir d; echo two > d/e"),
    options: ["--in", "@/a", "--in", "@/b:deep/b", "--out", "c:@/c", "--out", "/work/d/e"],
    files: { a: "1", b: "2" },
    made: ["c", "e"],
    code: 0,
  },
  "files that are not to be had": {
    command: shell("ln -s /etc/passwd link; mkdir dir; head -c 2000 /dev/zero > big"),
    options: ["--out-max", "1000", "--out", "missing", "--out", "link", "--out", "dir", "--out", "big:@/big"],
    made: ["big"],
    code: 125,
  },
  "files that a failed program leaves": {
    command: shell("echo x > a; exit 4"),
    options: ["--out", "a", "--out", "b"],
    made: ["a"],
    code: 4,
  },
  "a quiet run": { command: shell("exit 5"), options: ["-q"], code: 5 },
};

describe("the same both ways", () => {
  for (const [name, one] of Object.entries(cases)) {
    needs("userns")(name, async () => {
      const [command, launcher] = await bothWays(one);
      expect(launcher).toEqual(command);
      expect(launcher.code).toBe(one.code);
    });
  }
});

describe("a run that is cancelled", () => {
  const cancel = (program: readonly string[] | undefined, args: readonly string[], signal: NodeJS.Signals) => async (): Promise<Seen> => {
    const report = join(tempDir("plan-file"), "report.json");
    const script = "trap 'echo asked; exit 3' TERM; echo ready; while :; do sleep 0.1; done";
    const run = startBelljar([...args, "--report", report, "--", ...shell(script)], {
      ...(program === undefined ? { report: false } : { program }),
      deadlineMs: 50_000,
    });
    await until(() => run.output().includes("ready"), { what: "the program runs", timeoutMs: 20_000 });
    process.kill(await run.pid, signal);
    const { code, stdout, stderr } = await run.result;
    return { code, stdout, stderr, report: unmeasured(readFileSync(report, "latin1")), made: [] };
  };
  for (const [signal, code] of [
    ["SIGTERM", 143],
    ["SIGINT", 130],
    ["SIGHUP", 129],
  ] as const) {
    needs("userns")(`by ${signal}`, async () => {
      const launcher = await cancel([launcherPath], [await judgePlan()], signal)();
      expect(launcher).toEqual(await cancel(undefined, ["run", "-p", "judge"], signal)());
      expect(launcher.code).toBe(code);
    });
  }
  needs("userns")("by SIGTERM, where the plan has a stop signal", async () => {
    const stop = ["--stop-signal", "TERM", "--stop-timeout", "20s"];
    const launcher = await cancel([launcherPath], [await judgePlan(...stop)], "SIGTERM")();
    expect(launcher).toEqual(await cancel(undefined, ["run", "-p", "judge", ...stop], "SIGTERM")());
    expect(launcher).toMatchObject({ code: 143, stdout: "ready\nasked\n" });
  });
  needs("userns")("by Ctrl-C on a terminal, which all of it hears", async () => {
    const run = startBelljar([await judgePlan(), "--", ...shell("echo ready; sleep 30")], {
      program: [launcherPath],
      terminal: { rows: 5, columns: 80 },
    });
    await until(() => run.output().includes("ready"), { what: "the program runs", timeoutMs: 20_000 });
    run.type("\u0003");
    const { code, stdout } = await run.result;
    expect(code).toBe(130);
    expect(stdout).toContain("cancelled by SIGINT");
  });
});

describe("death", () => {
  const started = async (file: string) => {
    const run = startBelljar([file, "--", ...shell("echo ready; sleep 30")], { program: [launcherPath], deadlineMs: 50_000 });
    await until(() => run.output().includes("ready"), { what: "the program runs", timeoutMs: 20_000 });
    return { run, pid: await run.pid };
  };
  /** The one child of a process. */
  const childOf = (pid: number): number => Number(readFileSync(`/proc/${pid}/task/${pid}/children`, "utf8").trim().split(" ")[0]);

  needs("userns")("of the supervising child is a failure of ours, and leaves nothing", async () => {
    const { run, pid } = await started(await judgePlan());
    process.kill(childOf(pid), "SIGKILL");
    const { code, stderr } = await run.result;
    expect(stderr).toBe("belljar: sandbox-error: running the launcher: it was killed by SIGKILL\n");
    expect(code).toBe(125);
  });
  needs("userns")("of the one that was called ends everything", async () => {
    const { run, pid } = await started(await judgePlan());
    process.kill(pid, "SIGKILL");
    expect((await run.result).signal).toBe(9);
  });
});

needs("userns")("a plan may have its command, which another replaces", async () => {
  const file = await judgePlan("--", "echo", "of the plan");
  expect((await launch([file])).stdout).toBe("of the plan\n");
  expect((await launch([file, "--", "echo", "of the run"])).stdout).toBe("of the run\n");
});

needs("userns")("a program sees nothing of the command line that it was started by, nor its caller's variables", async () => {
  const dir = tempDir("plan-file");
  const file = join(dir, "plan");
  await compile(file, "judge");
  writeFileSync(join(dir, "secret.txt"), "in");
  const told = ["--report", join(dir, "secret.json"), "--in", `${join(dir, "secret.txt")}:a`, "--out", `a:${join(dir, "secret-out")}`];
  const { stdout, stderr } = await launch(
    [file, ...told, "--", "sh", "-c", "cat a; cat /proc/[0-9]*/cmdline /proc/1/environ | tr '\\0' ' '"],
    {
      env: { SECRET: "secret" },
    },
  );
  expect(stdout).toMatch(/^in/);
  expect(stdout).toContain("belljar-launch"); // the control: it is there to be read
  expect(stdout).not.toMatch(/secret|plan-file/);
  expect(stderr).not.toContain("secret");
});

needs("userns")("the file is the caller's alone, and whole or not there", async () => {
  const file = await judgePlan();
  expect(statSync(file).mode & 0o777).toBe(0o600);
  const before = readFileSync(file);
  const failed = await compile(file, "judge", ["--set", "limits.memory=nonsense"]);
  expect(failed.code).toBe(125);
  expect(readFileSync(file).equals(before)).toBe(true);
});

needs("userns")("a scratch folder on disk is refused when the plan is compiled", async () => {
  const { code, stderr } = await compile(join(tempDir("plan-file"), "x"), "judge", ["--set", "scratch.storage=disk"]);
  expect(code).toBe(125);
  expect(stderr).toContain("each run needs a folder of its own");
});

test("the launcher tells what it takes", async () => {
  const { code, stdout } = await launch(["--help"]);
  expect(code).toBe(0);
  for (const option of ["--json", "--report", "--stdin", "--memory", "--in", "--env"]) expect(stdout).toContain(option);
});
