/** Sandboxes made ahead of their use: a template first, what to run later. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { compileFilter } from "../../policy/seccomp/index.ts";
import { encodeExec } from "../../policy/wire/index.ts";
import type { ExecPlan, SandboxPlan } from "../../policy/wire/wire.gen.ts";
import { needs } from "../helpers/abilities.ts";
import { within } from "../helpers/deadline.ts";
import { encodePlan, execPlan, type Launched, type LaunchResult, launch, launchBytes, sandboxPlan } from "../helpers/launcher.ts";

const ready = needs("userns");
let dir: string;
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), "belljar-park-"));
});
afterEach(() => rmSync(dir, { recursive: true, force: true }));

const shell = (script: string, more: Partial<ExecPlan> = {}): ExecPlan => execPlan(["/bin/sh", "-c", script], more);
const template = (more: Partial<ExecPlan> = {}): ExecPlan => shell("echo the template ran", { parked: true, ...more });

async function park(exec: ExecPlan = template(), sandbox: SandboxPlan = sandboxPlan()): Promise<Launched> {
  const launched = launchBytes(encodePlan(sandbox, exec));
  await within(Promise.race([launched.parked, launched.result]), { what: "the parked task", timeoutMs: 20_000 });
  return launched;
}

async function finish({ control, result }: Launched): Promise<LaunchResult> {
  const ended = await within(result, { what: "the launcher's end", timeoutMs: 20_000 });
  control.destroy();
  return ended;
}

/** Runs `exec` in a sandbox that was parked with `from`. */
async function runParked(exec: ExecPlan, from: ExecPlan = template()): Promise<LaunchResult> {
  const launched = await park(from);
  launched.control.write(encodeExec(exec));
  return finish(launched);
}

/** The program task: the one grandchild of the launcher. */
function taskOf(launcher: number): number {
  const childOf = (pid: number): number => Number(readFileSync(`/proc/${pid}/task/${pid}/children`, "utf8").trim().split(" ")[0]);
  return childOf(childOf(launcher));
}

