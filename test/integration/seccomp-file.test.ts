/** `seccomp.file`: profiles in Docker's format, through the command. */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect } from "vitest";
import { needs } from "../helpers/abilities.ts";
import { belljar, belljarRun } from "../helpers/belljar.ts";
import { tempDir } from "../helpers/places.ts";

const allowAll = { defaultAction: "SCMP_ACT_ALLOW" };

function folder(seccomp: object | string, profile: object = {}): { readonly cwd: string; readonly file: string } {
  const cwd = tempDir("seccomp-file");
  writeFileSync(join(cwd, "docker.json"), typeof seccomp === "string" ? seccomp : JSON.stringify(seccomp));
  writeFileSync(join(cwd, "mine.json"), JSON.stringify({ schemaVersion: 1, seccomp: { file: "docker.json" }, ...profile }));
  return { cwd, file: join(cwd, "docker.json") };
}

const chroot = `import ctypes
libc = ctypes.CDLL(None, use_errno=True)
libc.syscall(161, b"/")
print(ctypes.get_errno())`;

needs(
  "userns",
  "python3",
  "x86_64",
)("takes the place of the rule sets, with the capabilities that the program has", async () => {
  const rules = [
    { names: ["chroot"], action: "SCMP_ACT_ALLOW", includes: { caps: ["CAP_SYS_CHROOT"] } },
    { names: ["chroot"], action: "SCMP_ACT_ERRNO", errnoRet: 95, excludes: { caps: ["CAP_SYS_CHROOT"] } },
    { names: ["getpriority"], action: "SCMP_ACT_ERRNO", errno: "EXDEV", includes: { minKernel: "3.0" } },
  ];
  const { cwd, file } = folder({ ...allowAll, syscalls: rules });
  const plain = await belljarRun(["-p", "./mine.json", "--", "python3", "-c", chroot], { cwd });
  expect(plain).toMatchObject({ code: 0, stdout: "95\n" });
  expect(plain.report?.denials).toMatchObject([{ syscall: "chroot", count: 1, action: "errno:EOPNOTSUPP", rule: `${file}#syscalls[1]` }]);
  const grant = ["--set", 'capabilities=["CAP_SYS_CHROOT"]'];
  const capable = await belljarRun(["-p", "./mine.json", ...grant, "--", "python3", "-c", chroot], { cwd });
  expect(capable).toMatchObject({ code: 0, stdout: "0\n" });
  const priority = "import os\ntry: os.getpriority(os.PRIO_PROCESS, 0)\nexcept OSError as e: print(e.errno)";
  expect((await belljarRun(["-p", "./mine.json", "--", "python3", "-c", priority], { cwd })).stdout).toBe("18\n");
});

needs(
  "userns",
  "python3",
  "x86_64",
)("does not weaken what guards the sandbox", async () => {
  const { cwd } = folder(allowAll);
  const script = `import ctypes
libc = ctypes.CDLL(None, use_errno=True)
def call(*args):
    ctypes.set_errno(0); libc.syscall(*map(ctypes.c_ulong, args)); return ctypes.get_errno()
print(call(272, 0x10000000), call(16, 0, 0x100005412), call(165, 0, 0, 0, 0, 0), call(600))`;
  expect((await belljarRun(["-p", "./mine.json", "--", "python3", "-c", script], { cwd })).stdout).toBe("1 1 1 38\n");
});

needs("userns")("a changed file is a changed profile and a changed filter", async () => {
  const reports = [];
  for (const defaultAction of ["SCMP_ACT_ALLOW", "SCMP_ACT_LOG", "SCMP_ACT_ALLOW"]) {
    const { cwd } = folder({ defaultAction });
    reports.push((await belljarRun(["-p", "./mine.json", "--", "true"], { cwd })).report?.sandbox);
  }
  const [one, two, again] = reports;
  expect(one?.profileDigest).not.toBe(two?.profileDigest);
  expect(one?.filterDigest).not.toBe(two?.filterDigest);
  expect(one?.profileDigest).toBe(again?.profileDigest);
});

needs("userns")("a bad file: file and JSON path are named, nothing is started, and profile check says the same", async () => {
  const { cwd, file } = folder('{"defaultAction":"SCMP_ACT_ERRNO","syscalls":[{"names":["read"],"action":"SCMP_ACT_ALLOW","arg":[]}]}');
  const words = `profile '${file}': syscalls[0].arg: is not a known key (did you mean "args"?)`;
  const run = await belljar(["run", "-p", "./mine.json", "--", "true"], { cwd });
  expect(run).toMatchObject({ code: 125, stderr: expect.stringContaining(words) });
  expect(await belljar(["profile", "check", "./mine.json"], { cwd })).toMatchObject({ code: 1, stdout: `./mine.json: ${words}\n` });
  const absent = await belljar(["run", "--set", `seccomp.file=${cwd}/none.json`, "--", "true"], { cwd });
  expect(absent).toMatchObject({ code: 125, stderr: expect.stringContaining(`'${cwd}/none.json': no such file`) });
});

needs(
  "userns",
  "python3",
  "node",
  "containers-seccomp",
)("programs run under podman's own profile", async () => {
  const file = ["--set", "seccomp.file=/usr/share/containers/seccomp.json"];
  const python =
    "import threading, subprocess; t = threading.Thread(target=print, args=(1,)); t.start(); t.join(); print(subprocess.run(['echo', '2'], capture_output=True, text=True).stdout, end='')";
  expect(await belljarRun([...file, "--", "python3", "-c", python])).toMatchObject({ code: 0, stdout: "1\n2\n" });
  const node =
    'new (require("node:worker_threads").Worker)("require(`node:worker_threads`).parentPort.postMessage(3)", { eval: true }).on("message", console.log)';
  expect(await belljarRun([...file, "--", "node", "-e", node])).toMatchObject({ code: 0, stdout: "3\n" });
});

needs("userns")("a hostile file: too large, too deep, keys given twice, no file at all", async () => {
  const cases: readonly (readonly [string, string])[] = [
    [`{"defaultAction":"SCMP_ACT_ERRNO","comment":"${"x".repeat(1024 * 1024)}"}`, "is larger than 1024 KiB"],
    [`{"comment":${"[".repeat(100_000)}`, "nested deeper than 32 levels"],
    ['{"defaultAction":"SCMP_ACT_ERRNO","defaultAction":"SCMP_ACT_ALLOW"}', "defaultAction: is given twice"],
    [
      '{"defaultAction":"SCMP_ACT_ALLOW","syscalls":[{"names":["read"],"action":"SCMP_ACT_ALLOW","args":{"index":0}}]}',
      "syscalls[0].args: must be a list",
    ],
  ];
  for (const [text, words] of cases) {
    const { cwd, file } = folder(text);
    const { code, stderr } = await belljar(["run", "-p", "./mine.json", "--", "true"], { cwd });
    expect(code).toBe(125);
    expect(stderr).toContain(`profile '${file}': `);
    expect(stderr).toContain(words);
  }
  const device = await belljar(["run", "--set", "seccomp.file=/dev/zero", "--", "true"]);
  expect(device).toMatchObject({ code: 125, stderr: expect.stringContaining("'/dev/zero': is no regular file") });
});
