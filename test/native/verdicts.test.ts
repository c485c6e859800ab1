// Every verdict with the evidence that proves it, and nothing else: from real runs of the launcher, whose record carries both.
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { syscallTables } from "../../policy/seccomp/tables.gen.ts";
import { type Evidence, evidenceNames, type Verdict, verdictTable } from "../../policy/verdict/verdicts.gen.ts";
import { type ExecPlan, enums, type RunRecord, type SandboxPlan } from "../../policy/wire/wire.gen.ts";
import { needs } from "../helpers/abilities.ts";
import { within } from "../helpers/deadline.ts";
import { bind, encodePlan, execPlan, launch, launchBytes, sandboxPlan } from "../helpers/launcher.ts";
import { root } from "../helpers/places.ts";

interface Rule {
  readonly name: Verdict;
  readonly evidence: Evidence | null;
  readonly evidenceIfFailed?: Evidence;
  readonly onlyIfFailed?: boolean;
}
const rules = JSON.parse(readFileSync(join(root, "policy/verdict/verdicts.def.json"), "utf8")).verdicts as readonly Rule[];

const evidenceOf = ({ evidence }: RunRecord): readonly Evidence[] => evidenceNames.filter((_, bit) => (evidence & (1 << bit)) !== 0);

/** The verdict that the table gives to what a record carries: the same sentence as the launcher's, said again. */
function verdictBy(record: RunRecord): Verdict | undefined {
  const has = (name: Evidence | null | undefined) => name !== null && name !== undefined && evidenceOf(record).includes(name);
  const failed = record.exitCode !== 0;
  return rules.find(
    ({ evidence, evidenceIfFailed, onlyIfFailed = false }) =>
      evidence === null || (has(evidence) && (failed || !onlyIfFailed)) || (has(evidenceIfFailed) && failed),
  )?.name;
}

interface Case {
  readonly evidence: readonly Evidence[];
  readonly argv: readonly string[];
  readonly exec?: Partial<ExecPlan>;
  readonly sandbox?: () => SandboxPlan;
  /** Asks for the end once the program has written something. */
  readonly cancel?: boolean;
  readonly record?: Partial<RunRecord>;
}

const by = (...held: readonly (readonly [limit: string, mechanism: string])[]): readonly number[] =>
  enums.Limit.map((limit) => {
    const mechanism = held.find(([name]) => name === limit)?.[1] ?? "notAsked";
    return (enums.Mechanism as readonly string[]).indexOf(mechanism);
  });
const shell = (script: string): readonly string[] => ["sh", "-c", script];

/** struct sock_filter[]: one call kills the process, every other is allowed. */
function killing(call: "getppid"): Uint8Array {
  const number = syscallTables[process.arch === "arm64" ? "aarch64" : "x86_64"][call] ?? 0;
  const program = [
    [0x20, 0, 0, 0], // load the number
    [0x15, 0, 1, number],
    [0x06, 0, 0, 0x8000_0000], // kill the process
    [0x06, 0, 0, 0x7fff_0000], // allow
  ] as const;
  const view = new DataView(new ArrayBuffer(8 * program.length));
  for (const [i, [code, yes, no, value]] of program.entries()) {
    view.setUint16(8 * i, code, true);
    view.setUint8(8 * i + 2, yes);
    view.setUint8(8 * i + 3, no);
    view.setUint32(8 * i + 4, value, true);
  }
  return new Uint8Array(view.buffer);
}

const pids = `/sys/fs/cgroup/pids/belljar-${process.getuid?.()}`;

