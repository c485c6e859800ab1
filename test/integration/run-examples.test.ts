// The runs that the documentation shows, on the host's own /usr.
import { chmodSync, mkdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect } from "vitest";
import { needs } from "../helpers/abilities.ts";
import { belljar, belljarRun } from "../helpers/belljar.ts";
import { tempDir } from "../helpers/places.ts";

/** Writes files into a fresh folder; a name with a mode after a colon gets it. */
function folder(files: Readonly<Record<string, string>>): string {
  const dir = tempDir("files");
  for (const [name, content] of Object.entries(files)) {
    const [path = "", mode] = name.split(":");
    writeFileSync(join(dir, path), content);
    if (mode !== undefined) chmodSync(join(dir, path), Number.parseInt(mode, 8));
  }
  return dir;
}

needs("userns", "python3")("python3 -c", async () => {
  const result = await belljarRun(["--", "python3", "-c", "print(6 * 7)"]);
  expect(result).toMatchObject({ code: 0, stdout: "42\n", stderr: "" });
  expect(result.report).toMatchObject({ verdict: "ok", exitCode: 0, signal: null, error: null });
});

needs("userns", "python3")("a script by its #! line, with arguments", async () => {
  const cwd = folder({ "script.py:755": "#!/usr/bin/python3\nimport sys, os\nprint(sys.argv[1:], os.getcwd(), __file__)\n" });
  const result = await belljarRun(["./script.py", "first", "--second", "a b"], { cwd });
  expect(result.stdout).toBe("['first', '--second', 'a b'] /work /work/script.py\n");
});

needs("userns", "python3")("a script by its extension, not executable", async () => {
  const cwd = folder({ "plain.py:644": "print('by extension')\n" });
  expect((await belljarRun(["./plain.py"], { cwd })).stdout).toBe("by extension\n");
  expect((await belljarRun(["--script", "plain.py", "x"], { cwd })).stdout).toBe("by extension\n");
});

needs("userns")("a shell script; only that file of its folder is there, and read-only", async () => {
  const cwd = folder({
    "run.sh:755": "#!/bin/sh\nls -A /work\necho more >> /work/run.sh 2>/dev/null || echo refused\n",
    "beside.txt": "secret",
  });
  const result = await belljarRun(["./run.sh"], { cwd });
  expect(result.stdout).toBe("run.sh\nrefused\n");
  expect(readFileSync(join(cwd, "run.sh"), "utf8")).toMatch(/refused\n$/);
});

needs("userns", "node")("a Node script, and Node with worker threads and fetch", async () => {
  const cwd = folder({
    "main.mjs":
      'import { Worker, isMainThread } from "node:worker_threads";\nif (isMainThread) new Worker(new URL(import.meta.url)).on("exit", (c) => console.log("worker", c, typeof fetch));\n',
  });
  const result = await belljarRun(["./main.mjs"], { cwd });
  expect(result).toMatchObject({ code: 0, stdout: "worker 0 function\n" });
});

needs("userns", "java")("a Java program from its source", async () => {
  const cwd = folder({
    "Main.java":
      'public class Main { public static void main(String[] a) { System.out.println("java " + a[0] + " " + System.getProperty("user.dir")); } }\n',
  });
  const result = await belljarRun(["--in", "Main.java", "--", "java", "Main.java", "argument"], { cwd, deadlineMs: 60_000 });
  expect(result.stderr).toBe("");
  expect(result).toMatchObject({ code: 0, stdout: "java argument /work\n" });
});

needs("userns", "g++")("a C++ program: compiled in one sandbox, judged in another", async () => {
  const cwd = folder({
    "main.cpp": "#include <iostream>\nint main() { long a, b; std::cin >> a >> b; std::cout << a + b << std::endl; }\n",
    "in.txt": "19 23\n",
  });
  const compiled = await belljarRun(["-p", "compile", "--in", "main.cpp", "--out", "a.out", "--", "g++", "-O1", "main.cpp"], {
    cwd,
    deadlineMs: 60_000,
  });
  expect(compiled.stderr).toBe("");
  expect(compiled.report.outputs).toEqual([{ path: "a.out", bytes: expect.any(Number), error: null }]);
  expect(statSync(join(cwd, "a.out")).mode & 0o100, "what was executable stays so").toBe(0o100);
  const judged = await belljarRun(["-p", "judge", "--stdin", "in.txt", "--in", "./a.out", "--", "./a.out"], { cwd });
  expect(judged).toMatchObject({ code: 0, stdout: "42\n" });
  expect(judged.report).toMatchObject({ verdict: "ok", sandbox: { profile: "judge" } });
});

