import { describe, expect, test } from "vitest";
import { limitMechanisms, overlayChoice } from "../../../cli/host/capabilities.ts";
import { type DiagnosisInput, diagnose } from "../../../cli/host/diagnosis.ts";
import { type ProbeAnswers, parseProbe } from "../../../cli/host/doctor-probe.ts";
import { fakeHost, type TreeEntry } from "./tree.ts";

const names = [
  "userns",
  "mountns",
  "netns",
  "forbidUserNamespaces",
  "proc",
  "procFull",
  "overlayMount",
  "overlay",
  "seccomp",
  "seccompNotify",
  "seccompWaitKillable",
  "perfClock",
  "procChildren",
  "fuse",
];
const good: ProbeAnswers = {
  ...Object.fromEntries(names.map((name) => [name, { ok: true, errno: 0 }])),
  landlock: { ok: true, errno: 0, value: 5 },
};
const no = (errno: number) => ({ ok: false, errno });

function input(probe: ProbeAnswers, tree: Record<string, TreeEntry> = {}, more: Partial<DiagnosisInput> = {}): DiagnosisInput {
  const { files } = fakeHost({
    "/proc/self/mountinfo": "24 1 8:1 / / rw - ext4 x rw\n",
    "/proc/self/status": "Seccomp:\t0\nNoNewPrivs:\t0\n",
    "/dev/fuse": "",
    "/etc/subuid": "alice:100000:65536\n",
    "/etc/subgid": "alice:100000:65536\n",
    "/proc/sys/kernel/perf_event_paranoid": "2",
    ...tree,
  });
  return {
    context: { files, uid: 1000, userName: "alice", environment: {} },
    probe,
    survey: { facts: { kind: "none", reason: "x" }, place: null, refusals: [] },
    cgroupFailures: [],
    ...more,
  };
}
const row = (given: DiagnosisInput, name: string) => diagnose(given).find((check) => check.name === name);
const works = (given: DiagnosisInput) => diagnose(given).every((check) => !check.required || check.status === "ok");

describe("diagnose", () => {
  test("a host that can do everything", () => {
    expect(works(input(good))).toBe(true);
    expect(diagnose(input(good)).filter((check) => check.status === "unknown")).toEqual([]);
  });

  test.each(["userns", "mountns", "netns", "forbidUserNamespaces", "proc", "seccomp"])("without %s no default run works", (name) => {
    expect(works(input({ ...good, [name]: no(1) }))).toBe(false);
    const { [name]: _, ...unknown } = good;
    expect(works(input(unknown))).toBe(false);
  });

  test.each([
    ["@/run/crash", "unlimited", "asks for no limit"],
    ["|/usr/bin/crashd", "0", "this session's hard limit is 0"],
  ])("crashes that leave the sandbox (core_pattern %s): found, with a remedy, and no obstacle", (pattern, hard, words) => {
    const limits = `Max core file size        0                    ${hard.padEnd(20)} bytes\n`;
    const given = input(good, { "/proc/sys/kernel/core_pattern": `${pattern}\n`, "/proc/self/limits": limits });
    expect(row(given, "core files")).toMatchObject({
      status: "missing",
      detail: expect.stringContaining(words),
      remedy: expect.stringContaining("kernel.core_pattern=core"),
    });
    expect(works(given)).toBe(true);
    expect(row(input(good, { "/proc/sys/kernel/core_pattern": "|/usr/bin/crashd\n" }), "core files")?.status).toBe("ok");
  });
  test("a refusal has the remedy of its checked cause, and none without one", () => {
    const refused = { ...good, userns: no(28) };
    expect(row(input(refused, { "/proc/sys/user/max_user_namespaces": "0" }), "user namespaces")).toMatchObject({
      status: "missing",
      detail: expect.stringContaining("refused (ENOSPC): user.max_user_namespaces is 0"),
      remedy: expect.stringContaining("sysctl"),
    });
    expect(row(input(refused), "user namespaces")).toMatchObject({
      status: "missing",
      remedy: null,
      detail: expect.stringContaining("none of the known causes"),
    });
  });

  test("one refused user namespace is not told five times", () => {
    expect(
      diagnose(input({ ...good, userns: no(1), mountns: no(1), netns: no(1), proc: no(1) })).filter(
        (check) => check.required && check.status !== "ok",
      ),
    ).toHaveLength(1);
  });

  test("what restricts others but not the launcher is only noted", () => {
    const tree = { "/proc/sys/kernel/apparmor_restrict_unprivileged_userns": "1" };
    expect(row(input(good, tree), "AppArmor")).toMatchObject({ status: "note" });
    expect(works(input(good, tree))).toBe(true);
  });

  test("an old Landlock is not used", () => {
    expect(row(input({ ...good, landlock: { ok: true, errno: 0, value: 1 } }), "Landlock")).toMatchObject({
      status: "note",
      detail: expect.stringContaining("ABI 1 is not used"),
    });
    expect(row(input({ ...good, landlock: no(95) }, { "/sys/kernel/security/lsm": "yama" }), "Landlock")).toMatchObject({
      remedy: "boot with the kernel parameter lsm=landlock,yama",
    });
  });

  test("an overlay that mounts but cannot be used is told apart", () => {
    expect(row(input({ ...good, overlay: no(95) }), "kernel overlay")).toMatchObject({
      detail: expect.stringContaining("no user extended attributes"),
    });
    expect(row(input({ ...good, overlay: no(1), overlayMount: no(1) }), "kernel overlay")).toMatchObject({
      detail: expect.stringContaining("cannot be mounted"),
    });
  });

  test("a cgroup that was promised and failed when tried", () => {
    expect(row(input(good, {}, { cgroupFailures: ["EBUSY"] }), "cgroup")).toMatchObject({
      status: "missing",
      detail: "a run would fail: EBUSY",
    });
  });

  test("a scope for each run, and how to do without", () => {
    const facts = { kind: "cgroup2", parent: "/m/app.slice", controllers: ["memory", "pids"], scope: true } as const;
    const rows = diagnose(input(good, {}, { survey: { facts, place: null, refusals: [] } })).filter((check) => check.group === "cgroups");
    expect(rows).toMatchObject([
      { name: "cgroup v2", status: "ok", detail: expect.stringMatching(/a scope for each run.* in \/m\/app.slice: memory pids$/) },
      { name: "scopes", status: "note", remedy: expect.stringContaining("systemd-run --user --scope -p Delegate=yes") },
    ]);
  });

  test("one row for all hierarchies that one command opens", () => {
    const refusals = ["memory", "pids"].map((name) => ({
      version: 1 as const,
      controllers: [name],
      path: `/c/${name}/belljar-1000`,
      reason: "does not exist",
      remedy: "cgroup1-folder" as const,
    }));
    const rows = diagnose(input(good, {}, { survey: { facts: { kind: "none", reason: "x" }, place: null, refusals } })).filter(
      (check) => check.group === "cgroups",
    );
    expect(rows).toMatchObject([{ name: "cgroup v1 memory,pids", status: "missing" }]);
  });

  test("perf", () => {
    const refused = { ...good, perfClock: no(13) };
    expect(row(input(refused, { "/proc/sys/kernel/perf_event_paranoid": "3" }), "perf task clock")).toMatchObject({
      remedy: expect.stringContaining("perf_event_paranoid=2"),
    });
    expect(row(input(refused), "perf task clock")).toMatchObject({ status: "note", remedy: null });
  });
});