describe("a parked sandbox", () => {
  ready("runs what it is told to, once, as a run from scratch would", async () => {
    const exec = shell('echo "$0 $HOME $GREETING $*"; pwd; exit 7', { env: ["HOME=/work", "GREETING=hello"], wallMs: 9000n });
    const [parked, cold] = [await runParked(exec), await launch(sandboxPlan(), exec)];
    expect(parked).toMatchObject({ code: 0, stdout: "/bin/sh /work hello \n/work\n", verdict: "exit-nonzero" });
    expect(parked.stdout).toBe(cold.stdout);
    const { verdict, status, evidence, enforced, seccomp, landlock } = (parked.record ?? {}) as unknown as Record<string, unknown>;
    const other = (cold.record ?? {}) as unknown as Record<string, unknown>;
    expect([verdict, status, evidence, enforced, seccomp, landlock]).toEqual(
      ["verdict", "status", "evidence", "enforced", "seccomp", "landlock"].map((name) => other[name]),
    );
  });
  ready("takes long arguments and many variables", async () => {
    const long = "x".repeat(120_000);
    const env = Array.from({ length: 500 }, (_, i) => `V${i}=${"y".repeat(200)}`);
    const { stdout } = await runParked(execPlan(["/bin/sh", "-c", `echo \${#1} \${#V499} $(env | grep -c ^V)`, "sh", long], { env }));
    expect(stdout).toBe("120000 200 500\n");
  });
  ready("has the limits of the run, not of the template", async () => {
    const limited = shell("ulimit -n; ulimit -Hn; head -c 5000 /dev/zero", {
      rlimits: [{ resource: 7, soft: 40n, hard: 50n }],
      outputBytes: 1000n,
    });
    const { stdout, verdict } = await runParked(limited, template({ rlimits: [{ resource: 7, soft: 64n, hard: 64n }] }));
    expect(stdout.slice(0, 6)).toBe("40\n50\n");
    expect(stdout.length).toBe(1000);
    expect(verdict).toBe("output-limit");
    const slow = await runParked(shell("sleep 60", { wallMs: 300n }));
    expect(slow.verdict).toBe("wall-time-limit");
  });
  ready("copies the run's files in and out", async () => {
    writeFileSync(join(dir, "in"), "from the host");
    const { outputs, verdict } = await runParked(
      shell("tr a-z A-Z <given >made", {
        filesIn: [{ hostPath: join(dir, "in"), target: "given", mode: 0o644 }],
        filesOut: [{ source: "made", hostPath: join(dir, "out"), maxBytes: 1000n }],
      }),
    );
    expect(verdict).toBe("ok");
    expect(outputs).toHaveLength(1);
    expect(readFileSync(join(dir, "out"), "utf8")).toBe("FROM THE HOST");
  });
  ready("waits with its filter on", async () => {
    const { bytes } = compileFilter({
      arch: process.arch === "arm64" ? "aarch64" : "x86_64",
      seccomp: { ruleSets: ["default"], defaultAction: null, audit: false, file: null, syscalls: [] },
      capabilities: [],
      userNamespaces: "deny",
    });
    const launched = await park(template({ filter: bytes }));
    const status = readFileSync(`/proc/${taskOf(launched.child.pid ?? -1)}/status`, "utf8");
    expect(/^Seccomp:\s*(\d)/m.exec(status)?.[1]).toBe("2");
    expect(/^NoNewPrivs:\s*(\d)/m.exec(status)?.[1]).toBe("1");
    expect(/^CapEff:\s*(\S+)/m.exec(status)?.[1]).toBe("0000000000000000");
    launched.control.write(encodeExec(shell("echo ran", { filter: bytes })));
    expect(await finish(launched)).toMatchObject({ stdout: "ran\n", verdict: "ok" });
  });
  ready("that nobody uses ends with its caller, and nothing ran", async () => {
    const launched = await park();
    launched.control.end();
    const { stdout, code } = await finish(launched);
    expect([stdout, code]).toEqual(["", 0]);
  });
  ready("whose task is killed says so, and runs nothing", async () => {
    const launched = await park();
    process.kill(taskOf(launched.child.pid ?? -1), "SIGKILL");
    const { verdict, stdout } = await finish(launched);
    expect([verdict, stdout]).toEqual(["sandbox-error", ""]);
  });
});

describe("a parked sandbox is not handed to another task", () => {
  test.each<[string, Partial<ExecPlan>]>([
    ["user", { uid: 1001 }],
    ["group", { gid: 1001 }],
    ["groups", { groups: [5] }],
    ["capabilities", { capabilities: 1n }],
    ["umask", { umask: 0 }],
    ["working directory", { cwd: "/tmp" }],
    ["stdin", { stdin: "pump" }],
    ["terminal", { stdin: "terminal", stdout: "terminal", stderr: "terminal" }],
    ["filter", { filter: new Uint8Array([6, 0, 0, 0, 0, 0, 255, 127]) }],
    ["CPUs", { cpus: [0] }],
    ["mechanisms", { mechanisms: new Array(15).fill(0) }],
    ["another template", { parked: true }],
  ])("with another %s", async (_what, more) => {
    const { verdict, record, stdout } = await runParked(shell("echo ran", more));
    expect([verdict, record?.errorStep, stdout]).toEqual(["sandbox-error", "checkPlan", ""]);
  });
  ready("nor to bytes that are no plan", async () => {
    const launched = await park();
    launched.control.write(Buffer.alloc(64, 7));
    expect((await finish(launched)).record?.errorStep).toBe("checkPlan");
  });
  ready("and a template itself names neither files nor a terminal", async () => {
    for (const more of [
      { stdin: "terminal", stdout: "terminal", stderr: "terminal" },
      { filesIn: [{ hostPath: "/etc/hostname", target: "a", mode: 0 }] },
      { filesOut: [{ hostPath: "/tmp/a", source: "a", maxBytes: 1n }] },
    ] as const) {
      const launched = launchBytes(encodePlan(sandboxPlan(), template(more)));
      expect((await finish(launched)).record?.errorStep).toBe("checkPlan");
    }
  });
});
