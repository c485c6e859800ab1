// A limit that a profile requires and the host cannot hold: exit status 125, with the limit, what is missing, and what to do about it. And what
// becomes of limits where only some controllers are there.
import { existsSync, mkdirSync, readFileSync, rmdirSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { describe, expect, onTestFinished, test } from "vitest";
import type { LimitName } from "../../policy/profile/types.ts";
import { needs } from "../helpers/abilities.ts";
import { attackProgram } from "../helpers/attack.ts";
import { type BelljarResult, belljarCommand, startBelljar } from "../helpers/belljar.ts";
import { tempDir } from "../helpers/places.ts";
import { chosenMechanisms, configHome, ways } from "./mechanisms.ts";

const values: Readonly<Record<LimitName, string>> = {
  ...{ cpuTime: "10s", wallTime: "20s", memory: "64M", processes: "64", output: "1M", disk: "8M", inodes: "100" },
  ...{ openFiles: "64", fileSize: "1M", stack: "8M", cpus: "1", cpuset: "0", lockedMemory: "0", core: "0", addressSpace: "4G" },
};
const requiring = (...names: readonly LimitName[]): readonly string[] => [
  ...names.flatMap((name) => ["--set", `limits.${name}=${values[name]}`]),
  ...["--set", `limits.required=${JSON.stringify(names)}`],
];

type Answer = "holds" | { readonly reason: RegExp; readonly hint: RegExp };
const takeOut = (name: LimitName): RegExp => new RegExp(`hint: take '${name}' out of limits\\.required`);
const eachProcess = (name: LimitName): Answer => ({ reason: /the kernel enforces it for each process/, hint: takeOut(name) });
const supervised = (name: LimitName): Answer => ({ reason: /only the supervisor enforces it/, hint: takeOut(name) });
const noCgroup: Answer = {
  reason: /no cgroup can be made here \(the configuration turns cgroups off\)/,
  hint: /hint: take "use": "none" out of the cgroup settings/,
};

const everywhere: Readonly<Partial<Record<LimitName, Answer>>> = {
  wallTime: supervised("wallTime"),
  output: supervised("output"),
  disk: "holds",
  inodes: "holds",
  openFiles: eachProcess("openFiles"),
  fileSize: eachProcess("fileSize"),
  stack: eachProcess("stack"),
  lockedMemory: eachProcess("lockedMemory"),
  core: eachProcess("core"),
  addressSpace: eachProcess("addressSpace"),
};
const withoutCgroups: Readonly<Partial<Record<LimitName, Answer>>> = {
  ...everywhere,
  ...{ cpuTime: noCgroup, memory: noCgroup, cpus: noCgroup, cpuset: "holds", processes: "holds" },
};

function assertAnswer({ code, stderr }: BelljarResult, name: LimitName, answer: Answer): void {
  expect(code, stderr).toBe(answer === "holds" ? 0 : 125);
  if (answer === "holds") return;
  expect(stderr).toMatch(new RegExp(`^belljar: compiling the plan: limits\\.${name}: required, but `));
  expect(stderr).toMatch(answer.reason);
  expect(stderr).toMatch(answer.hint);
}

const start = (home: string, args: readonly string[], program: readonly string[] = belljarCommand): Promise<BelljarResult> =>
  startBelljar(["run", ...args], { env: { XDG_CONFIG_HOME: home }, program, deadlineMs: 60_000 }).result;
const eightMiB = ["--memory", "8M", "-v", `${attackProgram("limits")}:/program`, "--", "/program", "heap", "24"];

describe("without a cgroup", () => {
  test.runIf(chosenMechanisms().includes("none")).each(Object.entries(withoutCgroups) as [LimitName, Answer][])(
    "limits.required: %s",
    async (name, answer) => assertAnswer(await start(configHome("none"), [...requiring(name), "--", "true"]), name, answer),
  );
});

describe("cgroup v1", () => {
  const chosen = chosenMechanisms().includes("cgroup1") ? needs("userns", ...ways.cgroup1.needs) : test.skip;
  chosen("all that it holds, at once", async () => {
    const result = await start(configHome("cgroup1"), [...requiring("memory", "processes", "cpuTime", "cpus", "cpuset"), "--", "true"]);
    assertAnswer(result, "memory", "holds");
  });
});

/** The cgroup file systems read-only, as many containers have them. */
const readOnly = (): readonly string[] => {
  const script = `for m in $(awk '$3 ~ /^cgroup2?$/ { print $2 }' /proc/self/mounts); do mount -o remount,bind,ro "$m" || exit 3; done; exec "$@"`;
  return ["unshare", "-Urm", "sh", "-c", script, "sh", ...belljarCommand];
};

for (const mechanism of ["cgroup1", "cgroup2"] as const)
  describe(`${mechanism}, mounted read-only`, () => {
    const chosen = chosenMechanisms().includes(mechanism) ? needs("userns", ...ways[mechanism].needs) : test.skip;
    chosen("refused where it is required, else supervised", async () => {
      const home = configHome(mechanism);
      assertAnswer(await start(home, [...requiring("memory"), "--", "true"], readOnly()), "memory", {
        reason: /no cgroup can be made here \(cgroup v[12]: '\/.*' the cgroup file system is mounted read-only/,
        hint: /hint: .*start the container with a writable \/sys\/fs\/cgroup/,
      });
      const { report } = await start(home, eightMiB, readOnly());
      expect(report, JSON.stringify(report)).toMatchObject({
        verdict: "memory-limit",
        enforcement: { memory: "supervisor", processes: "rlimit" },
      });
    });
  });

interface Part {
  readonly parent: string;
  readonly session: string;
}

/** A cgroup `parent` with these controllers alone, below the one in which the tests run, and a leaf of it. */
function partOf(controllers: readonly string[]): Part {
  const own = /^0::(.*)$/m.exec(readFileSync("/proc/self/cgroup", "utf8"))?.[1] ?? "";
  const delegated = dirname(join("/sys/fs/cgroup", own));
  const top = join(delegated, `belljar-part-${process.pid}-${Math.random().toString(36).slice(2)}`);
  const parent = join(top, "part");
  const session = join(parent, "session");
  mkdirSync(top);
  for (const name of controllers) for (const dir of [delegated, top]) writeFileSync(join(dir, "cgroup.subtree_control"), `+${name}`);
  mkdirSync(session, { recursive: true });
  onTestFinished(() => {
    for (const dir of [join(session, "belljar-caller"), session, parent, top]) if (existsSync(dir)) rmdirSync(dir);
  });
  return { parent, session };
}

function configOf(cgroup: Readonly<Record<string, string>>): string {
  const home = tempDir("config");
  mkdirSync(join(home, "belljar"), { mode: 0o700 });
  writeFileSync(join(home, "belljar/config.json"), JSON.stringify({ cgroup }), { mode: 0o600 });
  return home;
}

/** The command, started by a shell that goes into a cgroup first. */
const within = (dir: string, script = 'exec "$@"'): readonly string[] => [
  ...["sh", "-c", `echo $$ >"$0/cgroup.procs" && ${script}`, dir],
  ...belljarCommand,
];

describe("cgroup v2 beneath a limit of somebody else's", () => {
  const chosen = chosenMechanisms().includes("cgroup2") ? needs("userns", ...ways.cgroup2.needs) : test.skip;
  const limitsProgram = ["-v", `${attackProgram("limits")}:/program`, "--", "/program"];

  chosen("memory that runs out there is our failure, not the program's", async () => {
    const { parent, session } = partOf(["memory", "pids"]);
    writeFileSync(join(parent, "memory.max"), String(200 << 20));
    const args = ["--memory", "1G", ...limitsProgram, "heap", "600"];
    const { code, report } = await start(configOf({ use: "cgroup2", parent }), args, within(session));
    expect(report, JSON.stringify(report)).toMatchObject({ verdict: "sandbox-error", memory: { oomKills: expect.any(Number) } });
    expect(report?.error?.message).toMatch(/^the kernel killed the program for want of memory outside its limit/);
    expect(code).toBe(125);
  });

  chosen("a fork that is refused there was not for the program's limit", async () => {
    const { parent, session } = partOf(["memory", "pids"]);
    writeFileSync(join(parent, "pids.max"), "40");
    const { report } = await start(configOf({ use: "cgroup2", parent }), ["--processes", "64", ...limitsProgram, "forks"], within(session));
    expect(report, JSON.stringify(report)).toMatchObject({ verdict: "exit-nonzero", exitCode: 1 });
  });
});

describe("cgroup v2 with only some controllers", () => {
  const chosen = chosenMechanisms().includes("cgroup2") ? needs("userns", ...ways.cgroup2.needs) : test.skip;

  chosen("memory alone", async () => {
    const { parent, session } = partOf(["memory"]);
    const [home, program] = [configOf({ use: "cgroup2", parent }), within(session)];
    const { report } = await start(home, [...requiring("memory", "processes"), ...eightMiB], program);
    expect(report, JSON.stringify(report)).toMatchObject({
      verdict: "memory-limit",
      memory: { oomKills: expect.any(Number) },
      enforcement: { memory: "cgroup2", processes: "rlimit", cpuTime: "cgroup2" },
    });
    assertAnswer(await start(home, [...requiring("cpus"), "--", "true"], program), "cpus", {
      reason: /no cgroup with the controller 'cpu' can be made here/,
      hint: /hint: '\/.*\/part' was not given cpu, pids from above: as root: for d in .*cgroup\.subtree_control/,
    });
  });

  chosen("processes alone", async () => {
    const { parent, session } = partOf(["pids"]);
    const [home, program] = [configOf({ use: "cgroup2", parent }), within(session)];
    const { report } = await start(home, eightMiB, program);
    expect(report, JSON.stringify(report)).toMatchObject({
      verdict: "memory-limit",
      enforcement: { memory: "supervisor", processes: "cgroup2", cpuTime: "cgroup2" },
    });
    assertAnswer(await start(home, [...requiring("memory"), "--", "true"], program), "memory", {
      reason: /no cgroup with the controller 'memory' can be made here/,
      hint: /hint: '\/.*\/part' was not given memory from above/,
    });
  });

  chosen("in a cgroup that holds the shell too, nothing can be enabled", async () => {
    const { parent } = partOf(["memory", "pids"]);
    const [home, program] = [configOf({ use: "cgroup2", parent }), within(parent, '"$@"; exit $?')];
    assertAnswer(await start(home, [...requiring("memory"), "--", "true"], program), "memory", {
      reason: /no cgroup with the controller 'memory' can be made here/,
      hint: /hint: '\/.*\/part' holds processes, so memory, pids cannot be enabled .*: start belljar in a cgroup of its own beneath/,
    });
    const { report } = await start(home, eightMiB, program);
    expect(report, JSON.stringify(report)).toMatchObject({
      verdict: "memory-limit",
      enforcement: { memory: "supervisor", cpuTime: "cgroup2" },
    });
  });

  chosen("as a container's first process, at the root of a cgroup namespace: it makes room for itself", async () => {
    const { parent, session } = partOf(["memory", "pids"]);
    for (const name of ["memory", "pids"]) writeFileSync(join(parent, "cgroup.subtree_control"), `+${name}`);
    // The kernel refuses cgroup2 on top of cgroup2, so it is mounted elsewhere first.
    const mounts = "mount -t tmpfs t /srv && mkdir /srv/c && mount -t cgroup2 none /srv/c && mount --bind /srv/c /sys/fs/cgroup";
    const container = `exec unshare -UrmC sh -c '${mounts} && exec "$@"' sh "$@"`;
    const { report, stderr } = await start(configOf({}), [...requiring("memory", "processes"), ...eightMiB], within(session, container));
    expect(report, stderr).toMatchObject({
      verdict: "memory-limit",
      memory: { oomKills: expect.any(Number) },
      enforcement: { memory: "cgroup2", processes: "cgroup2", cpuTime: "cgroup2" },
    });
  });
});