test.each([
  [
    { kind: "none", reason: "" } as const,
    true,
    { memory: "supervisor", processes: "rlimit", cpuTime: "perf", cpus: "none", cpuset: "enforced" },
  ],
  [{ kind: "none", reason: "" } as const, false, { cpuTime: "rlimit" }],
  [{ kind: "cgroup2", parent: "/p", controllers: [] } as const, false, { memory: "supervisor", processes: "rlimit", cpuTime: "cgroup2" }],
  [
    { kind: "cgroup2", parent: "/p", controllers: ["memory", "pids", "cpu", "cpuset"] } as const,
    false,
    { memory: "cgroup2", processes: "cgroup2", cpus: "cgroup2", cpuset: "cgroup2" },
  ],
  [
    { kind: "cgroup1", hierarchies: [{ parent: "/p", controllers: ["memory"], swap: false }] } as const,
    true,
    { memory: "cgroup1", processes: "rlimit", cpuTime: "perf", cpus: "none" },
  ],
])("limitMechanisms(%j, %j)", (facts, perf, expected) => expect(limitMechanisms(facts, perf)).toMatchObject(expected));

test("overlayChoice", () => {
  expect(overlayChoice(good, null)).toBe("kernel");
  expect(overlayChoice({ ...good, overlay: no(95) }, "/usr/bin/fuse-overlayfs")).toBe("fuse-overlayfs");
  expect(overlayChoice({ ...good, overlay: no(95) }, null)).toBe("copy");
  expect(overlayChoice({ ...good, overlay: no(95), fuse: no(13) }, "/usr/bin/fuse-overlayfs")).toBe("copy");
});

test.each(["", "[]", "null", "{}", '{"a":1}', "probe: no"])("parseProbe(%j) is null", (text) => expect(parseProbe(text)).toBeNull());
test("parseProbe keeps answers and leaves the rest", () => {
  expect(parseProbe('{"userns":{"ok":true,"errno":0},"x":{"ok":"yes"}}')).toEqual({ userns: { ok: true, errno: 0 } });
});
