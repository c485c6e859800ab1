import { existsSync, mkdirSync, openSync, readdirSync, readFileSync, readlinkSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { until, within } from "../helpers/deadline.ts";
import { bind, encodePlan, entry, execPlan, launch, launchBytes, sandboxPlan } from "../helpers/launcher.ts";
import { tempDir } from "../helpers/places.ts";

/** undefined while there is none. */
const firstChild = (pid: number | undefined): number | undefined =>
  existsSync(`/proc/${pid}`)
    ? Number(readFileSync(`/proc/${pid}/task/${pid}/children`, "utf8").trim().split(" ")[0]) || undefined
    : undefined;

const shell = (script: string) => ["sh", "-c", script];

describe("a plan is complete or refused", () => {
  test("a malformed plan starts nothing", async () => {
    const volume = tempDir();
    const good = encodePlan(sandboxPlan({}, [bind(volume, "/out", [])]), execPlan(shell("touch /out/started")));
    for (const [what, at] of [
      ["magic", 0],
      ["kind", 8],
      ["version", 12],
      ["reserved", 24],
    ] as const) {
      const bytes = Buffer.from(good);
      bytes[at] = (bytes[at] ?? 0) ^ 0x40;
      const { record, verdict, code } = await launchBytes(bytes).result;
      expect([what, code, verdict, record?.errorStep]).toEqual([what, 0, "sandbox-error", "checkPlan"]);
    }
    expect(readdirSync(volume)).toEqual([]);
  });

  test("half a plan is no plan", async () => {
    const bytes = encodePlan(sandboxPlan(), execPlan(["true"]));
    const launched = launchBytes(bytes.subarray(0, bytes.length - 8));
    launched.control.end();
    const { record, verdict } = await launched.result;
    expect([verdict, record?.errorStep]).toEqual(["sandbox-error", "readPlan"]);
  });

  test.each([
    ["a missing namespace", sandboxPlan({ namespaces: ["user", "mount", "pid", "ipc", "cgroup", "network"] }), execPlan(["true"])],
    ["a network mode that its namespaces contradict", sandboxPlan({ network: "host" }), execPlan(["true"])],
    ["a single id of many", sandboxPlan({ uidMaps: [{ containerId: 0, hostId: 0, size: 10 }] }), execPlan(["true"])],
    ["a filter of half an instruction", sandboxPlan(), execPlan(["true"], { filter: new Uint8Array(12) })],
    [
      "a cgroup write to a hierarchy that is not there",
      sandboxPlan(),
      execPlan(["true"], { cgroupWrites: [{ hierarchy: 0, file: "pids.max", value: "1", limit: "processes", optional: false }] }),
    ],
    ["a terminal on one stream", sandboxPlan(), execPlan(["true"], { stdin: "terminal" })],
  ])("%s is refused", async (_what, sandbox, exec) => {
    const { record, verdict } = await launch(sandbox, exec);
    expect([verdict, record?.errorStep]).toEqual(["sandbox-error", "checkPlan"]);
  });
});

describe("failures say their step, index and errno", () => {
  test("a bind source that is missing", async () => {
    const plan = sandboxPlan({}, [bind("/nowhere/at/all", "/x")]);
    const { record, verdict } = await launch(plan, execPlan(["true"]));
    expect(verdict).toBe("sandbox-error");
    expect(record).toMatchObject({
      errorStage: "init",
      errorStep: "filesystem",
      errorIndex: plan.filesystem.length - 1,
      errorErrno: 2,
      errorText: "/nowhere/at/all",
    });
  });

  test("a mount point inside a read-only tree cannot be made", async () => {
    const { record } = await launch(sandboxPlan({}, [bind("/usr/bin", "/usr/no-such-place/x")]), execPlan(["true"]));
    expect(record).toMatchObject({ errorStep: "filesystem", errorErrno: 30, errorText: "/usr/no-such-place/x" });
  });

  test("a mount point is never made in a writable volume", async () => {
    const volume = tempDir();
    const { record } = await launch(sandboxPlan({}, [bind(volume, "/out", []), bind("/usr/bin", "/out/inner")]), execPlan(["true"]));
    expect(record).toMatchObject({ errorStep: "filesystem", errorErrno: 30 });
    expect(readdirSync(volume)).toEqual([]);
  });

  test("an input file that is missing", async () => {
    const { record } = await launch(
      sandboxPlan(),
      execPlan(["true"], { filesIn: [{ hostPath: "/nowhere/in", target: "in", mode: 0o644 }] }),
    );
    expect(record).toMatchObject({ errorStage: "parent", errorStep: "openFiles", errorErrno: 2, errorText: "/nowhere/in" });
  });

  test("why a program did not start is found out before its sandbox goes, many times", async () => {
    const script = join(tempDir("launcher"), "x");
    writeFileSync(script, "#!/bin/sh\r\necho\r\n", { mode: 0o755 });
    const exec = execPlan(["/work/x"], { filesIn: [{ hostPath: script, target: "x", mode: 0o755 }] });
    for (let round = 0; round < 15; round++) {
      const results = await Promise.all(Array.from({ length: 8 }, () => launch(sandboxPlan(), exec)));
      expect(results.map(({ record }) => record?.startFailure)).toEqual(results.map(() => "crlfShebang"));
    }
  });

  test("a working directory that is missing is the program's failure to start", async () => {
    const { record, verdict } = await launch(sandboxPlan(), execPlan(["true"], { cwd: "/nope" }));
    expect([verdict, record?.startFailure, record?.errorText]).toEqual(["start-failed", "workdirMissing", "/nope"]);
    expect(record?.wallNs).toBe(0xffffffffffffffffn);
  });
});

describe("the file system", () => {
  test("masks and read-only places hold, links among them included", async () => {
    const volume = tempDir();
    mkdirSync(join(volume, "secret"));
    writeFileSync(join(volume, "secret/key"), "canary");
    writeFileSync(join(volume, "file"), "canary");
    mkdirSync(join(volume, "keep"));
    symlinkSync("secret", join(volume, "link"));
    const entries = [
      bind(volume, "/v", []),
      entry("mask", "/v/link"),
      entry("mask", "/v/file"),
      entry("mask", "/v/absent"),
      entry("readOnly", "/v/keep"),
    ];
    const { stdout, stderr } = await launch(
      sandboxPlan({}, entries),
      execPlan(shell("ls -A /v/secret; cat /v/file; touch /v/secret/x /v/keep/x; echo x > /v/file; touch /v/free")),
    );
    expect(stdout).toBe("");
    expect(stderr.match(/Read-only file system/g)).toHaveLength(3);
    expect(readdirSync(volume).sort()).toEqual(["file", "free", "keep", "link", "secret"]);
    expect(readFileSync(join(volume, "file"), "utf8")).toBe("canary");
  });

  test("a link that a writable volume holds does not move a mount point", async () => {
    const volume = tempDir();
    symlinkSync("../usr/bin", join(volume, "sub"));
    const { verdict, record } = await launch(
      sandboxPlan({}, [bind(volume, "/data", []), bind("/usr/share", "/data/sub")]),
      execPlan(["true"]),
    );
    expect(verdict).toBe("sandbox-error");
    expect(record).toMatchObject({ errorStep: "filesystem", errorErrno: 40, errorText: "/data/sub" });
  });

  test("a volume on the work folder is not measured as scratch", async () => {
    const { verdict, record } = await launch(sandboxPlan({}, [bind("/usr/share", "/work")]), execPlan(["true"]));
    expect([verdict, record?.diskBytes, record?.diskInodes]).toEqual(["ok", 0n, 0n]);
  });

  test("a recursive bind of the covered directory, or of all, shows the host's and nothing of ours", async () => {
    const entries = [bind("/sys", "/covered"), bind("/", "/all")];
    const { stdout, verdict } = await launch(
      sandboxPlan({}, entries),
      execPlan(shell("ls /covered; echo; ls /all/sys; echo; ls -d /all/usr")),
    );
    const host = readdirSync("/sys").sort().join(" ");
    const [covered, all, usr] = stdout.split("\n\n").map((part) => part.split("\n").filter(Boolean).sort().join(" "));
    expect([verdict, covered, all, usr]).toEqual(["ok", host, host, "/all/usr"]);
  });

  test("the scratch limits count what the program writes and nothing of ours", async () => {
    const plan = sandboxPlan({ scratchBytes: 1n << 20n, scratchInodes: 5n });
    const script =
      "dd if=/dev/zero of=/tmp/a bs=4096 count=256 2>/dev/null && echo full; echo x > /work/b 2>/dev/null || echo none; touch c d e; touch f 2>/dev/null || echo inodes";
    const { stdout, record } = await launch(plan, execPlan(shell(script)));
    expect(stdout.split("\n")).toEqual(["full", "none", "inodes", ""]);
    expect(record).toMatchObject({ diskBytes: 1n << 20n, diskInodes: 5n, diskFull: 1 });
  });
});

describe("init", () => {
  test("its death is ours to answer for, never the program's", async () => {
    const launched = launchBytes(encodePlan(sandboxPlan(), execPlan(["sleep", "20"])));
    const init = await until(() => firstChild(launched.child.pid), {
      what: "init",
    });
    await until(() => readFileSync(`/proc/${init}/task/${init}/children`, "utf8").trim() !== "", { what: "the program" });
    process.kill(init, "SIGKILL");
    const { record, verdict } = await within(launched.result, { what: "the end", timeoutMs: 5000 });
    launched.control.destroy();
    expect(verdict).toBe("sandbox-error");
    expect(record).toMatchObject({ errorStep: "initDied", errorIndex: 9, exitCode: -1 });
  });

  test("its death while files are copied in ends the run at once", async () => {
    const source = join(tempDir(), "in");
    writeFileSync(source, "x");
    for (let i = 0; i < 20; i++) {
      const exec = execPlan(["true"], { filesIn: [{ hostPath: source, target: "in", mode: 0o644 }] });
      const launched = launchBytes(encodePlan(sandboxPlan(), exec));
      const init = await until(() => firstChild(launched.child.pid) ?? launched.child.exitCode !== null, { what: "init", everyMs: 0 });
      if (typeof init === "number") process.kill(init, "SIGKILL");
      const { record } = await within(launched.result, { what: "the end", timeoutMs: 20_000 });
      launched.control.destroy();
      expect(record).not.toBeNull();
    }
  });

  test("a hijacked init could do nothing: its own filter kills it", async () => {
    // The program cannot reach init, so the guard is tried by the C test; here is what shows from outside.
    const launched = launchBytes(encodePlan(sandboxPlan(), execPlan(["sleep", "20"])));
    const init = await until(() => firstChild(launched.child.pid), {
      what: "init",
    });
    const status = await until(
      () => {
        const text = readFileSync(`/proc/${init}/status`, "utf8");
        return /^Seccomp:\s+2$/m.test(text) && text;
      },
      { what: "init's filter" },
    );
    expect(status).toMatch(/^CapPrm:\s+0+$/m);
    expect(status).toMatch(/^CapEff:\s+0+$/m);
    expect(status).toMatch(/^NoNewPrivs:\s+1$/m);
    expect(() => readlinkSync(`/proc/${init}/fd/0`)).toThrow(/EACCES|EPERM/);
    launched.control.destroy();
    await launched.result;
  });
});

describe("output", () => {
  const devFull = async (exec: readonly string[]) => {
    const launched = launchBytes(encodePlan(sandboxPlan(), execPlan(exec)), { stdout: openSync("/dev/full", "w") });
    const result = await within(launched.result, { what: "the end", timeoutMs: 10_000 });
    launched.control.destroy();
    return result;
  };

  test("that cannot be written is our failure, never the program's success", async () => {
    const { verdict, record } = await devFull(shell("echo hi"));
    expect([verdict, record?.errorStep, record?.errorIndex, record?.errorErrno, record?.errorText]).toEqual([
      "sandbox-error",
      "deliver",
      1,
      28,
      "stdout",
    ]);
  });

  test("in packet mode is counted to the byte", async () => {
    const script = "import fcntl,os\nfcntl.fcntl(1, fcntl.F_SETFL, os.O_DIRECT)\nos.write(1, b'x'*4096)";
    const { verdict, record, stdout } = await launch(sandboxPlan(), execPlan(["python3", "-c", script], { outputBytes: 10n }));
    expect([verdict, record?.stdoutBytes, record?.stdoutTruncated, stdout]).toEqual(["output-limit", 10n, 1, "xxxxxxxxxx"]);
  });
});

describe("memory without a cgroup", () => {
  const limited = (script: string, limitMiB: number) => {
    const mechanisms = new Array<number>(15).fill(8);
    mechanisms[2] = 6; // memory: supervisor
    return launch(sandboxPlan(), execPlan(["python3", "-c", script], { memoryBytes: BigInt(limitMiB) << 20n, mechanisms }));
  };

  test.each([
    ["shared anonymous memory", "import mmap,time\nm=mmap.mmap(-1,200<<20)\nfor i in range(0,len(m),4096): m[i]=1\ntime.sleep(10)"],
    [
      "a thread whose leader has exited",
      "import threading,ctypes,time\ndef f():\n  time.sleep(.2); x=bytearray(200<<20); time.sleep(10)\nthreading.Thread(target=f).start()\nctypes.CDLL(None).syscall(60,0)",
    ],
    ["a child of a child", "import os,time\nif os.fork()==0:\n  if os.fork()==0: x=bytearray(200<<20)\ntime.sleep(10)"],
  ])("%s is seen", async (_what, script) => {
    expect((await limited(script, 100)).verdict).toBe("memory-limit");
  });

  test("pages that processes share count once", async () => {
    const script =
      "import os,subprocess,time\nx=bytearray(60<<20)\npids=[os.fork() for _ in range(1)]\nif pids[0]==0: time.sleep(.5); os._exit(0)\nos.wait()\nfor _ in range(20): subprocess.run(['true'])";
    const { verdict, record } = await limited(script, 100);
    expect(verdict).toBe("ok");
    expect(record?.memoryPeak).toBeLessThan(90n << 20n);
    expect(record?.memoryPeak).toBeGreaterThan(60n << 20n);
  });
});

describe("the lifeline", () => {
  test("closing the control socket ends everything", async () => {
    const launched = launchBytes(encodePlan(sandboxPlan(), execPlan(shell("sleep 20 & sleep 20"))));
    const init = await until(() => firstChild(launched.child.pid), {
      what: "init",
    });
    launched.control.destroy();
    await within(launched.result, { what: "the launcher's end", timeoutMs: 5000 });
    expect(existsSync(`/proc/${init}`)).toBe(false);
  });

  test("a byte cancels, and the record says so", async () => {
    const launched = launchBytes(encodePlan(sandboxPlan(), execPlan(shell("echo begun; sleep 20"))));
    await new Promise((resolve) => launched.child.stdout?.once("data", resolve));
    launched.control.write("C");
    const { verdict, record } = await within(launched.result, { what: "the end", timeoutMs: 5000 });
    launched.control.destroy();
    expect([verdict, record?.cancelSignal, record?.exitCode]).toEqual(["cancelled", 0, -1]);
  });
});
