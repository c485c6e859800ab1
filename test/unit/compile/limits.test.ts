import { describe, expect, test } from "vitest";
import { rlimitNumbers } from "../../../policy/compile/rlimits.ts";
import type { HostFacts } from "../../../policy/compile/types.ts";
import { type LimitName, limitNames } from "../../../policy/profile/types.ts";
import { mechanismsByLimit } from "../../../policy/wire/index.ts";
import { cgroup1, cgroup2, compile, errorOf, facts, noLimits, policy } from "./fixtures.ts";

const max = 0xffff_ffff_ffff_ffffn;
const mechanisms = (changes: Parameters<typeof compile>[0]) => mechanismsByLimit(compile(changes).plan.exec.mechanisms);
const writes = (changes: Parameters<typeof compile>[0]) =>
  compile(changes).plan.exec.cgroupWrites.map(
    ({ hierarchy, file, value, limit, optional }) => `${hierarchy} ${file}=${value} ${limit}${optional ? "?" : ""}`,
  );
const rlimit = (changes: Parameters<typeof compile>[0], resource: number) =>
  compile(changes).plan.exec.rlimits.find((entry) => entry.resource === resource);

describe("mechanisms", () => {
  const always = {
    wallTime: "supervisor",
    output: "supervisor",
    disk: "tmpfs",
    inodes: "tmpfs",
    openFiles: "rlimit",
    fileSize: "rlimit",
    stack: "rlimit",
    lockedMemory: "rlimit",
    core: "rlimit",
  };
  test("version 2", () => {
    const changes = { facts: { cgroup: cgroup2 }, limits: { cpus: 1.5, cpuset: "0" } };
    expect(mechanisms(changes)).toEqual({
      ...always,
      cpuTime: "cgroup2",
      memory: "cgroup2",
      processes: "cgroup2",
      cpus: "cgroup2",
      cpuset: "cgroup2",
    });
    expect(compile(changes).warnings).toEqual([]);
  });
  test("version 2 without controllers still counts CPU time", () => {
    const cgroup = { kind: "cgroup2", parent: "/sys/fs/cgroup/unified/x", controllers: [] } as const;
    expect(mechanisms({ facts: { cgroup } })).toEqual({ ...always, cpuTime: "cgroup2", memory: "supervisor", processes: "rlimit" });
    expect(compile({ facts: { cgroup } }).plan.sandbox.cgroups).toEqual([
      { version: 2, parent: "/sys/fs/cgroup/unified/x", controllers: "" },
    ]);
  });
  test("version 1, each controller where it is", () => {
    expect(mechanisms({ facts: { cgroup: cgroup1 }, limits: { cpus: 1 } })).toEqual({
      ...always,
      cpuTime: "cgroup1",
      memory: "cgroup1",
      processes: "cgroup1",
      cpus: "cgroup1",
    });
    const onlyPids = { kind: "cgroup1", hierarchies: [{ parent: "/sys/fs/cgroup/pids/x", controllers: ["pids"], swap: false }] } as const;
    expect(mechanisms({ facts: { cgroup: onlyPids } })).toMatchObject({ cpuTime: "perf", memory: "supervisor", processes: "cgroup1" });
  });
  test("version 1 with nothing of use is none", () => {
    const cgroup = {
      kind: "cgroup1",
      hierarchies: [{ parent: "/sys/fs/cgroup/freezer/x", controllers: ["freezer"], swap: false }],
    } as const;
    expect(compile({ facts: { cgroup } }).plan.sandbox.cgroups).toEqual([]);
    expect(mechanisms({ facts: { cgroup } })).toMatchObject({ cpuTime: "perf", memory: "supervisor", processes: "rlimit" });
  });
  test("version 1 takes no task of a subordinate id; version 2 does", () => {
    const range = [{ start: 100_000, count: 65_536 }];
    const subordinate = { uids: range, gids: range, newuidmap: "/a", newgidmap: "/b" };
    const user = { ...policy.user, mode: "subordinate" as const };
    const none = { policy: { user }, facts: { subordinate, cgroup: cgroup1 } };
    expect(compile(none).plan.sandbox.cgroups).toEqual([]);
    expect(mechanisms(none)).toMatchObject({ cpuTime: "perf", memory: "supervisor", processes: "rlimit" });
    const error = errorOf(() => compile({ ...none, policy: { user, required: ["memory"] } }));
    expect([error.code, error.message.includes("not of a subordinate one")]).toEqual(["limit-unenforceable", true]);
    expect(mechanisms({ ...none, policy: { user: { ...user, uid: 0 } } })).toMatchObject({ memory: "cgroup1" });
    expect(mechanisms({ policy: { user }, facts: { subordinate, cgroup: cgroup2 } })).toMatchObject({ memory: "cgroup2" });
  });
  test("in a scope of the run's own, which is named as the run is", () => {
    const { plan } = compile({ facts: { cgroup: { ...cgroup2, scope: true } } });
    expect(plan.sandbox.cgroups).toEqual([
      { version: 2, parent: `${cgroup2.parent}/${plan.sandbox.runId}.scope`, controllers: "memory pids" },
    ]);
  });
  test("without a cgroup: the perf clock, else a backstop for each process", () => {
    expect(mechanisms({})).toEqual({ ...always, cpuTime: "perf", memory: "supervisor", processes: "rlimit" });
    expect(mechanisms({ facts: { perfClock: false } })).toMatchObject({ cpuTime: "rlimit" });
  });
  test("limits that are not set are not asked for", () => {
    const { plan, enforcement } = compile({ policy: { limits: noLimits }, limits: noLimits, facts: { cgroup: cgroup2 } });
    expect(mechanismsByLimit(plan.exec.mechanisms)).toEqual({});
    expect(plan.exec.cgroupWrites).toEqual([]);
    expect(plan.sandbox.cgroups).toEqual([{ version: 2, parent: cgroup2.parent, controllers: "memory pids" }]);
    expect(enforcement).toEqual({ seccomp: "enforced", landlock: "enforced" });
    expect(plan.exec).toMatchObject({ wallMs: 0n, cpuMs: 0n, memoryBytes: 0n, processes: 0n, outputBytes: max });
    expect(plan.sandbox).toMatchObject({ scratchBytes: 0n, scratchInodes: 0n });
  });
  test("a limit that nothing enforces is warned of once, and never called enforced", () => {
    const { warnings, enforcement } = compile({ limits: { cpus: 1, cpuset: "0-1" } });
    expect(warnings.map(({ limit }) => limit)).toEqual(["cpus"]);
    expect(enforcement).toMatchObject({ cpus: "none" });
  });
  test("CPUs are pinned by the cgroup, else by an affinity that the filter keeps", () => {
    const by = (facts: Partial<HostFacts>) => compile({ limits: { cpuset: "0" }, facts }).enforcement.cpuset;
    expect([by({ cgroup: cgroup2 }), by({ cgroup: cgroup1 }), by({})]).toEqual(["cgroup2", "enforced", "enforced"]);
    const together = {
      kind: "cgroup1" as const,
      hierarchies: [{ parent: "/c/all/b", controllers: ["memory", "pids", "cpuset"], swap: false }],
    };
    expect(by({ cgroup: together })).toBe("enforced");
  });
});