needs("userns", "g++")("a C++ program that does not compile tells why, and gives no output", async () => {
  const cwd = folder({ "main.cpp": "int main() { return undeclared; }\n" });
  const result = await belljarRun(["-p", "compile", "--in", "main.cpp", "--out", "a.out", "--", "g++", "main.cpp"], {
    cwd,
    deadlineMs: 60_000,
  });
  expect(result.code).toBe(1);
  expect(result.stderr).toContain("undeclared");
  expect(result.report).toMatchObject({ verdict: "exit-nonzero", outputs: [{ path: "a.out", bytes: null, error: "no such file" }] });
});

needs("userns")("a pipeline through stdin and stdout", async () => {
  const result = await belljarRun(["--", "tr", "a-z", "A-Z"], { stdin: "through the pipe\n" });
  expect(result.stdout).toBe("THROUGH THE PIPE\n");
  const megabytes = Buffer.alloc(5_000_000, "0123456789abcdef\n");
  const copied = await belljarRun(["--", "cat"], { stdin: megabytes });
  expect(copied.stdoutBytes.equals(megabytes)).toBe(true);
  expect(copied.report.output).toMatchObject({ stdoutBytes: megabytes.length, stderrBytes: 0, truncated: false });
});

needs("userns")("two sandboxes in a pipeline of the shell", async () => {
  const one = `${process.execPath} ${import.meta.dirname}/../../dist/belljar.js run --`;
  const result = await belljar([], { program: ["sh", "-c", `${one} printf 'b\\na\\n' | ${one} sort`] });
  expect(result.stdout).toBe("a\nb\n");
});

needs("userns")("--json: one document with report, stdout and stderr", async () => {
  const result = await belljar(["run", "--json", "--", "sh", "-c", "echo out; echo err >&2; exit 3"]);
  const document = JSON.parse(result.stdout);
  expect(Object.keys(document).sort()).toEqual(["report", "stderr", "stdout"]);
  expect(document).toMatchObject({ stdout: "out\n", stderr: "err\n", report: { schemaVersion: 1, verdict: "exit-nonzero", exitCode: 3 } });
  expect(result.code).toBe(3);
});

needs("userns")("--json: what is no UTF-8 comes as base64", async () => {
  const result = await belljar(["run", "--json", "--", "printf", "\\377\\376x"]);
  const document = JSON.parse(result.stdout);
  expect(Object.keys(document).sort()).toEqual(["report", "stderr", "stdoutBase64"]);
  expect(Buffer.from(document.stdoutBase64, "base64")).toEqual(Buffer.from([0xff, 0xfe, 0x78]));
});

needs("userns")("--report: complete, and equal in kind to that of --json", async () => {
  const cwd = tempDir("report");
  const file = await belljar(["run", "--report", "r.json", "--", "true"], { cwd });
  const document = await belljar(["run", "--json", "--", "true"], { cwd });
  const report = JSON.parse(readFileSync(join(cwd, "r.json"), "utf8"));
  expect(Object.keys(report)).toEqual(Object.keys(document.report ?? {}));
  expect(file.code).toBe(0);
});

needs("userns")("--set overrides any field, the last one wins", async () => {
  const result = await belljarRun([
    "--set",
    "process.hostname=other",
    "--set",
    "limits.wallTime=5s",
    "--set",
    "limits.wallTime=7s",
    "--",
    "uname",
    "-n",
  ]);
  expect(result.stdout).toBe("other\n");
  expect(result.report.limits.wallTime).toBe(7000);
});

needs("userns")("-v: read-only unless :rw, a file or a folder; the report lists what is writable", async () => {
  const dir = folder({ "data.txt": "from the host\n" });
  const rw = tempDir("rw");
  const result = await belljarRun([
    ...["-v", `${dir}:/data`, "-v", `${join(dir, "data.txt")}:/one.txt`, "-v", `${rw}:/out:rw`],
    ...["--", "sh", "-c", "cat /data/data.txt /one.txt; echo written > /out/x; echo no > /data/new"],
  ]);
  expect(result.stdout).toBe("from the host\nfrom the host\n");
  expect(result.code).not.toBe(0);
  expect(readFileSync(join(rw, "x"), "utf8")).toBe("written\n");
  expect(statSync(join(rw, "x")).uid, "the file is the caller's").toBe(process.getuid?.());
  expect(result.report.sandbox.writableVolumes).toEqual([`${rw}:/out`]);
});

