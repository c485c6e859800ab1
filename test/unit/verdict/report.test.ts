import { describe, expect, test } from "vitest";
import { BelljarError } from "../../../policy/errors.ts";
import { limitNames } from "../../../policy/profile/types.ts";
import {
  cancelledReport,
  exitCodeFor,
  makeReport,
  type RunReport,
  sandboxErrorReport,
  type Verdict,
  verdictTable,
} from "../../../policy/verdict/index.ts";
import { enums, type OutputRecord, type RunRecord, type StartFailure } from "../../../policy/wire/wire.gen.ts";
import { cgroup2, compile, facts, noLimits, policy } from "../compile/fixtures.ts";
import { okRecord } from "../wire/samples.ts";

const filesOut = [
  { source: "a.out", hostPath: "/h/a.out", maxBytes: 10 },
  { source: "b", hostPath: "/h/b", maxBytes: 10 },
];
const { plan } = compile({ request: { filesOut } });
const context = { policy, plan, profileDigest: "sha256:p", filterDigest: "sha256:f" };
const verdictNumber = (verdict: Verdict): number => verdictTable.findIndex(({ name }) => name === verdict);

interface Given {
  readonly verdict?: Verdict;
  readonly record?: Partial<RunRecord>;
  readonly outputs?: readonly OutputRecord[];
  readonly hint?: string | null;
  readonly limits?: Partial<typeof policy.limits>;
}
function report({ verdict = "ok", record = {}, outputs = [], hint = null, limits = {} }: Given = {}): RunReport {
  const given = { ...policy, limits: { ...policy.limits, ...limits } };
  return makeReport({
    ...context,
    policy: given,
    plan: Object.keys(limits).length === 0 ? plan : compile({ policy: given }).plan,
    record: { ...okRecord, mechanisms: plan.exec.mechanisms, verdict: verdictNumber(verdict), ...record },
    outputs,
    hintFor: () => hint,
  });
}

const output = (index: number, failure: OutputRecord["failure"], error = 0): OutputRecord => ({
  index,
  failure,
  error,
  reserved: 0,
  bytes: failure === "none" ? 7n : 0xffff_ffff_ffff_ffffn,
});