describe("cgroup writes, as the kernel reads them back", () => {
  test("version 2", () => {
    expect(writes({ facts: { cgroup: cgroup2 }, limits: { memory: 100_000_001, cpus: 1.5, cpuset: "0-1" } })).toEqual([
      "0 memory.max=99999744 memory",
      "0 memory.swap.max=0 memory?",
      "0 memory.oom.group=1 memory",
      "0 pids.max=32 processes",
      "0 cpu.max=150000 100000 cpus",
      "0 cpuset.cpus=0-1 cpuset",
    ]);
  });
  test("version 1: the limit before memory and swap together, hierarchies by their place in the plan", () => {
    const changes = { facts: { cgroup: cgroup1 }, limits: { cpus: 0.005 } };
    expect(compile(changes).plan.sandbox.cgroups.map(({ version, controllers }) => [version, controllers])).toEqual([
      [1, "memory"],
      [1, "cpu cpuacct"],
      [1, "pids"],
    ]);
    expect(writes(changes)).toEqual([
      "0 memory.limit_in_bytes=268435456 memory",
      "0 memory.memsw.limit_in_bytes=268435456 memory?",
      "0 memory.kmem.tcp.limit_in_bytes=268435456 memory?",
      "2 pids.max=32 processes",
      "1 cpu.cfs_period_us=100000 cpus",
      "1 cpu.cfs_quota_us=1000 cpus",
    ]);
  });
  test("the page size of the host counts, and less than a page is a page", () => {
    const { plan } = compile({ facts: { cgroup: cgroup2, pageSize: 65_536 }, limits: { memory: 100_000_000 } });
    expect(plan.exec.memoryBytes).toBe(99_942_400n);
    expect(plan.exec.cgroupWrites[0]?.value).toBe("99942400");
    expect(compile({ limits: { memory: 1 } }).plan.exec.memoryBytes).toBe(4096n);
  });
  test("a count beyond what pids.max takes becomes its maximum", () => {
    expect(writes({ facts: { cgroup: cgroup2 }, limits: { processes: 5_000_000 } })).toContain("0 pids.max=4194304 processes");
  });
});

