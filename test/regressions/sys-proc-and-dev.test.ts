// Kind of fault: /sys, /proc and /dev that fail to mount, show the host, or lack what programs expect.
import { expect } from "vitest";
import { needs } from "../helpers/abilities.ts";
import { profileFile } from "../helpers/attack.ts";
import { belljarRun } from "../helpers/belljar.ts";

const shell = (script: string, ...run: readonly string[]) => belljarRun([...run, "--", "sh", "-c", script]);

needs("userns")("/sys is absent unless asked for", async () => {
  expect((await shell("ls /sys 2>/dev/null | wc -l")).stdout.trim()).toBe("0");
});

needs("userns", "netns")("/sys with a network of its own shows only that network, read-only", async () => {
  const result = await shell("ls /sys/class/net; touch /sys/x 2>/dev/null || echo refused", "--set", "sys=private");
  expect(result.stdout).toBe("lo\nrefused\n");
});

needs("userns")("/sys with the host's network is a read-only bind, and the start does not fail", async () => {
  const profile = profileFile({
    sys: "private",
    network: { mode: "host", comment: "to see both together" },
    comments: { sys: "the same" },
  });
  const result = await shell("test -d /sys/class/net && echo there; touch /sys/x 2>/dev/null || echo refused", "-p", profile);
  expect(result.stdout).toBe("there\nrefused\n");
});

needs("userns")("/proc: own processes only; whole, none or the host's where the profile says so", async () => {
  expect(
    (await shell("ls /proc | grep -c '^[0-9]'; ls /proc/sys 2>/dev/null | wc -l; cat /proc/uptime 2>/dev/null | wc -l")).stdout,
  ).toMatch(/^[2-5]\n0\n0\n$/);
  expect((await shell("test -e /proc/uptime && test -d /proc/sys && echo whole", "--set", "proc=full")).stdout).toBe("whole\n");
  expect((await shell("ls /proc | wc -l", "--set", "proc=none")).stdout.trim()).toBe("0");
});

needs("userns")("a whole /proc hides and protects what container engines hide and protect", async () => {
  const script =
    "for f in kcore keys timer_list sched_debug; do test -s /proc/$f && head -c1 /proc/$f; done 2>/dev/null; ls /proc/acpi /proc/scsi 2>/dev/null | grep -v : ; echo 1 > /proc/sys/kernel/panic; echo end";
  const result = await shell(script, "--set", "proc=full");
  expect(result.stdout.trim()).toBe("end");
  expect(result.stderr).toMatch(/Read-only|denied/);
});

needs("userns", "python3")("locks, semaphores and shared memory of Python's multiprocessing", async () => {
  const code =
    "import multiprocessing as m\nfrom multiprocessing import shared_memory as s\nl = m.Lock(); l.acquire(); l.release()\nx = s.SharedMemory(create=True, size=4096); x.buf[0] = 7; print(x.buf[0]); x.close(); x.unlink()\nwith m.Pool(2) as p: print(p.map(abs, [-1, -2]))";
  const result = await belljarRun(["--", "python3", "-c", code]);
  expect([result.code, result.stdout]).toEqual([0, "7\n[1, 2]\n"]);
});

needs("userns", "python3")("pseudo-terminals can be opened", async () => {
  const result = await belljarRun([
    "--",
    "python3",
    "-c",
    "import os; m, s = os.openpty(); os.write(s, b'x'); print(os.read(m, 1), os.ttyname(s))",
  ]);
  expect(result.stdout).toBe("b'x' /dev/pts/0\n");
});

needs("userns")("the standard nodes do what they are for", async () => {
  const script = [
    "stat -c %a /dev/shm",
    "echo full > /dev/full 2>/dev/null || echo ENOSPC",
    "head -c 4 /dev/zero | wc -c",
    "head -c 4 /dev/urandom | wc -c",
    "head -c 4 /dev/random | wc -c",
    "echo x > /dev/null && echo null",
    "echo out > /dev/stdout",
    "echo in | cat /dev/stdin",
    "echo fd | cat /dev/fd/0",
    "(: < /dev/tty) 2>/dev/null || echo no tty",
  ].join("\n");
  const result = await shell(script);
  expect(result.stdout.trim().split("\n")).toEqual(["1777", "ENOSPC", "4", "4", "4", "null", "out", "in", "fd", "no tty"]);
});

needs("userns")("/dev/shm counts against the limit of the scratch space", async () => {
  const result = await shell("head -c 2000000 /dev/zero > /dev/shm/x", "--disk", "1M");
  expect(result.report).toMatchObject({ verdict: "disk-limit", disk: { full: true } });
});