describe("a run that ended well", () => {
  test("the whole report", () => {
    expect(report({ outputs: [output(1, "none"), output(0, "link")] })).toEqual({
      schemaVersion: 1,
      verdict: "ok",
      exitCode: 0,
      signal: null,
      message: "exited with code 0",
      time: { wallMs: 12.4, cpuMs: 8.1, userMs: 6, systemMs: 2.1, cpuExact: true, setupMs: 1.9 },
      memory: { peakBytes: 8_519_680, oomKills: 0 },
      processes: { peak: null, limitHits: 0 },
      disk: { usedBytes: 4096, usedInodes: 1, full: false },
      output: { stdoutBytes: 6, stderrBytes: null, stdoutTruncated: false, stderrTruncated: false, truncated: false },
      outputs: [
        { path: "a.out", bytes: null, error: "a symbolic link is in its path" },
        { path: "b", bytes: 7, error: null },
      ],
      limits: {
        cpuTime: 2000,
        wallTime: 6000,
        memory: 268_435_456,
        processes: 32,
        output: 16_777_216,
        disk: 67_108_864,
        inodes: 10_000,
        openFiles: 256,
        fileSize: 67_108_864,
        stack: 67_108_864,
        lockedMemory: 0,
        core: 0,
      },
      enforcement: {
        cpuTime: "perf",
        wallTime: "supervisor",
        memory: "supervisor",
        processes: "rlimit",
        output: "supervisor",
        disk: "tmpfs",
        inodes: "tmpfs",
        openFiles: "rlimit",
        fileSize: "rlimit",
        stack: "rlimit",
        lockedMemory: "rlimit",
        core: "rlimit",
        seccomp: "enforced",
        landlock: "enforced",
      },
      samples: null,
      denials: [],
      sandbox: {
        profile: "test",
        profileDigest: "sha256:p",
        filterDigest: "sha256:f",
        rootfs: "host",
        image: null,
        overlay: null,
        user: "single",
        writableVolumes: [],
        landlockAbi: 7,
      },
      error: null,
    });
  });
  test("what was not measured is null, never 0", () => {
    const none = 0xffff_ffff_ffff_ffffn;
    const {
      time,
      memory,
      processes,
      disk,
      output: streams,
    } = report({
      record: {
        wallNs: none,
        setupNs: none,
        cpuNs: none,
        userNs: none,
        systemNs: none,
        cpuExact: 0,
        memoryPeak: none,
        oomKills: none,
        processesPeak: none,
        processLimitHits: none,
        diskBytes: none,
        diskInodes: none,
        diskFull: 2,
        stdoutBytes: none,
      },
    });
    expect(time).toEqual({ wallMs: null, cpuMs: null, userMs: null, systemMs: null, cpuExact: false, setupMs: null });
    expect([memory, processes]).toEqual([
      { peakBytes: null, oomKills: null },
      { peak: null, limitHits: null },
    ]);
    expect(disk).toEqual({ usedBytes: null, usedInodes: null, full: null });
    expect(streams).toEqual({ stdoutBytes: null, stderrBytes: null, stdoutTruncated: false, stderrTruncated: false, truncated: false });
  });
  test("enforcement is the record's, not the plan's", () => {
    const mechanisms = enums.Limit.map((name) => enums.Mechanism.indexOf(name === "memory" ? "none" : "notAsked"));
    expect(report({ record: { mechanisms, seccompEnforced: 0, landlockAbi: 0 } })).toMatchObject({
      enforcement: { memory: "none", seccomp: "none", landlock: "none" },
      sandbox: { landlockAbi: null },
    });
    expect(Object.keys(report({ record: { mechanisms } }).enforcement)).toEqual(["memory", "seccomp", "landlock"]);
  });
  test("limits as applied: whole pages, and none that are not set", () => {
    expect(report({ limits: { ...noLimits, memory: 10_000_001, cpuset: "0-1" } }).limits).toEqual({ memory: 9_998_336, cpuset: "0-1" });
  });
  test("cgroups left behind are told", () => {
    expect(report({ record: { leftovers: 1 } }).message).toBe(
      "exited with code 0; a cgroup could not be removed ('belljar gc' removes what is left)",
    );
    expect(report({ record: { leftovers: 2 } }).message).toContain("2 cgroups");
    expect(report({ record: { leftovers: 0xffffffff } }).message).toBe("exited with code 0"); // not known
  });
  test("a volume that the program may write is listed, a directory is named", () => {
    const volume = { kind: "bind", source: "/s", target: "/d", access: "read-write", optional: false, comment: "c" } as const;
    const rootfs = { kind: "directory", path: "/srv/r", writable: false, overlay: "auto" } as const;
    const made = makeReport({ ...context, policy: { ...policy, mounts: [volume], rootfs }, record: okRecord, outputs: [] });
    expect(made.sandbox).toMatchObject({ writableVolumes: ["/s:/d"], rootfs: "/srv/r" });
  });
  test("a verdict that no table has is our own mistake", () => {
    expect(() => report({ record: { verdict: 99 } })).toThrow("unknown verdict 99");
  });
});