needs("userns")("-e: a value, the caller's value, an empty one; -w", async () => {
  const result = await belljarRun(
    [
      "-e",
      "A=1",
      "-e",
      "FROM_CALLER",
      "-e",
      "EMPTY=",
      "-e",
      "ABSENT",
      "-w",
      "/tmp",
      "--",
      "sh",
      "-c",
      // biome-ignore lint/suspicious/noTemplateCurlyInString: the shell's, not ours
      'echo "$A|$FROM_CALLER|${EMPTY-unset}|${ABSENT-unset}"; pwd',
    ],
    {
      env: { FROM_CALLER: "a b" },
    },
  );
  expect(result.stdout).toBe("1|a b||unset\n/tmp\n");
});

needs("userns")("--in and --out: into folders, under other names, with their modes", async () => {
  const cwd = folder({ "tool:755": "#!/bin/sh\ncat sub/input > result; echo more > deep\n", input: "payload\n" });
  const result = await belljarRun(["--in", "tool", "--in", "input:sub/input", "--out", "result:renamed", "--out", "deep", "--", "./tool"], {
    cwd,
  });
  expect(result).toMatchObject({ code: 0, stderr: "" });
  expect(readFileSync(join(cwd, "renamed"), "utf8")).toBe("payload\n");
  expect(readFileSync(join(cwd, "deep"), "utf8")).toBe("more\n");
  expect(statSync(join(cwd, "renamed")).uid).toBe(process.getuid?.());
  expect(result.report.outputs).toEqual([
    { path: "result", bytes: 8, error: null },
    { path: "deep", bytes: 5, error: null },
  ]);
});

needs("userns")("--stdin, --stdout and --stderr as files", async () => {
  const cwd = folder({ in: "line\n" });
  const result = await belljarRun(["--stdin", "in", "--stdout", "out", "--stderr", "err", "-q", "--", "sh", "-c", "cat; echo bad >&2"], {
    cwd,
  });
  expect(result).toMatchObject({ code: 0, stdout: "", stderr: "" });
  expect(readFileSync(join(cwd, "out"), "utf8")).toBe("line\n");
  expect(readFileSync(join(cwd, "err"), "utf8")).toBe("bad\n");
});

needs("userns", "busybox")(
  "--rootfs DIR: a folder of the caller's as the root",
  async () => {
    const dir = tempDir("rootfs");
    for (const name of ["bin", "usr"]) mkdirSync(join(dir, name));
    const busybox = ["/bin/busybox", "/usr/bin/busybox"].find((path) => statSync(path, { throwIfNoEntry: false }));
    if (busybox !== undefined) writeFileSync(join(dir, "bin/busybox"), readFileSync(busybox), { mode: 0o755 });
    const result = await belljarRun(["--rootfs", dir, "--", "/bin/busybox", "ls", "/"]);
    expect(result.stdout.split("\n")).toEqual(expect.arrayContaining(["bin", "dev", "proc", "work"]));
    expect(result.report.sandbox.rootfs).not.toBe("host");
  },
  30_000,
);

needs("userns")("two runs know nothing of each other, and a run finds its folders empty", async () => {
  const first = await belljarRun(["--", "sh", "-c", "echo x > /work/a; echo x > /tmp/a; echo x > /dev/shm/a; ls /work /tmp /dev/shm"]);
  expect(first.stdout).toContain("a");
  const second = await belljarRun(["--", "sh", "-c", "ls -A /work /tmp /dev/shm | grep -v :"]);
  expect(second.stdout.trim()).toBe("");
});

needs("userns")("--verbose tells usage and enforcement on stderr, -q tells nothing", async () => {
  const loud = await belljarRun(["--verbose", "--", "true"]);
  expect(loud.stderr).toMatch(/wall|memory/i);
  const plain = await belljarRun(["--", "false"]);
  expect(plain.stderr.trim().split("\n")).toHaveLength(1);
  expect((await belljarRun(["-q", "--", "false"])).stderr).toBe("");
  expect((await belljarRun(["--", "true"])).stderr).toBe("");
});
