// Sandboxes made ahead, by the library and by a run server: what one run leaves, holds or puts into them no other ever meets, and their guards are those
// of a run from scratch.
import { readFileSync } from "node:fs";
import { describe, expect } from "vitest";
import { needs } from "../helpers/abilities.ts";
import { profileFile } from "../helpers/attack.ts";
import { until } from "../helpers/deadline.ts";
import { type Api, load, openSandbox, ownLaunchers } from "../helpers/library.ts";
import { servePool } from "../helpers/pool.ts";
import { childrenOf } from "../helpers/serve.ts";

interface Way {
  readonly name: string;
  readonly open: (options: Api.OpenOptions & { readonly profile: string }) => Promise<Api.Sandbox>;
  /** Throws when the sandbox of a run that is under way is none of those made ahead. */
  readonly check: () => void;
}

const ways: readonly Way[] = [
  { name: "spare sandboxes", open: (options) => openSandbox({ warm: 3, server: "none", ...options }), check: () => undefined },
  {
    name: "sandboxes of a run server",
    open: async (options) => {
      const pool = await servePool(["-p", options.profile, "--size", "3"]);
      await until(() => childrenOf(pool.server()).length >= 3, { what: "the server's sandboxes" });
      return openSandbox({ server: pool.path as `/${string}`, ...options });
    },
    check: () => expect(ownLaunchers()).toEqual([]),
  },
];

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

/** The kernel's keyrings, with no filter that keeps a program from them: what is found of a key is found by its name. */
const keyrings = `
import ctypes, platform, sys
libc = ctypes.CDLL(None, use_errno=True)
add_key, keyctl = (217, 219) if platform.machine() == "aarch64" else (248, 250)
rings, search = (-3, -4, -5), 10 # of the session, of the user, of the user's session
if sys.argv[1] == "hold":
    print("held", sum(libc.syscall(add_key, b"user", b"mark", b"x", 1, ring) > 0 for ring in rings), flush=True)
print("found", sum(libc.syscall(keyctl, search, ring, b"user", b"mark", 0) > 0 for ring in rings), flush=True)
if sys.argv[1] == "hold": sys.stdin.read()
`;

/**
 * How often a text is in the memory of the process. The text is never there because it is looked for: each of its letters comes in brackets, in the
 * argument as in the expression.
 */
const search = `
import re, sys
wanted, found = re.compile(sys.argv[1].encode()), 0
with open("/proc/self/mem", "rb", 0) as memory:
    for line in open("/proc/self/maps"):
        area, flags = line.split()[:2]
        if not flags.startswith("r") or "[v" in line: continue
        start, end = (int(part, 16) for part in area.split("-"))
        try:
            memory.seek(start)
            found += len(wanted.findall(memory.read(end - start)))
        except OSError: pass
print("found", found > 0)
`;

for (const { name, open, check } of ways)
  describe(name, () => {
    needs("userns", "python3")("share nothing: neither with a run at the same time, nor with one before", async () => {
      const sandbox = await open({ profile: "default", concurrency: 2 });
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
      check();
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

    needs("userns", "python3")("have keyrings of their own, where nothing else keeps a program from them", async () => {
      const profile = profileFile({ seccomp: { extends: "none" }, comments: { "seccomp.extends": "namespaces alone" } });
      const sandbox = await open({ profile, concurrency: 2 });
      let said = "";
      let end = () => {};
      const held = new Promise<void>((resolve) => {
        end = resolve;
      });
      const holder = sandbox.run(["python3", "-c", keyrings, "hold"], {
        stdin: (async function* () {
          await held;
          yield "";
        })(),
        onStdout: (chunk) => {
          said += String(chunk);
        },
      });
      await until(() => /^held ([1-3])\nfound \1\n$/.test(said), { what: "the key, which whoever made it finds" });
      check();
      const find = async (): Promise<string> => (await sandbox.run(["python3", "-c", keyrings, "find"])).stdout;
      expect(await find()).toBe("found 0\n");
      end();
      expect((await holder).report.verdict).toBe("ok");
      expect(await find()).toBe("found 0\n");
    });

    needs("userns", "python3")("have nothing in memory of an earlier run's arguments, variables and input", async () => {
      const sandbox = await open({ profile: "default", concurrency: 1 });
      const secret = `told${Math.random().toString(36).slice(2)}`;
      const hidden = [...secret].map((letter) => `[${letter}]`).join("");
      const find = async (env: Readonly<Record<string, string>> = {}): Promise<string> =>
        (await sandbox.run(["python3", "-c", search, hidden], { env })).stdout;
      expect(await find({ OWN: secret })).toBe("found True\n"); // the control
      for (let round = 0; round < 4; round++) {
        const { stdout } = await sandbox.run(["sh", "-c", "read line; echo $1 $TOLD $line", "sh", secret], {
          env: { TOLD: secret },
          stdin: `${secret}\n`,
        });
        expect(stdout).toBe(`${secret} ${secret} ${secret}\n`);
        expect(await find()).toBe("found False\n");
      }
    });

    for (const profile of ["default", "judge"])
      needs("userns", "python3")(
        `have every guard of a sandbox from scratch, and no memory in common with the launcher: ${profile}`,
        async () => {
          const sandbox = await open({ profile });
          const spares = ownLaunchers();
          const { stdout } = await sandbox.run(["python3", "-c", guards]);
          if (spares.length > 0) expect(ownLaunchers()).not.toEqual(expect.arrayContaining([...spares]));
          const cold = await (await load()).run({ profile, command: ["python3", "-c", guards], stdin: "", server: "none" });
          expect(stdout).toBe(cold.stdout);
          expect(stdout).toContain("NoNewPrivs:\t1");
        },
      );
  });

describe("spare sandboxes", () => {
  needs("userns")("wait with nothing of the caller's: no variable, no argument", async () => {
    await openSandbox({ warm: 1, env: { SECRET: "of the sandbox" } });
    await until(() => ownLaunchers().length === 1, { what: "the spare" });
    const [launcher] = ownLaunchers();
    expect(readFileSync(`/proc/${launcher}/environ`, "utf8")).toBe("");
    expect(readFileSync(`/proc/${launcher}/cmdline`, "utf8")).not.toContain("SECRET");
  });
});