const cases: Readonly<Record<Verdict, Case>> = {
  "sandbox-error": { evidence: ["sandboxError"], argv: ["true"], sandbox: () => sandboxPlan({}, [bind("/nowhere", "/mnt")]) },
  cancelled: { evidence: ["cancelled"], argv: shell("echo begun; sleep 60"), cancel: true },
  "start-failed": { evidence: ["startFailed"], argv: ["/usr/bin/nowhere"] },
  "memory-limit": {
    evidence: ["oomKill"],
    argv: ["python3", "-c", "import time\nx=bytearray(100<<20)\ntime.sleep(60)"],
    exec: { memoryBytes: 50n << 20n, mechanisms: by(["memory", "supervisor"]) },
  },
  "cpu-time-limit": {
    evidence: ["cpuKill"],
    argv: shell("while :; do :; done"),
    exec: { cpuMs: 100n, mechanisms: by(["cpuTime", "perf"]) },
  },
  "wall-time-limit": { evidence: ["wallKill"], argv: ["sleep", "60"], exec: { wallMs: 100n } },
  "output-limit": {
    evidence: ["outputKill"],
    argv: shell("echo 12345678; sleep 60"),
    exec: { outputBytes: 8n },
    record: { stdoutBytes: 8n, stdoutTruncated: 1, stderrTruncated: 0 },
  },
  "disk-limit": {
    evidence: ["scratchFull", "nonZero"],
    argv: ["dd", "if=/dev/zero", "of=/work/x", "bs=64K"],
    sandbox: () => sandboxPlan({ scratchBytes: 1n << 20n }),
    record: { diskFull: 1 },
  },
  "process-limit": {
    evidence: ["processLimitHit", "nonZero"],
    argv: ["python3", "-c", "import os\nos.fork()"],
    sandbox: () => sandboxPlan({ cgroups: [{ version: 1, parent: pids, controllers: "pids" }] }),
    exec: {
      mechanisms: by(["processes", "cgroup1"]),
      cgroupWrites: [{ hierarchy: 0, file: "pids.max", value: "1", limit: "processes", optional: false }],
    },
    record: { processLimitHits: 1n },
  },
  "syscall-denied": {
    evidence: ["sigsys", "signaled"],
    argv: ["python3", "-c", "import os\nos.getppid()"],
    exec: { filter: killing("getppid") },
    record: { seccompEnforced: 1 },
  },
  signaled: { evidence: ["signaled"], argv: shell("kill -SEGV $$"), record: { signal: 11, exitCode: -1 } },
  "exit-nonzero": { evidence: ["nonZero"], argv: shell("exit 3"), record: { exitCode: 3 } },
  ok: { evidence: [], argv: ["true"], record: { exitCode: 0 } },
};

async function recordOf({ argv, exec, sandbox = sandboxPlan, cancel = false }: Case): Promise<RunRecord> {
  if (!cancel) {
    const { record } = await launch(sandbox(), execPlan(argv, exec));
    if (record === null) throw new Error("no record");
    return record;
  }
  const launched = launchBytes(encodePlan(sandbox(), execPlan(argv, exec)));
  await new Promise((resolve) => launched.child.stdout?.once("data", resolve));
  launched.control.write("C");
  const { record } = await within(launched.result, { what: "the end", timeoutMs: 5000 });
  launched.control.destroy();
  if (record === null) throw new Error("no record");
  return record;
}

describe("a verdict and its evidence", () => {
  for (const [verdict, one] of Object.entries(cases)) {
    const can = needs("userns", ...(verdict === "process-limit" ? (["cgroup1"] as const) : []), "python3");
    can(verdict, async () => {
      const record = await recordOf(one);
      expect([verdictTable[record.verdict]?.name, evidenceOf(record)]).toEqual([verdict, one.evidence]);
      expect(verdictBy(record)).toBe(verdict);
      if (one.record !== undefined) expect(record).toMatchObject(one.record);
    });
  }

  test("every verdict has a case, and every evidence is in one or is told of elsewhere", () => {
    expect(Object.keys(cases).sort()).toEqual(rules.map(({ name }) => name).sort());
    // A scratch folder on disk needs a companion: test/integration/scratch-disk.test.ts.
    const shown = [...Object.values(cases).flatMap(({ evidence }) => evidence), "diskKill"];
    expect(evidenceNames.filter((name) => !shown.includes(name))).toEqual([]);
  });
});

describe("evidence that a program copes with", () => {
  needs("userns")("a full scratch space and exit code 0 is ok; a signal after it is disk-limit, not signaled", async () => {
    const full = (end: string) =>
      launch(sandboxPlan({ scratchBytes: 1n << 20n }), execPlan(shell(`dd if=/dev/zero of=/work/x bs=64K; ${end}`)));
    const [copes, dies] = [await full("exit 0"), await full("kill -9 $$")];
    expect([copes.verdict, copes.record && evidenceOf(copes.record)]).toEqual(["ok", ["scratchFull"]]);
    expect([dies.verdict, dies.record && evidenceOf(dies.record)]).toEqual(["disk-limit", ["scratchFull", "signaled"]]);
  });

  needs("userns")("SIGSYS that a program sends itself proves nothing where no filter kills", async () => {
    const { verdict, record } = await launch(sandboxPlan(), execPlan(shell("kill -SYS $$")));
    expect([verdict, record && evidenceOf(record)]).toEqual(["signaled", ["signaled"]]);
  });

  needs("userns")("SIGKILL that a program sends itself is no limit", async () => {
    const exec = { cpuMs: 10_000n, memoryBytes: 1n << 30n, mechanisms: by(["cpuTime", "perf"], ["memory", "supervisor"]) };
    const { verdict, record } = await launch(sandboxPlan(), execPlan(shell("kill -9 $$"), exec));
    expect([verdict, record && evidenceOf(record)]).toEqual(["signaled", ["signaled"]]);
  });
});
