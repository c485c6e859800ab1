// Images that have something else where the sandbox has places of its own. Those give way, and whatever cannot is an error that names it.
import { describe, expect } from "vitest";
import { needs } from "../../helpers/abilities.ts";
import { plantCanary } from "../../helpers/canary.ts";
import { baseLayer, drivers, imageHome, runnableImage } from "../../helpers/run-image.ts";
import { archive, directory, file, hardlink, symlink } from "../../helpers/tar-writer.ts";

const base = baseLayer();
const over = (...entries: readonly Buffer[]) => runnableImage([base, archive(...entries)]);
const noTmp = file(".wh.tmp");
const noEtc = file(".wh.etc");

const places = [
  "test -r /proc/self/status -a -c /dev/null -a -d /dev/pts",
  "for i in /proc /dev /tmp /work /dev/shm; do test -d $i -a ! -L $i; done",
  "for i in /tmp /work /dev/shm; do echo x > $i/y; done",
  "test $(stat -c %a /tmp) = 1777 -a $(stat -c %a /work) = 755",
  "test $PWD = /work",
  "grep -q localhost /etc/hosts; test -f /etc/resolv.conf -a ! -L /etc/resolv.conf; cat /etc/hostname",
].join("; ");

describe("an image with", () => {
  const images = {
    "a file as /proc": over(file("proc", "x")),
    "a link as /proc": over(symlink("proc", "/etc")),
    "a file as /dev": over(file("dev", "x")),
    "a link as /dev": over(symlink("dev", "/etc")),
    "a file as /work": over(file("work", "x")),
    "a link as /work": over(symlink("work", "/etc")),
    "a link as /work that leads up": over(symlink("work", "../../../../tmp")),
    "the root as /work": over(symlink("work", "/")),
    "/proc as /work": over(symlink("work", "/proc")),
    "a link through /proc as /tmp": over(noTmp, symlink("tmp", "/proc/1/root")),
    "a link to nowhere as /tmp": over(noTmp, symlink("tmp", "/nowhere/x")),
    "a link within /dev": over(
      directory("dev"),
      symlink("dev/shm", "/tmp"),
      symlink("dev/pts", "/etc"),
      symlink("dev/null", "/etc/passwd"),
    ),
    "links as files of /etc": over(
      symlink("etc/resolv.conf", "/../../run/systemd/resolve/stub-resolv.conf"),
      symlink("etc/hosts", "/etc/passwd"),
      hardlink("etc/hostname", "bin/busybox"),
    ),
    "no /etc": over(noEtc),
    "a link as /etc": over(noEtc, directory("usr/etc"), symlink("etc", "usr/etc")),
    "a link as /var/tmp": over(directory("var"), symlink("var/tmp", "/tmp")),
  };
  needs(
    "userns",
    "overlay",
    "fuse",
    "fuse-overlayfs",
  )(
    "something else in our places: they are what they should be",
    async () => {
      const home = imageHome();
      const named = Object.entries(images).map(([what, image], i) => ({ what, name: `t/places:${i}`, image }));
      await home.addAll(Object.fromEntries(named.map(({ name, image }) => [name, image])));
      for (const [i, { what, name }] of named.entries()) {
        const driver = drivers[i % drivers.length] ?? "copy";
        const writable = i % 2 === 0 ? ["--set", "rootfs.writable=true"] : [];
        const { stdout, stderr, report } = await home.run(name, ["--overlay-driver", driver, ...writable], ["/bin/sh", "-ec", places]);
        expect({ what, driver, stdout, verdict: report.verdict }, stderr).toEqual({ what, driver, stdout: "belljar\n", verdict: "ok" });
      }
    },
    120_000,
  );

  const hint = "the image has something else there or above: a file, a folder, or a link that leads nowhere or to itself";
  needs("userns", "overlay")("what cannot give way: an error that names it", async () => {
    const home = imageHome();
    const cases: readonly (readonly [string, Buffer[], readonly string[], string])[] = [
      ["a file as /etc", [noEtc, file("etc", "x")], [], "making the file '/etc/hosts': ENOTDIR (not a directory)"],
      ["/etc leads nowhere", [noEtc, symlink("etc", "/no/where")], [], "making the file '/etc/hosts': EEXIST (file exists)"],
      ["/etc is itself", [noEtc, symlink("etc", "etc")], [], "making the file '/etc/hosts': ELOOP (a symbolic link is in the way)"],
      ["a folder as a file", [directory("etc/hosts")], [], "making the file '/etc/hosts': EISDIR (is a directory)"],
      ["a file above", [file("var", "x")], [], "mounting scratch on '/var/tmp': ENOTDIR (not a directory)"],
      [
        "a file as a target",
        [file("data", "x")],
        ["-v", "/usr/share:/data"],
        "mounting '/usr/share' on '/data': ENOTDIR (not a directory)",
      ],
    ];
    await home.addAll(Object.fromEntries(cases.map(([, entries], i) => [`t/broken:${i}`, over(...entries)])));
    for (const [i, [what, , options, words]] of cases.entries()) {
      const { code, stdout, report } = await home.run(`t/broken:${i}`, options, ["/bin/true"]);
      expect({ what, code, stdout, error: report.error }).toEqual({
        what,
        code: 125,
        stdout: "",
        error: { code: "sandbox-failed", message: `step filesystem (init) failed: ${words}`, hint },
      });
    }
  });

  needs("userns", "overlay")("links to the host's files where something is mounted or made: they stay as they are", async () => {
    const canary = plantCanary();
    const home = imageHome();
    const up = `${"../".repeat(30)}${canary.path.slice(1)}`;
    await home.addAll({
      "t/out:1": over(
        ...[symlink("etc/resolv.conf", canary.path), symlink("etc/hosts", up), symlink("etc/hostname", canary.path)],
        ...[symlink("work", canary.dir), symlink("data", canary.dir), noTmp, symlink("tmp", canary.dir)],
      ),
    });
    const words =
      "echo pwned > /etc/hosts; echo pwned > /etc/resolv.conf; echo pwned > /work/new; echo pwned > /tmp/new; echo pwned > /app/new; pwd; ls -a /data/";
    const options = ["--set", "rootfs.writable=true", "--set", "network.mode=host", "-w", "/app", "-v", "/usr/share:/data"];
    const { stdout, stderr, report } = await home.run("t/out:1", options, ["/bin/sh", "-c", words]);
    expect(report.error, stderr).toMatchObject({ message: expect.stringContaining("mounting '/usr/share' on '/data'") });
    const again = await home.run("t/out:1", options.slice(0, -2), ["/bin/sh", "-c", words]);
    expect(again.stdout).toBe("/app\n");
    expect(again.stderr).toMatch(/resolv\.conf: (Read-only file system|Permission denied)/);
    canary.check(stdout, stderr, again.stdout, again.stderr);
  });
});