describe("messages name the limit with its value", () => {
  const failed = { exitCode: 1 };
  const bothFlooded = { stdoutTruncated: 1, stderrTruncated: 1, stdoutBytes: 16777216n, stderrBytes: 16777216n };
  const cases: readonly (readonly [Verdict, Partial<RunRecord>, string, number])[] = [
    ["exit-nonzero", { exitCode: 3 }, "exited with code 3", 3],
    ["signaled", { exitCode: -1, signal: 11 }, "killed by SIGSEGV (invalid memory access)", 139],
    ["signaled", { exitCode: -1, signal: 34 }, "killed by SIGRTMIN", 162],
    ["syscall-denied", { exitCode: -1, signal: 31 }, "killed by the system call filter (SIGSYS)", 159],
    ["memory-limit", { exitCode: -1, signal: 9 }, "used more memory than the limit of 256 MiB", 124],
    ["cpu-time-limit", { exitCode: -1, signal: 9 }, "used more CPU time than the limit of 2 s", 124],
    ["wall-time-limit", { exitCode: -1, signal: 9 }, "ran longer than the limit of 6 s", 124],
    ["output-limit", { stdoutTruncated: 1, stdoutBytes: 16777216n }, "wrote more to stdout than the limit of 16 MiB", 124],
    ["output-limit", { stderrTruncated: 1, stderrBytes: 16777216n }, "wrote more to stderr than the limit of 16 MiB", 124],
    ["output-limit", bothFlooded, "wrote more to stdout and stderr than the limit of 16 MiB", 124],
    // The reader of stdout had gone.
    ["output-limit", { ...bothFlooded, stdoutBytes: 5n }, "wrote more to stderr than the limit of 16 MiB", 124],
    [
      "disk-limit",
      failed,
      "exited with code 1 with the scratch space full (limit 64 MiB, 10000 files); that this was the cause is inferred",
      124,
    ],
    ["process-limit", failed, "exited with code 1 after the kernel refused a fork at the limit of 32 processes", 124],
    ["cancelled", { cancelSignal: 15 }, "cancelled by SIGTERM", 143],
    ["cancelled", {}, "cancelled by the caller", 130],
  ];
  test.each(cases)("%s %o", (verdict, record, message, exitCode) => {
    const made = report({ verdict, record });
    expect(made).toMatchObject({ verdict, message, error: null });
    expect(exitCodeFor(made)).toBe(exitCode);
  });
  test("without a limit of the run's own the message does not invent one", () => {
    const words = (verdict: Verdict) => report({ verdict, record: failed, limits: noLimits }).message;
    expect(words("memory-limit")).toBe("killed because the host ran out of memory: this run had no memory limit");
    expect(words("disk-limit")).toContain("(no limit set)");
    expect(words("process-limit")).toContain("the limit of its host's processes");
  });
  test("the signal is the program's, or the one that cancelled", () => {
    expect(report({ verdict: "disk-limit", record: { exitCode: -1, signal: 6 } })).toMatchObject({ exitCode: null, signal: "SIGABRT" });
    expect(report({ verdict: "cancelled", record: { signal: 9, cancelSignal: 2 } }).signal).toBe("SIGINT");
    expect(report({ verdict: "cancelled", record: { signal: 9 } }).signal).toBeNull();
  });
  test.each(["memory-limit", "cpu-time-limit", "wall-time-limit", "output-limit", "cancelled"] as const)(
    "%s: who was faster, our kill or the program's end, is not told",
    (verdict) => {
      for (const record of [{ exitCode: -1, signal: 9 }, { exitCode: -1, signal: 24 }, { exitCode: 0 }, { exitCode: 3 }])
        expect(report({ verdict, record })).toMatchObject({ exitCode: null, signal: null });
    },
  );
  test("which of space and files was used up is told where the figures tell it", () => {
    const words = (record: Partial<RunRecord>) => report({ verdict: "disk-limit", record: { exitCode: 1, ...record } }).message;
    expect(words({ diskBytes: 67_108_864n })).toContain("full (no space left of 64 MiB);");
    expect(words({ diskInodes: 10_000n })).toContain("full (no file left of 10000);");
    expect(words({ diskBytes: 67_108_864n, diskInodes: 10_000n })).toContain("full (no space left of 64 MiB, no file left of 10000);");
    expect(words({ diskBytes: 0xffff_ffff_ffff_ffffn })).toContain("full (limit 64 MiB, 10000 files);");
  });
  test("limits as applied, not as asked for", () => {
    const callerLimits = { ...facts.callerLimits, openFiles: 100, cpuTime: 1000, stack: 8_388_608 };
    const asked = { ...policy, limits: { ...policy.limits, disk: 100, cpuset: "0-7" } };
    const held = compile({ policy: asked, facts: { callerLimits } }).plan;
    const made = makeReport({ ...context, policy: asked, plan: held, record: okRecord, outputs: [] });
    expect(made.limits).toMatchObject({
      openFiles: 100,
      cpuTime: 700,
      stack: 8_388_608,
      disk: 4096,
      cpuset: "0-1",
      core: 0,
      inodes: 10_000,
    });
    expect(Object.keys(made.limits)).toEqual(limitNames.filter((name) => asked.limits[name] !== null));
  });
  test("the command that was told to stop knows the signal better", () => {
    expect(exitCodeFor(report({ verdict: "cancelled" }), { cancelSignal: 1 })).toBe(129);
  });
  test("the table of verdicts is covered", () => {
    const covered = new Set([...cases.map(([verdict]) => verdict), "ok", "start-failed", "sandbox-error"]);
    expect(verdictTable.map(({ name }) => name).filter((name) => !covered.has(name))).toEqual([]);
  });
  test.each(["memory-limit", "cpu-time-limit", "wall-time-limit", "output-limit", "disk-limit", "process-limit"] as const)(
    "%s has no error: that is for failures of the start and of ours",
    (verdict) => expect(report({ verdict }).error).toBeNull(),
  );
});

