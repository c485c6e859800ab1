// Sandboxes made ahead: what one run leaves, holds or puts into them no other ever meets, and their guards are those of a run from scratch.
import { readFileSync } from "node:fs";
import { describe, expect } from "vitest";
import { needs } from "../helpers/abilities.ts";
import { until } from "../helpers/deadline.ts";
import { load, openSandbox, ownLaunchers } from "../helpers/library.ts";

/** Puts something everywhere where another could find it, says so, and stays. */
const hold = `
import ctypes, os, socket, subprocess, sys, threading
libc = ctypes.CDLL(None, use_errno=True)
for place in ("/work", "/tmp", "/dev/shm"):
    open(place + "/mark", "w").write("mark")
shm = libc.shmget(0x5eed, 4096, 0o1666)
hidden = socket.socket(socket.AF_UNIX); hidden.bind("\\0mark"); hidden.listen()
port = socket.socket(); port.bind(("127.0.0.1", 7777)); port.listen()
os.environ["MARK"] = "mark"; os.umask(0); os.nice(5)
child = subprocess.Popen(["sleep", "60"])
while open(f"/proc/{child.pid}/comm").read() != "sleep\\n": pass # the kernel says that exec worked before it gives the name
`;
/** Says what of all that it finds. */
const look = `
import ctypes, os, resource, socket
libc = ctypes.CDLL(None, use_errno=True)
def connects(family, address):
    with socket.socket(family) as s:
        try: s.connect(address); return True
        except OSError: return False
names = [open(f"/proc/{p}/comm").read().strip() for p in os.listdir("/proc") if p.isdigit()]
print("files", sum(os.path.exists(place + "/mark") for place in ("/work", "/tmp", "/dev/shm")))
print("segment", libc.shmget(0x5eed, 0, 0) != -1)
print("abstract", connects(socket.AF_UNIX, "\\0mark"), "port", connects(socket.AF_INET, ("127.0.0.1", 7777)))
print("processes", names.count("sleep"), "environment", "MARK" in os.environ)
`;
/** Guards as the kernel tells them. */
const guards = `
import os, resource
keep = ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb", "NoNewPrivs", "Seccomp", "Seccomp_filters", "Uid", "Gid", "Groups", "SigBlk", "SigIgn", "SigCgt", "Umask", "NSpid", "Threads")
for line in open("/proc/self/status"):
    if line.split(":")[0] in keep: print(line.strip())
print(sorted(os.listdir("/proc/self/fd")), os.getcwd(), os.getsid(0) == os.getpid(), os.getpriority(os.PRIO_PROCESS, 0))
print([resource.getrlimit(one) for one in range(16)])
print(sorted(os.environ.items()))
for line in open("/proc/self/mountinfo"): print(line.split()[4:6])
print([part for part in open("/proc/self/maps") if "rw-s" in part])
`;

describe("spare sandboxes", () => {
  needs("userns", "python3")("share nothing: neither with a run at the same time, nor with one before", async () => {
    const sandbox = await openSandbox({ warm: 3, concurrency: 2 });
    const abort = new AbortController();
    let ready = () => {};
    const holds = new Promise<void>((resolve) => {
      ready = resolve;
    });
    const other = sandbox.run(["python3", "-c", `${hold}print("holding", flush=True); child.wait()`], {
      signal: abort.signal,
      onStdout: () => ready(),
    });
    await holds;
    const nothing = "files 0\nsegment False\nabstract False port False\nprocesses 0 environment False\n";
    expect((await sandbox.run(["python3", "-c", look])).stdout).toBe(nothing);
    // The control: whoever does both finds all of it.
    const both = await sandbox.run(["python3", "-c", `${hold}${look}child.kill()`]);
    expect(both.stdout).toBe("files 3\nsegment True\nabstract True port True\nprocesses 1 environment True\n");
    expect((await sandbox.run(["python3", "-c", look])).stdout).toBe(nothing);
    abort.abort();
    expect((await other).report.verdict).toBe("cancelled");
    expect((await sandbox.run(["python3", "-c", look])).stdout).toBe(nothing);
  });

  needs("userns", "python3")("have every guard of a sandbox from scratch, and no memory in common with the launcher", async () => {
    for (const profile of ["default", "judge"]) {
      const warm = await openSandbox({ profile, warm: 1 });
      const [spare] = ownLaunchers();
      const { stdout } = await warm.run(["python3", "-c", guards]);
      expect(ownLaunchers()).not.toContain(spare);
      const cold = await (await load()).run({ profile, command: ["python3", "-c", guards], stdin: "" });
      expect(stdout).toBe(cold.stdout);
      expect(stdout).toContain("NoNewPrivs:\t1");
      await warm.close();
    }
  });

  needs("userns")("wait with nothing of the caller's: no variable, no argument", async () => {
    await openSandbox({ warm: 1, env: { SECRET: "of the sandbox" } });
    await until(() => ownLaunchers().length === 1, { what: "the spare" });
    const [launcher] = ownLaunchers();
    expect(readFileSync(`/proc/${launcher}/environ`, "utf8")).toBe("");
    expect(readFileSync(`/proc/${launcher}/cmdline`, "utf8")).not.toContain("SECRET");
  });
});