describe("resource limits", () => {
  test("soft = hard, unlimited where the profile sets none, ascending", () => {
    expect(compile({ facts: { cgroup: cgroup2 }, limits: { stack: null } }).plan.exec.rlimits).toEqual([
      { resource: 0, soft: max, hard: max },
      { resource: 1, soft: 67_108_864n, hard: 67_108_864n },
      { resource: 3, soft: max, hard: max },
      { resource: 4, soft: 1n, hard: 1n },
      { resource: 7, soft: 256n, hard: 256n },
      { resource: 8, soft: 0n, hard: 0n },
      { resource: 9, soft: max, hard: max },
      { resource: 11, soft: 1024n, hard: 1024n },
      { resource: 12, soft: 819_200n, hard: 819_200n },
      { resource: 14, soft: 0n, hard: 0n },
    ]);
    expect(rlimit({ limits: { openFiles: null } }, 7)).toBeUndefined();
  });
  test("processes: one more where init has the program's own id, only without a pids cgroup", () => {
    expect(rlimit({}, 6)).toEqual({ resource: 6, soft: 33n, hard: 33n });
    expect(rlimit({ facts: { cgroup: cgroup2 } }, 6)).toBeUndefined();
    const range = [{ start: 100_000, count: 65_536 }];
    const subordinate = { uids: range, gids: range, newuidmap: "/usr/bin/newuidmap", newgidmap: "/usr/bin/newgidmap" };
    const user = { ...policy.user, mode: "subordinate" as const };
    expect(rlimit({ policy: { user }, facts: { subordinate } }, 6)?.hard).toBe(32n);
    expect(rlimit({ policy: { user: { ...user, uid: 0 } }, facts: { subordinate } }, 6)?.hard).toBe(33n);
  });
  test("CPU time: a backstop in whole seconds, only where nothing better counts", () => {
    expect(rlimit({ facts: { cgroup: cgroup2 } }, 0)).toEqual({ resource: 0, soft: max, hard: max });
    expect(rlimit({ limits: { cpuTime: null } }, 0)).toEqual({ resource: 0, soft: max, hard: max });
    expect(rlimit({ limits: { cpuTime: 2001 } }, 0)).toEqual({ resource: 0, soft: 4n, hard: 5n });
    expect(rlimit({ facts: { perfClock: false }, limits: { cpuTime: 2001 } }, 0)).toEqual({ resource: 0, soft: 4n, hard: 5n });
  });
  test("a core limit that is closed already, as within a sandbox, is not set again", () => {
    expect(rlimit({}, 4)?.hard).toBe(1n);
    expect(rlimit({ facts: { core: { escape: null, closed: true } } }, 4)).toBeUndefined();
    expect(rlimit({ facts: { core: { escape: null, closed: true } }, limits: { core: 4096 } }, 4)?.hard).toBe(4096n);
  });
});

