// Profiles learnt from real programs: each runs again under what was learnt, and cannot do what it was not seen to do.
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { describe, expect } from "vitest";
import type { Profile } from "../../policy/profile/types.ts";
import { needs } from "../helpers/abilities.ts";
import { type BelljarOptions, belljar, belljarCommand, belljarRun } from "../helpers/belljar.ts";
import { fixtureProgram } from "../helpers/compile.ts";
import { tempDir } from "../helpers/places.ts";
import { baseLayer, imageHome, runnableImage } from "../helpers/run-image.ts";

interface Learnt {
  readonly path: string;
  readonly profile: Profile;
  readonly stdout: string;
  readonly stderr: string;
}

const readProfile = (path: string) => JSON.parse(readFileSync(path, "utf8")) as Profile;
const rulesOf = (profile: Profile) => profile.seccomp?.syscalls ?? [];
const allowed = (profile: Profile) => rulesOf(profile).flatMap(({ names, action }) => (action === "allow" ? names : []));
const firstCaller = (profile: Profile, name: string) => rulesOf(profile).find(({ names }) => names.includes(name))?.comment;

/** Learns and expects that the second run came to the same end. */
async function learn(
  args: readonly string[],
  { path = join(tempDir("learnt"), "learnt.json"), ...options }: BelljarOptions & { readonly path?: string } = {},
): Promise<Learnt> {
  const result = await belljar(["learn", "-o", path, ...args], { deadlineMs: 60_000, ...options });
  expect(result.code, result.stderr).toBe(0);
  return { path, profile: readProfile(path), stdout: result.stdout, stderr: result.stderr };
}

const verified = "belljar: verified: under it the program came to the same end again\n";

describe("programs run again under what was learnt", () => {
  needs("userns")("a static C program; another call is refused", async () => {
    const program = fixtureProgram("seccomp-try");
    const options = ["-v", `${dirname(program)}:/t`];
    const sysinfo = process.arch === "arm64" ? 179 : 99;
    const { path, profile, stdout, stderr } = await learn([...options, "--", "/t/seccomp-try", "--", `${sysinfo}:8`]);
    expect(stdout).toBe("errno 14\n");
    expect(stderr).toContain(verified);
    expect(firstCaller(profile, "sysinfo")).toBe("first called by child seccomp-try");
    expect(firstCaller(profile, "wait4")).toBe("first called by seccomp-try");
    expect(allowed(profile)).not.toContain("mkdir");
    const getsid = process.arch === "arm64" ? 156 : 124;
    const under = await belljarRun(["-p", path, ...options, "--", "/t/seccomp-try", "--", `${sysinfo}:8`, `${getsid}:0`]);
    expect(under.stdout).toBe("errno 14\nerrno 1\n");
    expect(under.report.denials).toMatchObject([{ syscall: "getsid", count: 1, action: "errno:EPERM" }]);
  });

  needs("userns", "python3")("python3 with threads and subprocesses", async () => {
    const script = [
      "import subprocess, threading, concurrent.futures",
      "with concurrent.futures.ThreadPoolExecutor(4) as pool: print(sum(pool.map(lambda n: n * n, range(100))))",
      "print(subprocess.run(['sh', '-c', 'echo $((6 * 7)); mkdir d'], capture_output=True, text=True).stdout, end='')",
    ].join("\n");
    const { path, profile, stdout, stderr } = await learn(["--", "python3", "-c", script]);
    expect(stdout).toBe("328350\n42\n");
    expect(stderr).toContain(verified);
    expect(firstCaller(profile, "mkdir")).toBe("first called by child mkdir");
    expect(allowed(profile)).not.toContain("socket");
    const other = await belljarRun(["-p", path, "--", "python3", "-c", "import socket; socket.socket()"]);
    expect(other.stderr).toContain("PermissionError");
  });

  needs("userns", "node")("node with a worker and a child", async () => {
    const script =
      "const { Worker } = require('worker_threads'); new Worker('console.log(1)', { eval: true }).on('exit', () => " +
      "require('child_process').execFile('echo', ['2'], (_error, out) => process.stdout.write(out)));";
    const { stdout, stderr } = await learn(["--", "node", "-e", script]);
    expect(stdout).toBe("1\n2\n");
    expect(stderr).toContain(verified);
  });

  needs("userns")("a pipeline of a shell, whose input comes through a pipe", async () => {
    const { path, stdout, stderr } = await learn(["--", "sh", "-c", "sort -n | uniq -c | awk '{ print $2, $1 }' | tail -2"], {
      stdin: "3\n1\n3\n2\n",
    });
    expect(stdout).toBe("2 1\n3 2\n");
    expect(stderr).toContain(verified);
    const again = await belljarRun(["-p", path, "--", "sh", "-c", "sort -n | uniq -c | awk '{ print $2, $1 }' | tail -1"], {
      stdin: "5\n",
    });
    expect(again.stdout).toBe("5 1\n");
  });

  needs("userns", "busybox")("an image, with its own command", async () => {
    const home = imageHome();
    await home.add("t/app:1", runnableImage([baseLayer()], { Cmd: ["/bin/sh", "-c", "ls / | wc -l; touch /tmp/x"] }));
    const path = join(home.folder, "app.json");
    const { stderr } = await home.command(["learn", "-o", path, "-i", "t/app:1"], { report: false });
    expect(stderr).toContain(verified);
    expect(firstCaller(readProfile(path), "getdents64")).toBe("first called by child ls");
    expect((await home.command(["run", "-p", path, "-i", "t/app:1"])).code).toBe(0);
  });
});

