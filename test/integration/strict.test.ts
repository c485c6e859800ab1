// The profile `strict`: a static program, a Python and a Node script of a judge work, with nothing refused; other kinds of programs do not.
import { spawnSync } from "node:child_process";
import { writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { describe, expect } from "vitest";
import { findRuleSet } from "../../policy/seccomp/rule-sets.ts";
import { syscallNumbers } from "../../policy/seccomp/syscalls.ts";
import { needs } from "../helpers/abilities.ts";
import { attackInSandbox } from "../helpers/attack.ts";
import { type BelljarOptions, belljarRun } from "../helpers/belljar.ts";
import { fixtureProgram } from "../helpers/compile.ts";
import { tempDir } from "../helpers/places.ts";

const strict = (args: readonly string[], options: BelljarOptions = {}) =>
  belljarRun(["-p", "strict", "--cpu-time", "20s", "--wall-time", "60s", ...args], { deadlineMs: 90_000, ...options });

/** Runs a script that must end well with nothing refused; returns the last line that it printed. */
async function works(file: string, text: string, stdin = ""): Promise<string> {
  const cwd = tempDir("strict");
  writeFileSync(join(cwd, file), text);
  const { report, stdout, stderr } = await strict([`./${file}`], { cwd, stdin });
  expect({ stderr, verdict: report.verdict, denials: report.denials }).toEqual({ stderr: "", verdict: "ok", denials: [] });
  return stdout.trimEnd().split("\n").at(-1) ?? "";
}

const numbers = Array.from({ length: 20_000 }, (_, i) => `${20_000 - i}`).join("\n");

describe("a submission works", () => {
  needs("userns")("static C: input, sorting, recursion, threads, a file, much output", async () => {
    const program = fixtureProgram("submission");
    const { report, stdout, stderr } = await strict(["-v", `${dirname(program)}:/t`, "--", "/t/submission"], { stdin: numbers });
    expect({ stderr, verdict: report.verdict, denials: report.denials }).toEqual({ stderr: "", verdict: "ok", denials: [] });
    expect(stdout.endsWith("299999\n20000 200010000 1 100000 kept 3000\n")).toBe(true);
  });

  needs("userns", "python3")("Python: input at once, much output", async () => {
    const script =
      "import sys\nd = list(map(int, sys.stdin.read().split()))\nsys.stdout.write('x' * 5_000_000 + '\\n')\nprint(len(d), sum(sorted(d)))\n";
    expect(await works("a.py", script, numbers)).toBe("20000 200010000");
  });

  needs("userns", "python3")("Python: line by line, deep recursion in a thread, the usual modules", async () => {
    const script = `
import sys, threading, math, heapq, collections, itertools, functools, re, random, json, time, decimal, fractions, bisect, string, datetime, os, tempfile
sys.setrecursionlimit(1 << 20); threading.stack_size(64 << 20)
def deep(n): return 0 if n == 0 else 1 + deep(n - 1)
def main():
    count = sum(1 for _ in sys.stdin)
    with tempfile.TemporaryDirectory() as d:
        with open(d + "/f", "w+") as f: f.write("kept"); f.seek(0); kept = f.read()
        os.rename(d + "/f", d + "/g"); names = os.listdir(d)
    time.sleep(0.001); random.random(); datetime.datetime.now()
    print(count, deep(20000), kept, names)
t = threading.Thread(target=main); t.start(); t.join()
`;
    expect(await works("b.py", script, `${numbers}\n`)).toBe("20000 20000 kept ['g']");
  });

  needs("userns", "python3")("Python: asyncio, a pool of threads, signals of its own", async () => {
    const script = `
import asyncio, concurrent.futures, signal, resource, sys
async def main(): return await asyncio.gather(*[asyncio.sleep(0.001, i) for i in range(5)])
with concurrent.futures.ThreadPoolExecutor(4) as pool: total = sum(pool.map(abs, range(-100, 0)))
heard = []
signal.signal(signal.SIGALRM, lambda *_: heard.append(1)); signal.setitimer(signal.ITIMER_REAL, 0.001); signal.pause()
signal.signal(signal.SIGUSR1, lambda *_: heard.append(2)); signal.raise_signal(signal.SIGUSR1)
print(asyncio.run(main()), total, heard, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss > 0)
`;
    expect(await works("c.py", script)).toBe("[0, 1, 2, 3, 4] 5050 [1, 2] True");
  });

  needs("userns", "node")("Node: input at once, much output", async () => {
    const script = `const n = require("fs").readFileSync(0, "utf8").split("\\n").map(Number);
process.stdout.write("y".repeat(5e6) + "\\n"); console.log(n.length, n.reduce((a, b) => a + b));`;
    expect(await works("a.js", script, numbers)).toBe("20000 200010000");
  });

  needs("userns", "node")("Node: line by line, recursion to the end of the stack, memory, timers, files", async () => {
    const script = `
const fs = require("fs"), rl = require("readline").createInterface({ input: process.stdin });
let n = 0; rl.on("line", () => n++).on("close", async () => {
  let depth = 0; try { (function down() { depth++; down(); })(); } catch {}
  const big = Array.from({ length: 1e6 }, (_, i) => ({ i }));
  await new Promise((resolve) => setTimeout(resolve, 1));
  fs.writeFileSync("/tmp/g", "ke"); fs.appendFileSync("/tmp/g", "pt"); fs.renameSync("/tmp/g", "/tmp/h");
  const text = await fs.promises.readFile("/tmp/h", "utf8"); fs.unlinkSync("/tmp/h");
  require("crypto").randomBytes(8); require("os").cpus(); process.memoryUsage(); process.hrtime.bigint();
  console.log(n, depth > 1000, big.length, text, fs.readdirSync("/tmp"));
});`;
    expect(await works("b.js", script, `${numbers}\n`)).toBe("20000 true 1000000 kept []");
  });

  needs("userns", "node")("Node: a worker, modules, an event loop over stdin", async () => {
    const script = `
import { Worker } from "node:worker_threads"; import { once } from "node:events";
let bytes = 0; for await (const chunk of process.stdin) bytes += chunk.length;
const [answer] = await once(new Worker("require('worker_threads').parentPort.postMessage(6 * 7)", { eval: true }), "message");
console.log(bytes, answer);`;
    expect(await works("c.mjs", script, "12345")).toBe("5 42");
  });
});

describe("other programs do not", () => {
  needs("userns")("a shell that starts something", async () => {
    const { report, stdout } = await strict(["--", "sh", "-c", "ls /; echo $?"]);
    expect(stdout).not.toContain("usr");
    expect(report.denials?.map(({ syscall }) => syscall).every((name) => ["fork", "vfork", "clone"].includes(name))).toBe(true);
    expect(report.denials).not.toEqual([]);
  });

  needs("userns", "python3")("Python with children, sockets, links, modes, other ids", async () => {
    const script = `
import os, socket, subprocess, sys
def tried(name, f, *args):
    try: f(*args); print(name, "worked")
    except OSError as e: print(name, type(e).__name__)
open("/tmp/f", "w").close()
tried("fork", os.fork); tried("spawn", subprocess.run, ["true"]); tried("socket", socket.socket); tried("link", os.link, "/tmp/f", "/tmp/l")
tried("symlink", os.symlink, "/tmp/f", "/tmp/s"); tried("chmod", os.chmod, "/tmp/f", 0o777); tried("mkfifo", os.mkfifo, "/tmp/p"); tried("kill", os.kill, 1, 0)
tried("setsid", os.setsid); tried("nice", os.nice, 1); tried("chroot", os.chroot, "/tmp"); tried("utime", os.utime, "/tmp/f", (1, 1))
`;
    const { stdout } = await strict(["--", "python3", "-c", script]);
    const names = ["fork", "spawn", "socket", "link", "symlink", "chmod", "mkfifo", "kill", "setsid", "nice", "chroot", "utime"];
    expect(stdout).toBe(names.map((name) => `${name} PermissionError\n`).join(""));
  });

  needs("userns", "node")("Node with a child or a server", async () => {
    const child = await strict(["--", "node", "-e", "console.log(require('child_process').spawnSync('true').error.code)"]);
    expect(child.stdout).toBe("EPERM\n");
    const server = await strict(["--", "node", "-e", "require('net').createServer().on('error', (e) => console.log(e.code)).listen(0)"]);
    expect(server.stdout).toBe("EPERM\n");
  });

  needs("userns", "python3")("half a pair of datagram sockets, to a socket of the host's in a volume", async () => {
    const dir = tempDir("strict");
    // Nobody listens any more: what gets through is told so.
    spawnSync("python3", ["-c", "import socket, sys; socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM).bind(sys.argv[1])", join(dir, "s")]);
    const script = `
import errno, socket
a, b = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
a.send(b"kept"); print(b.recv(9).decode())
for address in ("/v/s", "\\0name"):
    try: a.sendto(b"x", address); print("sent")
    except OSError as e: print(errno.errorcode[e.errno])
`;
    const run = ["-v", `${dir}:/v`, "--", "python3", "-c", script];
    expect((await strict(run)).stdout).toBe("kept\nEPERM\nEPERM\n");
    expect((await belljarRun(run)).stdout, "control: not strict").toBe("kept\nECONNREFUSED\nECONNREFUSED\n");
  });

  needs("userns")("every call that the list does not name, by its number", async () => {
    const arch = process.arch === "arm64" ? "aarch64" : "x86_64";
    const named = new Set(findRuleSet("strict").groups.flatMap(({ names }) => names));
    // Those of which newer kernels run no filter (docs/seccomp.md).
    const rest = Object.entries(syscallNumbers(arch)).filter(([name]) => !named.has(name) && !["uretprobe", "uprobe"].includes(name));
    expect(rest.length).toBeGreaterThan(200);
    const args = rest.flatMap(([, number], i) => [...(i === 0 ? [] : [","]), String(number)]);
    const { tries } = await attackInSandbox("behave", ["raw", ...args], { run: ["-p", "strict", "--set", "seccomp.audit=false"] });
    const errnos = tries.all.filter((one) => one.try === "raw").map(({ errno }) => errno);
    const other = rest.map(([name], i) => `${name} ${errnos[i]}`).filter((line) => !/ (1|38)$/.test(line));
    expect(other).toEqual([]);
    expect(errnos).toHaveLength(rest.length);
  });
});