describe("limits that the caller himself has", () => {
  const hard = (limits: Partial<HostFacts["callerLimits"]>) => ({ callerLimits: { ...facts.callerLimits, ...limits } });
  test.each([
    ["openFiles", 100, "limits.openFiles (256): 100 is applied: this session's own hard limit (ulimit -Hn) allows no more"],
    ["stack", 8_388_608, "limits.stack (64 MiB): 8 MiB is applied: this session's own hard limit (ulimit -Hs) allows no more"],
    ["fileSize", 4096, "limits.fileSize (64 MiB): 4 KiB is applied: this session's own hard limit (ulimit -Hf) allows no more"],
    ["lockedMemory", 65_536, "limits.lockedMemory (1 MiB): 64 KiB is applied: this session's own hard limit (ulimit -Hl) allows no more"],
    ["addressSpace", 2 ** 30, "limits.addressSpace (2 GiB): 1 GiB is applied: this session's own hard limit (ulimit -Hv) allows no more"],
    ["core", 0, "limits.core (1 KiB): 0 bytes is applied: this session's own hard limit (ulimit -Hc) allows no more"],
  ] as const)("%s: what is applied, and one warning", (name, limit, message) => {
    const wide = { lockedMemory: 2 ** 20, addressSpace: 2 ** 31, core: 1024 };
    const { plan, warnings } = compile({ limits: wide, facts: hard({ [name]: limit }) });
    expect(warnings).toEqual([{ limit: name, message }]);
    const resource = rlimitNumbers[name];
    expect(plan.exec.rlimits.find((one) => one.resource === resource)?.hard).toBe(name === "core" ? 1n : BigInt(limit));
    expect(compile({ limits: wide, facts: hard({ [name]: 2 ** 40 }) }).warnings).toEqual([]);
  });
  test("processes: init counts; CPU time: ours comes first, and the backstop is no higher", () => {
    const { plan, warnings } = compile({ facts: { ...hard({ processes: 20, cpuTime: 1000 }), perfClock: false } });
    expect([plan.exec.processes, plan.exec.cpuMs]).toEqual([19n, 700n]);
    expect(plan.exec.rlimits.find(({ resource }) => resource === 0)).toEqual({ resource: 0, soft: 2n, hard: 3n });
    expect(warnings.map(({ limit }) => limit)).toEqual(["cpuTime", "processes"]);
  });
  test("no limit asks for nothing more", () => {
    const { warnings } = compile({
      limits: { stack: null, openFiles: null, cpuTime: null },
      facts: hard({ stack: 1, openFiles: 9, cpuTime: 1 }),
    });
    expect(warnings).toEqual([]);
  });
  test("CPUs that are not there are left out of the cpuset, for the cgroup too", () => {
    const { plan, warnings } = compile({ limits: { cpuset: "0-7" }, facts: { cgroup: cgroup2 } });
    expect(plan.exec.cpus).toEqual([0, 1]);
    expect(plan.exec.cgroupWrites.at(-1)?.value).toBe("0-1");
    expect(warnings).toEqual([{ limit: "cpuset", message: "limits.cpuset (0-7): 0-1 is applied: this process may use only the CPUs 0-1" }]);
  });
  test("what is required is not lowered", () => {
    const refusal = (name: LimitName, changes: object, limits = {}) =>
      errorOf(() => compile({ policy: { required: [name] }, limits, facts: { cgroup: cgroup2, ...changes } }));
    for (const error of [
      refusal("processes", hard({ processes: 20 })),
      refusal("cpuTime", hard({ cpuTime: 1000 })),
      refusal("cpuset", {}, { cpuset: "0-7" }),
    ])
      expect([error.code, error.message]).toEqual(["limit-unenforceable", expect.stringContaining(": required, but this ")]);
  });
  test("the disk limit is in whole pages, as the file system gives them out", () => {
    expect(compile({ limits: { disk: 100 } }).plan.sandbox.scratchBytes).toBe(4096n);
    expect(compile({ limits: { disk: 65_537 }, facts: { pageSize: 65_536 } }).plan.sandbox.scratchBytes).toBe(131_072n);
    expect(compile({ limits: { disk: null } }).plan.sandbox.scratchBytes).toBe(0n);
  });
});