describe("what the base forbids", () => {
  const ptrace = "import ctypes, sys; c = ctypes.CDLL(None, use_errno=True); c.ptrace(0, 0, 0, 0); print(ctypes.get_errno())";

  needs("userns", "python3")("stays refused, and is said", async () => {
    const { profile, stdout, stderr } = await learn(["--", "python3", "-c", ptrace]);
    expect(stdout).toBe("1\n");
    expect(allowed(profile)).not.toContain("ptrace");
    expect(stderr).toContain("belljar: refused by the base and not learnt: ptrace (default#ptrace)\n");
  });

  needs("userns", "python3")("is learnt where it is named, with the command that was seen", async () => {
    const { path, profile, stdout } = await learn(["--allow-forbidden", "ptrace", "--", "python3", "-c", ptrace]);
    expect(stdout).toBe("0\n");
    expect(rulesOf(profile).filter(({ names }) => names.includes("ptrace"))).toEqual([
      { names: ["ptrace"], action: "allow", args: [{ index: 0, op: "eq", value: 0 }], comment: "PTRACE_TRACEME: first called by python3" },
    ]);
    const attach = "import ctypes; c = ctypes.CDLL(None, use_errno=True); c.ptrace(16, 1, 0, 0); print(ctypes.get_errno())";
    expect((await belljarRun(["-p", path, "--", "python3", "-c", attach])).stdout).toBe("1\n");
  });

  needs("userns")("in every sandbox cannot be learnt", async () => {
    const dir = tempDir("learnt");
    for (const [name, words] of [
      ["mount", "'--allow-forbidden' 'mount': is refused in every sandbox"],
      ["mont", "'--allow-forbidden' 'mont': no system call of that name is known"],
    ] as const) {
      const { code, stderr } = await belljar(["learn", "-o", join(dir, "p.json"), "--allow-forbidden", name, "--", "true"]);
      expect(code).toBe(125);
      expect(stderr).toContain(words);
    }
    expect(existsSync(join(dir, "p.json"))).toBe(false);
  });
});

describe("several runs", () => {
  needs("userns")("are put together in one profile, and what a person wrote into it stays", async () => {
    const { path, profile } = await learn(["-p", "judge", "--", "sh", "-c", "echo one"]);
    expect(profile.extends).toBe("judge");
    expect((await belljarRun(["-p", path, "--", "sh", "-c", "mkdir two"])).report.verdict).not.toBe("ok");
    const edited = { ...profile, description: "mine", limits: { memory: "64M" } };
    writeFileSync(path, JSON.stringify(edited));
    const merged = await learn(["--merge", "--", "sh", "-c", "mkdir two"], { path });
    expect(merged.profile).toMatchObject({ description: "mine", limits: { memory: "64M" }, extends: "judge" });
    for (const script of ["echo one", "mkdir two"])
      expect((await belljarRun(["-p", path, "--", "sh", "-c", script])).report.verdict, script).toBe("ok");
    expect((await learn(["--merge", "--", "sh", "-c", "echo one"], { path })).profile).toEqual(merged.profile);
  });

  needs("userns")("build on a profile file by its place relative to what is written", async () => {
    const dir = tempDir("learnt");
    mkdirSync(join(dir, "sub"));
    writeFileSync(join(dir, "base.json"), '{"schemaVersion": 1, "extends": "default", "limits": {"memory": "128M"}}');
    const { profile, path } = await learn(["-p", "./base.json", "--", "true"], { cwd: dir, path: join(dir, "sub/p.json") });
    expect(profile.extends).toBe("../base.json");
    expect((await belljarRun(["-p", path, "--", "true"])).report.limits.memory).toBe(128 * 1024 * 1024);
    const itself = await belljar(["learn", "-p", "./base.json", "-o", "base.json", "--", "true"], { cwd: dir });
    expect(itself).toMatchObject({ code: 125 });
    expect(itself.stderr).toContain("is the profile that it would build on");
    const other = await belljar(["learn", "-p", "judge", "--merge", "-o", path, "--", "true"]);
    expect(other).toMatchObject({ code: 125 });
    expect(other.stderr).toContain("builds on '../base.json'");
  });
});

