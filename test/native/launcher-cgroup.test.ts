import { mkdtempSync, readdirSync, rmdirSync, writeFileSync } from "node:fs";
import { describe, expect, onTestFinished } from "vitest";
import type { CgroupHierarchy, CgroupWrite, SandboxPlan } from "../../policy/wire/wire.gen.ts";
import { needs } from "../helpers/abilities.ts";
import { execPlan, launch, sandboxPlan } from "../helpers/launcher.ts";

const names = ["memory", "pids", "cpuacct"] as const;
const parentOf = (name: string) => `/sys/fs/cgroup/${name}/belljar-${process.getuid?.()}`;

const withCgroups = (more: Partial<SandboxPlan> = {}): SandboxPlan =>
  sandboxPlan({ cgroups: names.map((name): CgroupHierarchy => ({ version: 1, parent: parentOf(name), controllers: name })), ...more });

const write = (hierarchy: number, file: string, value: string, limit: CgroupWrite["limit"]): CgroupWrite => ({
  hierarchy,
  file,
  value,
  limit,
  optional: false,
});

/** The same one level deeper, where a cgroup above the run's has a limit of its own. */
function withLimitAbove(name: (typeof names)[number], file: string, value: string): SandboxPlan {
  const parent = mkdtempSync(`${parentOf(name)}/above-`);
  onTestFinished(() => rmdirSync(parent));
  writeFileSync(`${parent}/${file}`, value);
  return withCgroups({
    cgroups: names.map((one): CgroupHierarchy => ({ version: 1, parent: one === name ? parent : parentOf(one), controllers: one })),
  });
}

const limits = [write(0, "memory.limit_in_bytes", String(64 << 20), "memory"), write(1, "pids.max", "8", "processes")];

const mechanisms = () => {
  const list = new Array<number>(15).fill(8);
  list[0] = list[2] = list[3] = 2; // cpuTime, memory, processes: cgroup1
  return list;
};

const leftovers = () =>
  names.flatMap((name) =>
    readdirSync(parentOf(name), { withFileTypes: true }).filter(
      (item) => item.isDirectory() && item.name.startsWith(`belljar-run-${process.pid}-`),
    ),
  );

describe("cgroup v1", () => {
  needs("cgroup1")("counts, and is gone afterwards", async () => {
    const { verdict, record } = await launch(
      withCgroups(),
      execPlan(["python3", "-c", "sum(range(10**6))"], { cgroupWrites: limits, mechanisms: mechanisms() }),
    );
    expect(verdict).toBe("ok");
    expect(record).toMatchObject({ cpuExact: 1, cpuBy: "cgroup1", oomKills: 0n, processLimitHits: 0n, leftovers: 0 });
    expect(record?.memoryPeak).toBeGreaterThan(1n << 20n);
    expect(record?.cpuNs).toBeGreaterThan(1_000_000n);
    expect(leftovers()).toEqual([]);
  });

  needs("cgroup1")("an OOM kill of a grandchild ends the run as memory-limit", async () => {
    const script = "import os,time\nif os.fork()==0: x=bytearray(200<<20)\nelse: time.sleep(20)";
    const { verdict, record } = await launch(
      withCgroups(),
      execPlan(["python3", "-c", script], { cgroupWrites: limits, mechanisms: mechanisms() }),
    );
    expect([verdict, record?.oomKills]).toEqual(["memory-limit", 1n]);
    expect(leftovers()).toEqual([]);
  });

  needs("cgroup1")("a refused fork is counted, and is the verdict when the program fails", async () => {
    const script = "import os\nfor i in range(20):\n  if os.fork()==0: os.execvp('sleep',['sleep','20'])";
    const { verdict, record } = await launch(
      withCgroups(),
      execPlan(["python3", "-c", script], { cgroupWrites: limits, mechanisms: mechanisms() }),
    );
    expect(verdict).toBe("process-limit");
    expect(record?.processLimitHits).toBe(1n);
    expect(leftovers()).toEqual([]);
  });

  needs("cgroup1")("memory that runs out above the run's cgroup is no limit of the program's", async () => {
    const run = (above: string) =>
      launch(
        withLimitAbove("memory", "memory.limit_in_bytes", above),
        execPlan(["python3", "-c", "x=bytearray(200<<20)"], {
          memoryBytes: 64n << 20n,
          cgroupWrites: limits,
          mechanisms: mechanisms(),
        }),
      );
    const { verdict, record } = await run(String(24 << 20));
    expect([verdict, record?.oomKills]).toEqual(["sandbox-error", 1n]);
    expect(record).toMatchObject({ errorStep: "supervise", errorErrno: 12, errorText: "memory" });
    expect(leftovers()).toEqual([]);
    expect((await run(String(128 << 20))).verdict).toBe("memory-limit");
  });

  needs("cgroup1")("a fork that a cgroup above refuses is counted, and no limit of the program's", async () => {
    const script = "import os\nfor i in range(20):\n  if os.fork()==0: os.execvp('sleep',['sleep','20'])";
    const { verdict, record } = await launch(
      withLimitAbove("pids", "pids.max", "5"),
      execPlan(["python3", "-c", script], { processes: 8n, cgroupWrites: limits, mechanisms: mechanisms() }),
    );
    expect([verdict, record?.processLimitHits]).toEqual(["exit-nonzero", 1n]);
    expect(record?.processesPeak).toBeLessThan(8n);
  });

  needs("cgroup1")("the CPU limit counts children", async () => {
    const script = "import os\nos.fork()\nwhile True: pass";
    const { verdict, record } = await launch(
      withCgroups(),
      execPlan(["python3", "-c", script], { cpuMs: 200n, cgroupWrites: limits, mechanisms: mechanisms() }),
    );
    expect(verdict).toBe("cpu-time-limit");
    expect(record?.cpuNs).toBeGreaterThanOrEqual(200_000_000n);
    expect(record?.cpuNs).toBeLessThan(1_000_000_000n);
  });

  needs("cgroup1")("a limit that the kernel does not say back is an error, and nothing stays", async () => {
    const { verdict, record } = await launch(
      withCgroups(),
      execPlan(["true"], { cgroupWrites: [write(0, "memory.limit_in_bytes", "1000001", "memory")] }),
    );
    expect(verdict).toBe("sandbox-error");
    expect(record).toMatchObject({ errorStep: "makeCgroup", errorIndex: 0, errorErrno: 22, leftovers: 0 });
    expect(record?.errorText).toMatch(/memory\.limit_in_bytes$/);
    expect(leftovers()).toEqual([]);
  });

  needs("cgroup1")("a parent that is missing is an error that names it", async () => {
    const plan = withCgroups({ cgroups: [{ version: 1, parent: "/sys/fs/cgroup/memory/nowhere", controllers: "memory" }] });
    const { verdict, record } = await launch(plan, execPlan(["true"]));
    expect(verdict).toBe("sandbox-error");
    expect(record).toMatchObject({ errorStep: "makeCgroup", errorErrno: 2 });
    expect(record?.errorText).toContain("/sys/fs/cgroup/memory/nowhere");
  });
});