test.each(["socket", "program"] as const)("a core_pattern whose %s gets every crash: nothing holds the core limit, said once", (taker) => {
  const { warnings, enforcement } = compile({ facts: { core: { escape: taker, closed: false } } });
  const message = `a crash of the program is handed to the ${taker} that the host's core_pattern names`;
  expect(warnings).toEqual([{ limit: "core", message: expect.stringContaining(message) }]);
  expect(enforcement).toMatchObject({ core: "none" });
});

describe("CPUs", () => {
  test("those of the list that are online", () => {
    expect(compile({ limits: { cpuset: "1-7" } }).plan.exec.cpus).toEqual([1]);
    expect(compile().plan.exec.cpus).toEqual([]);
  });
  test("none online is refused", () => {
    const error = errorOf(() => compile({ limits: { cpuset: "4-7" } }));
    expect(error.code).toBe("limit-unenforceable");
    expect(error.message).toContain("limits.cpuset '4-7'");
  });
});

describe("required limits", () => {
  const refusal = (name: LimitName, facts: Partial<HostFacts> = {}, limits = {}) =>
    errorOf(() => compile({ policy: { required: [name] }, facts, limits }));
  test("held by the kernel for the whole tree: accepted, and named to the launcher", () => {
    const required = ["memory", "processes", "cpuTime", "cpus", "disk", "inodes"] as const;
    const { plan } = compile({ policy: { required }, facts: { cgroup: cgroup2 }, limits: { cpus: 1 } });
    expect(plan.exec.requiredMask).toBe(0b100_0110_1101);
    expect(compile({ policy: { required: ["processes"] } }).plan.exec.requiredMask).toBe(8);
  });
  test("without a cgroup the reason is named", () => {
    const error = refusal("memory");
    expect(error.code).toBe("limit-unenforceable");
    expect(error.message).toBe(
      "compiling the plan: limits.memory: required, but no cgroup can be made here (the session's cgroup belongs to root)",
    );
    expect(error.hint).toContain("belljar doctor");
  });
  test("a missing controller is named", () => {
    const cgroup = { ...cgroup2, controllers: ["pids"] } as HostFacts["cgroup"];
    expect(refusal("memory", { cgroup }).message).toContain("no cgroup with the controller 'memory'");
  });
  test("a perf clock is not enough", () => {
    expect(refusal("cpuTime").code).toBe("limit-unenforceable");
  });
  test.each(["wallTime", "output"] as const)("%s: supervision does not satisfy it", (name) => {
    expect(refusal(name, { cgroup: cgroup2 }).message).toContain("only the supervisor enforces it");
  });
  test.each(["openFiles", "fileSize", "stack", "lockedMemory", "core"] as const)(
    "%s: a limit for each process does not satisfy it",
    (name) => {
      const error = refusal(name, { cgroup: cgroup2 });
      expect(error.message).toContain("for each process, not for the whole tree");
      expect(error.hint).toBe(`take '${name}' out of limits.required`);
    },
  );
  test("processes by resource limit: not where the program may change its id", () => {
    const range = [{ start: 100_000, count: 65_536 }];
    const subordinate = { uids: range, gids: range, newuidmap: "/a", newgidmap: "/b" };
    const user = { ...policy.user, mode: "subordinate" as const };
    const changes = { policy: { user, required: ["processes"] as const }, facts: { subordinate } };
    expect(compile(changes).plan.exec.requiredMask).toBe(8);
    expect(errorOf(() => compile({ ...changes, policy: { ...changes.policy, capabilities: ["CAP_SETUID"] } })).code).toBe(
      "limit-unenforceable",
    );
  });
  test("a required limit without a value is a contradiction", () => {
    const error = refusal("memory", { cgroup: cgroup2 }, { memory: null });
    expect(error.code).toBe("profile-invalid");
    expect(error.message).toContain("limits.memory sets no limit");
  });
  test("every limit that the kernel cannot hold is refused when required", () => {
    for (const name of limitNames) {
      const limits = { cpus: 1, cpuset: "0", addressSpace: 2 ** 30 };
      const held = ["disk", "inodes", "processes", "cpuset"].includes(name);
      if (held) expect(() => compile({ policy: { required: [name] }, limits }), name).not.toThrow();
      else expect(refusal(name, {}, limits).code, name).toBe("limit-unenforceable");
    }
  });
});