describe("the second run", () => {
  needs("userns", "python3")("is followed by another look where the program called more this time", async () => {
    const rw = join(tempDir("learnt"), "rw");
    mkdirSync(rw);
    // The first run leaves a file behind by which the second one goes elsewhere.
    const script = "import os\nif os.path.exists('/rw/seen'): os.mkfifo('/tmp/f')\nopen('/rw/seen', 'w').close()";
    const { profile, stderr } = await learn(["-v", `${rw}:/rw:rw`, "--", "python3", "-c", script]);
    expect(stderr).toContain("belljar: learning once more: exited with code 1, where it had exited with code 0; refused this time: mknod");
    expect(stderr).toContain(verified);
    expect(allowed(profile).some((name) => name.startsWith("mknod"))).toBe(true);
  });

  needs("userns", "python3")("tells where the program comes to another end", async () => {
    const dir = tempDir("learnt");
    mkdirSync(join(dir, "rw"));
    const script = "import os, sys\nn = len(os.listdir('/rw'))\nopen(f'/rw/{n}', 'w').close()\nsys.exit(n)";
    const path = join(dir, "p.json");
    const result = await belljar(["learn", "-o", path, "-v", `${join(dir, "rw")}:/rw:rw`, "--", "python3", "-c", script]);
    expect(result.code).toBe(1);
    expect(result.stderr).toContain(
      "did not come to the same end: exited with code 1, where it had exited with code 0\nhint: belljar learn --merge",
    );
    expect(existsSync(path)).toBe(true);
  });

  needs("userns")("is left out where it would tell nothing or is not wished for", async () => {
    const silent = await learn(["--no-verify", "--", "true"]);
    expect(silent.stderr).not.toContain("verified");
    const cut = await learn(["--wall-time", "500ms", "--", "sleep", "100"]);
    expect(cut.stderr).toContain("wall-time-limit");
    expect(cut.stderr).toContain("warning: not verified: the program was ended");
    expect(allowed(cut.profile)).toContain("clock_nanosleep");
  });
});

describe("nothing is written", () => {
  needs("userns")("where the program could not be started, or the request is wrong", async () => {
    const dir = tempDir("learnt");
    const path = join(dir, "p.json");
    const cases: readonly (readonly [args: readonly string[], code: number, words: string])[] = [
      [["-o", path, "--", "no-such-program"], 127, "command not found in the sandbox"],
      [["--", "true"], 125, "'-o': is missing"],
      [["-o", path, "--set", "seccomp.audit=false", "--", "true"], 125, "learning writes seccomp itself"],
      [["-o", path, "--set", 'capabilities=["CAP_SYS_CHROOT"]', "--", "true"], 125, "is not in the profile that is written"],
      [["-o", path, "--set", "namespaces.user=allow", "--", "true"], 125, "is not in the profile that is written"],
      [["-o", path, "--set", 'namespaces={"user":"allow"}', "--", "true"], 125, "is not in the profile that is written"],
      [["-o", path, "--merge", "--", "true"], 125, "p.json"],
      [["-o", join(dir, "no/such/p.json"), "--", "true"], 125, "writing the profile"],
      [["-o", path, "--report", "r", "--", "true"], 125, "belljar learn --help"],
    ];
    for (const [args, code, words] of cases) {
      const result = await belljar(["learn", ...args]);
      expect(result.stderr).toContain(words);
      expect(result.code, words).toBe(code);
      expect(existsSync(path)).toBe(false);
    }
  });

  needs("userns")("where another tool listens to the calls already", async () => {
    const path = join(tempDir("learnt"), "p.json");
    const result = await belljar(["learn", "-o", path, "--", "true"], { program: [fixtureProgram("listen-exec"), ...belljarCommand] });
    expect(result).toMatchObject({ code: 125 });
    expect(result.stderr).toContain("learning: system calls cannot be watched here");
    expect(existsSync(path)).toBe(false);
  });
});