test("the peak of processes only where a pids cgroup counts them: samples miss the short-lived", () => {
  const counted = compile({ facts: { cgroup: cgroup2 } }).plan;
  const of = (given: typeof plan) => makeReport({ ...context, plan: given, record: okRecord, outputs: [] }).processes.peak;
  expect([of(plan), of(counted)]).toEqual([null, 1]);
});

test("before the program was let go there is nothing to measure, whatever the record holds", () => {
  const zeros = { wallNs: 0n, cpuNs: 0n, userNs: 0n, systemNs: 0n, memoryPeak: 0n, oomKills: 0n, processesPeak: 0n, processLimitHits: 0n };
  const more = { diskBytes: 0n, diskInodes: 0n, stdoutBytes: 0n, stderrBytes: 0n, diskFull: 0, exitCode: 0 };
  const made = report({ verdict: "sandbox-error", record: { ...zeros, ...more, setupNs: 0xffff_ffff_ffff_ffffn, errorStep: "checkPlan" } });
  expect(made).toMatchObject({
    exitCode: null,
    time: { wallMs: null, cpuMs: null, userMs: null, systemMs: null, cpuExact: false, setupMs: null },
    memory: { peakBytes: null, oomKills: null },
    processes: { peak: null, limitHits: null },
    disk: { usedBytes: null, usedInodes: null, full: null },
    output: { stdoutBytes: null, stderrBytes: null, truncated: false },
  });
});

describe("a program that did not start", () => {
  const start = (startFailure: StartFailure, record: Partial<RunRecord> = {}, hint: string | null = null) =>
    report({
      verdict: "start-failed",
      record: { exitCode: 127, startFailure, errorStep: "exec", errorStage: "child", errorErrno: 2, ...record },
      hint,
    });
  test.each<[StartFailure, Partial<RunRecord>, string, number]>([
    ["notFound", { errorText: "python3" }, "could not start 'python3': command not found in the sandbox", 127],
    ["notExecutable", { errorText: "/work/x" }, "could not start 'python3': '/work/x' is not executable", 126],
    ["isDirectory", { errorText: "/usr" }, "could not start 'python3': '/usr' is a directory", 126],
    [
      "interpreterMissing",
      { errorText: "/bin/zsh" },
      "could not start 'python3': its interpreter '/bin/zsh' does not exist in the sandbox",
      126,
    ],
    [
      "loaderMissing",
      { errorText: "/lib/ld.so" },
      "could not start 'python3': the loader '/lib/ld.so' that it needs does not exist in the sandbox",
      126,
    ],
    ["wrongFormat", {}, "could not start 'python3': neither a program of this system nor a script with \"#!\" in its first line", 126],
    ["wrongArchitecture", { errorText: "/work/x" }, "could not start 'python3': '/work/x' was built for another kind of processor", 126],
    [
      "crlfShebang",
      { errorText: "/bin/sh\r" },
      "could not start 'python3': its first line ends in CRLF, so its interpreter is taken to be '/bin/sh\\r'",
      126,
    ],
    ["argumentsTooLong", {}, "could not start 'python3': its arguments and environment are longer than the kernel takes", 126],
    ["workdirMissing", {}, "could not start in '/work': cannot make it the working directory: ENOENT (no such file or directory)", 126],
    [
      "denied",
      { errorText: "/work/x", errorErrno: 13 },
      "could not start 'python3': '/work/x': it, or what it needs to start, may not be executed here (EACCES (permission denied))",
      126,
    ],
    ["other", { errorText: "/work/x", errorErrno: 40 }, "could not start 'python3': '/work/x': ELOOP (a symbolic link is in the way)", 126],
    ["none", { errorErrno: -999 }, "could not start 'python3': error 999", 126],
  ])("%s", (startFailure, record, message, exitCode) => {
    const made = start(startFailure, record);
    expect(made).toMatchObject({ verdict: "start-failed", exitCode: null, signal: null, message });
    expect(made.error).toMatchObject({ code: startFailure === "notFound" ? "command-not-found" : "start-failed", message });
    expect(exitCodeFor(made)).toBe(exitCode);
  });
  test("a remedy checked on this host goes before the general hint", () => {
    expect(start("crlfShebang").error?.hint).toContain("sed -i");
    expect(start("crlfShebang", {}, "do this").error?.hint).toBe("do this");
    expect(start("notFound").error?.hint).toBeNull();
  });
  test("files to copy out are told as not copied", () => {
    expect(start("notFound").outputs).toEqual([
      { path: "a.out", bytes: null, error: "not copied: the run ended before" },
      { path: "b", bytes: null, error: "not copied: the run ended before" },
    ]);
  });
});

