import { mkdirSync, rmdirSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import type { DoctorReport } from "../../cli/commands/doctor.ts";
import { needs } from "../helpers/abilities.ts";
import { type BelljarOptions, belljar, belljarCommand } from "../helpers/belljar.ts";

/** The command within an environment that a shell script makes first. */
const within = (prefix: readonly string[], script: string): readonly string[] => [
  ...prefix,
  "sh",
  "-c",
  `${script}; exec "$@"`,
  "sh",
  ...belljarCommand,
];

async function doctor(options: BelljarOptions = {}): Promise<{ readonly code: number | null; readonly report: DoctorReport }> {
  const { code, stdout, stderr } = await belljar(["doctor", "--json"], options);
  expect(stderr).toBe("");
  return { code, report: JSON.parse(stdout) as DoctorReport };
}
const check = (report: DoctorReport, name: string) => report.checks.find((one) => one.name === name);

describe("doctor", () => {
  needs(
    "userns",
    "netns",
    "proc",
  )("says that a default run works where one does", async () => {
    const { code, report } = await doctor();
    const run = await belljar(["run", "--", "true"]);
    expect({ code, ok: report.ok, run: run.code }).toEqual({ code: 0, ok: true, run: 0 });
    expect(report.account.uid).toBe(process.getuid?.());
    for (const one of report.checks) if (one.status === "missing") expect(`${one.name}: ${one.remedy}`).not.toBe(`${one.name}: `);
  });

  test("is the same for people: grouped, without colour in a pipe, each missing thing with its remedy", async () => {
    const { stdout, code } = await belljar(["doctor"]);
    const { report } = await doctor();
    expect(code).toBe(report.ok ? 0 : 1);
    expect(stdout).toContain("\nIsolation\n");
    expect(stdout).not.toContain("\u001b");
    for (const one of report.checks) {
      expect(stdout).toContain(`${one.name}: ${one.detail}`);
      if (one.remedy !== null) expect(stdout).toContain(one.remedy);
    }
  });

  needs("cgroup1")("finds the v1 subtree of this user, tries it, and leaves nothing in it", async () => {
    const { report } = await doctor();
    expect(report.cgroup?.kind).toBe("cgroup1");
    expect(report.limits).toMatchObject({ memory: "cgroup1", processes: "cgroup1" });
    expect(check(report, "cgroup")).toBeUndefined();
  });

  needs("cgroup2")("finds the delegated v2 subtree", async () => {
    const { report } = await doctor();
    expect(report.cgroup?.kind).toBe("cgroup2");
    expect(report.limits).toMatchObject({ memory: "cgroup2", processes: "cgroup2", cpuTime: "cgroup2" });
    expect(check(report, "cgroup")).toBeUndefined();
  });

  test("a configuration that turns cgroups off is believed", async () => {
    const { report } = await doctor({
      program: within(
        [],
        'mkdir -p "$XDG_CONFIG_HOME/belljar"; echo \'{"cgroup":{"use":"none"}}\' > "$XDG_CONFIG_HOME/belljar/config.json"',
      ),
    });
    expect(report.cgroup).toEqual({ kind: "none", reason: "the configuration turns cgroups off" });
    expect(report.limits).toMatchObject({ memory: "supervisor", processes: "rlimit" });
  });

  test("a wrong configuration is the first thing to tell", async () => {
    const { code, report } = await doctor({
      program: within([], 'mkdir -p "$XDG_CONFIG_HOME/belljar"; echo nonsense > "$XDG_CONFIG_HOME/belljar/config.json"'),
    });
    expect({ code, ok: report.ok }).toEqual({ code: 1, ok: false });
    expect(report.checks).toMatchObject([{ name: "configuration", status: "missing", detail: expect.stringContaining("is no JSON") }]);
  });

  test("a launcher that is not there", async () => {
    const { code, report } = await doctor({ env: { BELLJAR_LAUNCHER: "/nonexistent/belljar-launch" } });
    expect(code).toBe(1);
    expect(report.checks).toMatchObject([{ name: "launcher", status: "missing", detail: "'/nonexistent/belljar-launch' does not exist" }]);
  });
});

/** Fails new user namespaces with EPERM and clone3 with ENOSYS, as the default filter of container engines does. */
const containerFilter = `
import ctypes, os, platform, struct, sys
x86 = platform.machine() == "x86_64"
CLONE, UNSHARE, CLONE3 = (56, 272, 435) if x86 else (220, 97, 435)
def op(code, jt, jf, k): return struct.pack("HBBI", code, jt, jf, k)
LD, JEQ, JSET, RET = 0x20, 0x15, 0x45, 0x06
ERRNO = 0x00050000
program = b"".join([
  op(LD, 0, 0, 0),
  op(JEQ, 4, 0, CLONE3),
  op(JEQ, 1, 0, CLONE),
  op(JEQ, 0, 4, UNSHARE),
  op(LD, 0, 0, 16),
  op(JSET, 1, 2, 0x10000000),
  op(RET, 0, 0, ERRNO | 38),
  op(RET, 0, 0, ERRNO | 1),
  op(RET, 0, 0, 0x7fff0000),
])
libc = ctypes.CDLL(None, use_errno=True)
buffer = ctypes.create_string_buffer(program, len(program))
class Prog(ctypes.Structure): _fields_ = [("len", ctypes.c_ushort), ("filter", ctypes.c_void_p)]
prog = Prog(len(program) // 8, ctypes.addressof(buffer))
assert libc.prctl(38, 1, 0, 0, 0) == 0
assert libc.prctl(22, 2, ctypes.byref(prog), 0, 0) == 0, ctypes.get_errno()
os.execvp(sys.argv[1], sys.argv[1:])
`;

/** Each: how the host is made to refuse, the check of doctor's that must fail, and what both doctor and the run's hint must say. */
const refusals = [
  {
    name: "user.max_user_namespaces is 0",
    program: within(["unshare", "-Ur"], "echo 0 > /proc/sys/user/max_user_namespaces"),
    check: "user namespaces",
    words: "user.max_user_namespaces is 0",
    step: "clone",
  },
  {
    name: "a container's seccomp filter",
    program: ["python3", "-c", containerFilter, ...belljarCommand],
    check: "user namespaces",
    words: "seccomp=unconfined",
    step: "clone",
  },
  {
    name: "a masked file in /proc",
    program: within(["unshare", "-Urm"], "mount --bind /dev/null /proc/version"),
    check: "new procfs",
    words: "systempaths=unconfined",
    step: "filesystem",
  },
  {
    name: "a read-only /proc/sys",
    program: within(["unshare", "-Urm"], "mount --bind /proc/sys /proc/sys; mount -o remount,bind,ro /proc/sys"),
    check: "forbidding nested namespaces",
    words: "'/proc/sys' is mounted read-only",
    step: "forbidUserNamespaces",
  },
] as const;

describe("namespace denials are told apart, by doctor and by the run that meets them", () => {
  for (const refusal of refusals) {
    needs("userns", "python3")(refusal.name, async () => {
      const { code, report } = await doctor({ program: refusal.program });
      expect({ code, ok: report.ok }).toEqual({ code: 1, ok: false });
      const failed = check(report, refusal.check);
      expect(failed).toMatchObject({ status: "missing", required: true });
      expect(`${failed?.detail}; ${failed?.remedy}`).toContain(refusal.words);
      const run = await belljar(["run", "--", "true"], { program: refusal.program });
      expect(run.code).toBe(125);
      expect(run.report).toMatchObject({ verdict: "sandbox-error", exitCode: null, error: { code: "sandbox-failed" } });
      expect(run.report?.error?.message).toContain(`step ${refusal.step} (`);
      expect(run.report?.error?.hint).toContain(refusal.words);
      expect(run.stderr).toMatch(/^hint: /m);
    });
  }
});

describe("gc", () => {
  test("removes the folder of a dead run, and neither a live one's nor a stranger's file", async () => {
    const script =
      'd="$XDG_RUNTIME_DIR/belljar"; mkdir -m 700 "$d" "$d/run-4194305-1-abcdef"; touch "$d/run-4194305-1-abcdef/x" "$d/mine"; s=$(cut -d" " -f22 /proc/$$/stat); mkdir -m 700 "$d/run-$$-$s-abcdef"';
    const { code, stdout, leftFiles } = await belljar(["gc", "--json"], { program: within([], script), assertClean: false });
    expect(code).toBe(0);
    const { removed } = JSON.parse(stdout) as {
      readonly removed: readonly { readonly kind: string; readonly path: string; readonly error: string | null }[];
    };
    const folders = removed.filter((one) => one.kind === "run-folder");
    expect(folders).toMatchObject([{ path: expect.stringMatching(/\/belljar\/run-4194305-1-abcdef$/), error: null }]);
    expect(leftFiles.map((path) => path.slice(path.lastIndexOf("/") + 1))).toEqual(["mine"]);
  });

  needs("cgroup1")("removes the cgroup of a dead run, and not a live one's", async () => {
    const parent = join("/sys/fs/cgroup/memory", `belljar-${process.getuid?.()}`);
    const dead = join(parent, "belljar-run-4194305-gc");
    const live = join(parent, `belljar-run-${process.pid}-gc`);
    for (const path of [dead, join(dead, "exec-1"), live]) mkdirSync(path);
    try {
      const { stdout } = await belljar(["gc"]);
      expect(stdout).toContain(`removed cgroup ${dead} (process 4194305 is gone)\n`);
      expect(stdout).not.toContain(live);
      expect(() => mkdirSync(dead)).not.toThrow();
      rmdirSync(dead);
    } finally {
      rmdirSync(live);
    }
  });

  test("says so when nothing was left", async () => {
    const { code, stdout } = await belljar(["gc", "--json"]);
    expect(code).toBe(0);
    expect(JSON.parse(stdout)).toMatchObject({ schemaVersion: 1 });
  });
});
