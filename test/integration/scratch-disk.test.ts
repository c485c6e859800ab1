// A scratch folder on disk: counted by a companion, held by the supervisor, gone afterwards.
import { copyFileSync, existsSync, mkdirSync, readdirSync, statSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { needs } from "../helpers/abilities.ts";
import { belljar, startBelljar } from "../helpers/belljar.ts";
import { until } from "../helpers/deadline.ts";
import { tempDir } from "../helpers/places.ts";

const onDisk = ["--set", "scratch.storage=disk"];
const able = needs("userns");

/** Runs with a cache folder of its own, and asserts that nothing of the scratch is left in it. */
async function run(args: readonly string[], more: Parameters<typeof belljar>[1] = {}) {
  const cache = tempDir("cache");
  const result = await belljar(["run", ...onDisk, ...args], { ...more, env: { XDG_CACHE_HOME: cache, ...more.env } });
  expect(readdirSync(join(cache, "belljar/scratch")), result.stderr).toEqual([]);
  return result;
}

const shell = (text: string): readonly string[] => ["--", "sh", "-c", text];

describe("a scratch folder on disk", () => {
  able("is where the program writes, and is named as what it is", async () => {
    const { report, stdout } = await run(shell("echo hi > f; ln f g; mkdir -p /tmp/a/b; echo x > /dev/shm/s; stat -f -c %T /work"));
    expect(report).toMatchObject({
      verdict: "ok",
      // f and g are one inode of two names; /tmp/a, /tmp/a/b and s.
      disk: { usedInodes: 5, full: false },
      enforcement: { disk: "supervisor", inodes: "supervisor" },
    });
    expect(report?.disk.usedBytes).toBeGreaterThan(0);
    expect(stdout).not.toContain("tmpfs");
  });

  able("too many bytes end the run", async () => {
    const { code, report } = await run([
      "--disk",
      "5M",
      ...shell("dd if=/dev/zero of=f bs=1M count=20 2>/dev/null; while :; do sleep 1; done"),
    ]);
    expect(code).toBe(124);
    expect(report).toMatchObject({
      verdict: "disk-limit",
      message: "put more into the scratch space than the limit of 5 MiB",
      disk: { full: true },
      exitCode: null,
    });
    expect(report?.disk.usedBytes).toBeGreaterThan(5 * 2 ** 20);
  });

  able("too many files end the run, wherever they are", async () => {
    const fill = "i=0; while [ $i -lt 200 ]; do echo > /tmp/$i; i=$((i+1)); done; while :; do sleep 1; done";
    const { report } = await run(["--inodes", "100", ...shell(fill)]);
    expect(report).toMatchObject({
      verdict: "disk-limit",
      message: "put more into the scratch space than the limit of 100 files",
      disk: { full: true },
    });
  });

  able("what is hidden from its owner is counted and removed all the same", async () => {
    const hide = "mkdir -p d/e && dd if=/dev/zero of=d/e/f bs=1M count=20 2>/dev/null && chmod 0 d/e d; while :; do sleep 1; done";
    const { report } = await run(["--disk", "5M", ...shell(hide)]);
    expect(report?.verdict).toBe("disk-limit");
  });

  able("a program that fills it and fails before it is counted is told with the inference; one that copes is ok", async () => {
    const failed = await run(["--disk", "5M", ...shell("dd if=/dev/zero of=f bs=1M count=20 2>/dev/null; exit 3")]);
    expect(failed.report).toMatchObject({ verdict: "disk-limit", disk: { full: true } });
    const fine = await run(["--disk", "50M", ...shell("dd if=/dev/zero of=f bs=1M count=20 2>/dev/null; rm f")]);
    expect(fine.report).toMatchObject({ verdict: "ok", disk: { usedBytes: 0, usedInodes: 0 } });
  });

  able("no limit of the kernel's: a profile that requires one is refused, and nothing is made", async () => {
    const cache = tempDir("cache");
    const args = ["run", ...onDisk, "--set", 'limits.required=["disk"]', ...shell("true")];
    const { code, stderr } = await belljar(args, { env: { XDG_CACHE_HOME: cache } });
    expect(code).toBe(125);
    expect(stderr).toContain('limits.disk: required, but with scratch.storage "disk" only the supervisor enforces it');
    expect(readdirSync(join(cache, "belljar/scratch"))).toEqual([]);
  });

  able("its pages are no memory of the program's", async () => {
    const { report } = await run([
      "--memory",
      "64M",
      "--disk",
      "500M",
      ...shell("dd if=/dev/zero of=f bs=1M count=200 2>/dev/null; sleep 0.1"),
    ]);
    expect(report?.verdict).toBe("ok");
  });

  able("a volume on the same file system is not littered with mount points", async () => {
    const volume = tempDir("volume");
    const cache = join(volume, "cache");
    mkdirSync(join(volume, "shown"), { recursive: true });
    const args = ["-v", `${join(volume, "shown")}:/data:rw`, "-v", "/etc:/data/missing", ...shell("true")];
    const { code, stderr } = await belljar(["run", ...onDisk, ...args], { env: { XDG_CACHE_HOME: cache } });
    expect([code, stderr.includes("/data/missing")]).toEqual([125, true]);
    expect(readdirSync(join(volume, "shown"))).toEqual([]);
  });

  needs("userns", "subids")("files of subordinate ids are counted and removed", async () => {
    const args = ["--set", "user.mode=subordinate", "-u", "500", "--disk", "5M"];
    const { report } = await run([
      ...args,
      ...shell("mkdir d; dd if=/dev/zero of=d/f bs=1M count=20 2>/dev/null; chmod 0 d; while :; do sleep 1; done"),
    ]);
    expect(report?.verdict).toBe("disk-limit");
  });

  able("belljar gc removes what a killed command has left", async () => {
    const cache = tempDir("cache");
    const env = { XDG_CACHE_HOME: cache };
    const handle = startBelljar(["run", ...onDisk, ...shell("mkdir d; echo x > d/f; chmod 0 d; echo there; sleep 20")], { env });
    await until(() => handle.output().includes("there"), { what: "the program is there" });
    process.kill(await handle.pid, "SIGKILL");
    await handle.result;
    expect(readdirSync(join(cache, "belljar/scratch"))).toHaveLength(1);
    const { stdout } = await belljar(["gc"], { env });
    expect(stdout).toContain("removed scratch folder");
    expect(readdirSync(join(cache, "belljar/scratch"))).toEqual([]);
  });
});

describe.each(["kernel", "fuse-overlayfs", "copy"] as const)("a writable rootfs on disk by %s", (driver) => {
  needs(
    ...(driver === "kernel" ? (["overlay"] as const) : driver === "fuse-overlayfs" ? (["fuse"] as const) : (["userns"] as const)),
    "busybox",
  )("may be changed, and is as it was afterwards", async () => {
    const rootfs = tempDir("rootfs");
    for (const name of ["bin", "data/deep"]) mkdirSync(join(rootfs, name), { recursive: true });
    copyFileSync("/bin/busybox", join(rootfs, "bin/busybox"));
    symlinkSync("busybox", join(rootfs, "bin/sh"));
    writeFileSync(join(rootfs, "data/deep/file"), "low");
    const text = "cd /; busybox rm -r data && busybox mkdir data && busybox ls -A data && echo new > /data/n && busybox cat /data/n";
    const { stdout, stderr, report } = await run([
      ...["--rootfs", rootfs, "--set", "rootfs.writable=true", "--overlay-driver", driver],
      ...shell(text),
    ]);
    expect([stdout, stderr]).toEqual(["new\n", ""]);
    expect(report).toMatchObject({ sandbox: { overlay: driver }, enforcement: { disk: "supervisor" } });
    expect(statSync(join(rootfs, "data/deep/file")).size).toBe(3);
    expect(existsSync(join(rootfs, "data/n"))).toBe(false);
  });
});

test("the names of the drivers are those of the option", async () => {
  const { code, stderr } = await belljar(["run", "--overlay-driver", "aufs", "--", "true"]);
  expect([code, stderr.includes("rootfs.overlay.driver")]).toEqual([125, true]);
});