describe("a failure of ours", () => {
  const mount = { kind: "bind", source: "/srv/data", target: "/usr/x", access: "read-only", optional: false, comment: null } as const;
  const script = { hostPath: "/home/a/x.py", name: "x.py" };
  const filesIn = [{ hostPath: "/h/in", target: "in", mode: 0o644 }];
  const broken = compile({ policy: { mounts: [mount, { kind: "mask", target: "/m", comment: null }] }, request: { script, filesIn } }).plan;
  const indexOf = (target: string) => broken.sandbox.filesystem.findIndex((entry) => entry.target === target);
  const failure = (record: Partial<RunRecord>) =>
    makeReport({ ...context, plan: broken, record: { ...okRecord, verdict: 0, exitCode: -1, ...record }, outputs: [] });
  test.each<[Partial<RunRecord>, string]>([
    [
      { errorStep: "supervise", errorStage: "parent", errorErrno: 12, errorText: "memory" },
      "the kernel killed the program for want of memory outside its limit, which it had not reached: of the host, or of a cgroup above the run's",
    ],
    [
      { errorStep: "mapSelf", errorStage: "init", errorErrno: 1, errorText: "/proc/self/uid_map" },
      "step mapSelf (init) failed (single id: write setgroups, gid_map and uid_map; subordinate: wait for the launcher, then become id 0 of the sandbox where the caller's id is not mapped): '/proc/self/uid_map': EPERM (operation not permitted)",
    ],
    [
      { errorStep: "filesystem", errorStage: "init", errorErrno: 30, errorText: "/usr/x", errorIndex: indexOf("/usr/x") },
      "step filesystem (init) failed: mounting '/srv/data' on '/usr/x': EROFS (read-only file system)",
    ],
    [
      { errorStep: "filesystem", errorStage: "init", errorErrno: 13, errorIndex: indexOf("/etc/passwd") },
      "step filesystem (init) failed: making the file '/etc/passwd': EACCES (permission denied)",
    ],
    [
      { errorStep: "filesystem", errorStage: "init", errorErrno: 1, errorIndex: indexOf("/proc") },
      "step filesystem (init) failed: mounting proc on '/proc': EPERM (operation not permitted)",
    ],
    [
      { errorStep: "filesystem", errorStage: "init", errorErrno: 1, errorIndex: indexOf("/m") },
      "step filesystem (init) failed: hiding '/m': EPERM (operation not permitted)",
    ],
    [
      { errorStep: "filesystem", errorStage: "init", errorErrno: 1, errorIndex: 9999 },
      "step filesystem (init) failed (build the file system entry by entry, in the plan's order (index = entry)): EPERM (operation not permitted)",
    ],
    [
      { errorStep: "landlock", errorStage: "child", errorErrno: 22, errorIndex: 0 },
      "step landlock (child) failed: Landlock rule for '/': EINVAL (invalid argument)",
    ],
    [
      { errorStep: "rlimits", errorStage: "child", errorErrno: 1, errorIndex: 0 },
      "step rlimits (child) failed: resource limit number 0: EPERM (operation not permitted)",
    ],
    [
      { errorStep: "filesIn", errorStage: "parent", errorErrno: 28, errorIndex: 0, errorText: "in" },
      "step filesIn (parent) failed: copying '/h/in' to '/work/in': ENOSPC (no space left, or a limit of the kernel reached)",
    ],
    [{ errorStep: "initDied", errorStage: "init", errorErrno: 0 }, "the sandbox's first process died unasked (step initDied)"],
  ])("%j", (record, message) => {
    const made = failure(record);
    expect(made).toMatchObject({ verdict: "sandbox-error", exitCode: null, message, error: { code: "sandbox-failed", message } });
    expect(exitCodeFor(made)).toBe(125);
  });
  test("hints for what the launcher itself checked", () => {
    const at = { errorStep: "filesystem", errorStage: "init", errorIndex: indexOf("/usr/x") } as const;
    expect(failure({ ...at, errorErrno: 30 }).error?.hint).toContain("no mount point can be made in a folder of the host");
    expect(failure({ ...at, errorErrno: 2, errorText: "/srv/data" }).error?.hint).toContain("the source must exist");
    expect(failure({ ...at, errorErrno: 2, errorText: "/usr/x" }).error?.hint).toBeNull();
    expect(failure({ errorStep: "clone", errorStage: "parent", errorErrno: 1 }).error?.hint).toBeNull();
  });
  test("before the plan is read nothing is known to be enforced", () => {
    expect(
      failure({ errorStep: "checkPlan", errorStage: "parent", errorErrno: 74, mechanisms: new Array(15).fill(0) }).enforcement,
    ).toEqual({});
  });
  test("a launcher that left no record: everything is unknown", () => {
    const error = new BelljarError("launcher-failed", "running the launcher: it was killed by SIGKILL", { hint: "look at dmesg" });
    const made = sandboxErrorReport({ ...context, error });
    expect(made).toMatchObject({
      verdict: "sandbox-error",
      exitCode: null,
      message: error.message,
      time: { wallMs: null, cpuExact: false },
      enforcement: {},
      sandbox: { landlockAbi: null },
      error: { code: "launcher-failed", message: error.message, hint: "look at dmesg" },
    });
    expect(made.outputs.map(({ error: reason }) => reason)).toEqual(new Array(2).fill("not copied: the run ended before"));
    expect(exitCodeFor(made)).toBe(125);
  });
  test.each([
    [2, "SIGINT", 130],
    [15, "SIGTERM", 143],
    [1, "SIGHUP", 129],
    [0, null, 130],
  ] as const)("a run that was cut off on request, by signal %i, is cancelled and no failure", (cancelSignal, signal, status) => {
    const made = cancelledReport({ ...context, cancelSignal });
    expect(made).toMatchObject({ verdict: "cancelled", signal, exitCode: null, error: null, time: { wallMs: null } });
    expect(exitCodeFor(made)).toBe(status);
  });
});

describe("files out", () => {
  test.each<[OutputRecord["failure"], number, string]>([
    ["missing", 2, "no such file"],
    ["notRegular", 6, "not a regular file"],
    ["link", 40, "a symbolic link is in its path"],
    ["tooBig", 27, "larger than its size limit of 10 bytes"],
    ["unreadable", 5, "cannot be read: EIO (input/output error)"],
    ["unreadable", 0, "cannot be read"],
    ["destination", 28, "'/h/a.out' cannot be written: ENOSPC (no space left, or a limit of the kernel reached)"],
    ["notBeneath", 18, "not beneath the work folder"],
  ])("%s %i", (failure, error, words) => {
    expect(report({ outputs: [output(0, failure, error)] }).outputs[0]).toEqual({ path: "a.out", bytes: null, error: words });
  });
});
