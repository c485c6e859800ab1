/** The compiled filters in a real kernel. */
import { spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { Arch } from "../../policy/compile/types.ts";
import { compileBaseFilter, compileFilter, type FilterInput, simulateFilters, syscallNumbers } from "../../policy/seccomp/index.ts";
import { needs } from "../helpers/abilities.ts";
import { fixtureProgram } from "../helpers/compile.ts";

const arch: Arch = process.arch === "arm64" ? "aarch64" : "x86_64";
const numbers = syscallNumbers(arch);
const nr = (name: string): number => numbers[name] ?? -1;

let dir: string;
let program: string;
beforeAll(() => {
  dir = mkdtempSync(join(tmpdir(), "belljar-seccomp-"));
  program = fixtureProgram("seccomp-try", { flags: ["-static", "-no-pie"] });
});
afterAll(() => rmSync(dir, { recursive: true, force: true }));

type Rules = Partial<FilterInput["seccomp"]>;

function profileFilter(seccomp: Rules, userNamespaces: "deny" | "allow" = "deny"): Uint8Array {
  const plain = { ruleSets: [], defaultAction: null, audit: false, file: null, syscalls: [] };
  return compileFilter({ arch, capabilities: [], userNamespaces, seccomp: { ...plain, ...seccomp } }).bytes;
}

const base = compileBaseFilter({ arch, userNamespaces: "deny" }).bytes;
let written = 0;

function run(filters: readonly Uint8Array[], args: readonly string[], input = "") {
  const paths = filters.map((bytes) => {
    const path = join(dir, `filter-${written++}`);
    writeFileSync(path, bytes);
    return path;
  });
  const result = spawnSync(program, [...paths, ...args], {
    encoding: "utf8",
    timeout: 50_000,
    killSignal: "SIGKILL",
    input,
    env: { PATH: "/usr/bin:/bin" },
  });
  if (result.error) throw result.error;
  return result;
}

function tryCalls(filters: readonly Uint8Array[], ...calls: readonly string[]): readonly string[] {
  const { stdout, stderr, status } = run(filters, ["--", ...calls]);
  expect({ stderr, status }).toEqual({ stderr: "", status: 0 });
  return stdout.trim().split("\n");
}

describe("the base filter", () => {
  test("refuses what no profile may allow, and nothing else", () => {
    const calls = [
      [`${nr("clone3")}:0:0`, "errno 38", "errno 22"],
      [`${nr("unshare")}:0x10000000`, "errno 1", "ok"],
      [`${nr("clone")}:0x10000011`, "errno 1", "ok"],
      [`${nr("setns")}:-1:0`, "errno 1", "errno 9"],
      [`${nr("ioctl")}:-1:0x5412`, "errno 1", "errno 9"],
      [`${nr("ioctl")}:-1:0x100005412`, "errno 1", "errno 9"],
      [`${nr("ioctl")}:-1:0xffffffff0000541c`, "errno 1", "errno 9"],
      [`${nr("ioctl")}:-1:0x5413`, "errno 9", "errno 9"],
      [`${nr("prlimit64")}:0xffffffff00000001:0:0:1`, "errno 1", undefined],
      [`${nr("prlimit64")}:0:0:0:1`, "errno 14", "errno 14"],
      [`${nr("unshare")}:0x400`, "ok", "ok"],
    ] as const;
    expect(tryCalls([base], ...calls.map(([call]) => call))).toEqual(calls.map(([, denied]) => denied));
    // The control: without the filter the same calls give what the kernel thinks of them.
    const free = tryCalls([], ...calls.map(([call]) => call));
    for (const [i, [call, , allowed]] of calls.entries()) if (allowed !== undefined) expect(free[i], call).toBe(allowed);
  });

  needs("i386")("refuses i386", () => {
    const target = (name: string): string => join(dir, name);
    expect(tryCalls([], `int80-mkdir:${target("free")}`)).toEqual(["ok"]);
    expect(existsSync(target("free"))).toBe(true);
    expect(tryCalls([base], `int80-mkdir:${target("a")}`)).toEqual(["errno 38"]);
    expect(existsSync(target("a"))).toBe(false);
  });

  needs("x86_64")("refuses x32", () => {
    const path = join(dir, "x32");
    expect(tryCalls([base], `x32-mkdir:${path}`)).toEqual(["errno 38"]);
    expect(existsSync(path)).toBe(false);
  });
});

/**
 * uretprobe and uprobe of x86_64: newer kernels run no filter for them (seen on 6.18; kernel/seccomp.c), because only their own
 * trampolines may call them; from elsewhere they fail with SIGILL and ENXIO.
 */
const neverFiltered: readonly number[] = arch === "x86_64" ? [335, 336] : [];

/** Everything that the simulator says is refused is safe to try. */
function refusals(filters: readonly Uint8Array[]): readonly { readonly call: string; readonly expected: string }[] {
  return Array.from({ length: 600 }, (_, number) => number).flatMap((number) => {
    const { action, data } = simulateFilters(filters, { arch, nr: number });
    return action === "errno" && !neverFiltered.includes(number) ? [{ call: `${number}`, expected: `errno ${data}` }] : [];
  });
}

test.each(["default", "strict", "none"])("%s refuses in the kernel what it refuses in the simulator, with the same errno", (ruleSet) => {
  const filters = [base, profileFilter({ ruleSets: [ruleSet] })];
  const expected = refusals(filters);
  expect(expected.length).toBeGreaterThan(ruleSet === "none" ? 1 : 150);
  expect(tryCalls(filters, ...expected.map(({ call }) => call))).toEqual(expected.map(({ expected: errno }) => errno));
});

test("default knows the width of arguments", () => {
  const filters = [base, profileFilter({ ruleSets: ["default"] })];
  const socket = (domain: string, protocol = "0"): string => `${nr("socket")}:${domain}:3:${protocol}`;
  const calls = [socket("0x26"), socket("0x100000026"), socket("16", "9"), socket("0x500000010"), socket("0xffffffff00000001"), "600"];
  expect(tryCalls(filters, ...calls)).toEqual(["errno 97", "errno 97", "errno 93", "ok", "ok", "errno 38"]);
});

test("calls whose prototype says long, though the kernel reads an int, are compared as it reads them", () => {
  const junk = "0x1000000";
  const calls = ["readv", "writev", "preadv", "pwritev", "preadv2", "pwritev2"].map((name) => `${nr(name)}:${junk}63:0:0`);
  const seize = `${nr("ptrace")}:0x4206:${junk}01:0:0`;
  const rule = (name: string, index: 0 | 1, value: number) =>
    ({ names: [name], action: "errno:EXDEV", args: [{ index, op: "eq", value }], comment: null, origin: name }) as const;
  const rules = ["readv", "writev", "preadv", "pwritev", "preadv2", "pwritev2"].map((name) => rule(name, 0, 0x63));
  const filter = profileFilter({ ruleSets: ["none"], syscalls: [...rules, rule("ptrace", 1, 1)] });
  expect(tryCalls([filter], ...calls, seize)).toEqual([...calls, seize].map(() => "errno 18"));
  // The control: descriptor 0x63 is closed, 1 is not, whatever stands above 32 bits; and process 1 is somebody else's, not a process that does not exist.
  expect(tryCalls([], ...calls)).toEqual(calls.map(() => "errno 9"));
  expect(tryCalls([], `${nr("writev")}:${junk}01:0:0`, seize)).toEqual(["ok", "errno 1"]);
});

test("kill kills the process, trap sends SIGSYS, log lets pass", () => {
  const rule = (name: string, action: string) => ({ names: [name], action, args: [], comment: null, origin: name });
  const filter = profileFilter({ ruleSets: ["none"], syscalls: [rule("getppid", "kill"), rule("getpgid", "trap"), rule("getuid", "log")] });
  expect(tryCalls([filter], `${nr("getppid")}`, `${nr("getpgid")}`, `${nr("getuid")}`)).toEqual(["signal 31", "signal 31", "ok"]);
});

const pythonScript = `
import sys, threading, subprocess, tempfile, asyncio, shutil, os, json, heapq
t = threading.Thread(target=lambda: print("thread", flush=True)); t.start(); t.join()
print(subprocess.run(["/bin/echo", "child"], capture_output=True, text=True).stdout.strip())
with tempfile.TemporaryDirectory() as d:
    open(d + "/a", "w").write("x"); shutil.copy2(d + "/a", d + "/b"); os.chmod(d + "/b", 0o700)
asyncio.run(asyncio.sleep(0.001))
print(sum(map(int, sys.stdin.read().split())))
`;
const nodeScript = `
const { Worker } = require("node:worker_threads"), { execFileSync } = require("node:child_process"), fs = require("node:fs");
process.stdout.write(execFileSync("/bin/echo", ["child"]));
const sum = fs.readFileSync(0, "utf8").split(/\\s+/).reduce((a, b) => a + Number(b), 0);
new Worker("require('node:worker_threads').parentPort.postMessage(1)", { eval: true }).once("message", () => console.log(sum));
`;

describe("default lets programs work", () => {
  const filters = (): readonly Uint8Array[] => [base, profileFilter({ ruleSets: ["default"] })];
  const works = (command: readonly string[], expected: string): void => {
    const { stdout, stderr, status } = run(filters(), ["exec", ...command], "1 2\n3");
    expect({ stderr, status, stdout }).toEqual({ stderr: "", status: 0, stdout: expected });
  };
  needs("python3")("Python with threads, children, files and asyncio", () =>
    works(["/usr/bin/python3", "-c", pythonScript], "thread\nchild\n6\n"),
  );
  needs("node")("Node with workers and children", () => works([process.execPath, "-e", nodeScript], "child\n6\n"));
  test("a shell pipeline", () => works(["/bin/sh", "-c", "cat | tr -d '\\n' | sort; test -w /dev/null && echo; ls -d /"], "1 23\n\n/\n"));
});

needs("python3")("an allow-list that omits what libc tries first still runs test, chmod, stat and subprocess", () => {
  const omitted = ["faccessat2", "openat2", "fchmodat2", "statx", "close_range", "clone3", "rseq"];
  const names = Object.keys(numbers).filter((name) => !omitted.includes(name) && (numbers[name] ?? 0) < 424);
  const rule = { names, action: "allow", args: [], comment: null, origin: "allow" };
  const filter = profileFilter({ defaultAction: "errno:EPERM", syscalls: [rule] });
  expect(tryCalls([filter], ...omitted.map((name) => `${nr(name)}:0:0:0:0`))).toEqual(omitted.map(() => "errno 38"));
  const script =
    'f=$(mktemp) && test -w "$f" && chmod 700 "$f" && stat -c %a "$f" && rm "$f" && python3 -c \'import subprocess; subprocess.run(["echo", "ok"], close_fds=True)\'';
  const { stdout, stderr, status } = run([filter], ["exec", "/bin/sh", "-c", script]);
  expect({ stdout, stderr, status }).toEqual({ stdout: "700\nok\n", stderr: "", status: 0 });
});
