// What an image's configuration says is a stranger's word: of the environment, the working directory, the user and the command.
import { spawnSync } from "node:child_process";
import { chmodSync, closeSync, copyFileSync, existsSync, mkdirSync, openSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect } from "vitest";
import { needs } from "../helpers/abilities.ts";
import { plantCanary } from "../helpers/canary.ts";
import { root, tempDir } from "../helpers/places.ts";
import { baseLayer, driverNeeds, drivers, imageHome, readBusybox, runnableImage } from "../helpers/run-image.ts";
import { archive, directory, file, symlink } from "../helpers/tar-writer.ts";

const base = baseLayer();
const over = (...entries: readonly Buffer[]): readonly Buffer[] => [base, archive(...entries)];

describe("Env", () => {
  for (const driver of drivers)
    needs(
      "userns",
      "fuse-overlayfs",
      ...driverNeeds[driver],
    )(`reaches the program and no program of ours on the host: ${driver}`, async () => {
      // The dynamic linker writes where it is told to: into a folder of the host's, when a program there is given these.
      const spying = (dir: string): Record<string, string> => ({ LD_DEBUG: "libs", LD_DEBUG_OUTPUT: `${dir}/spy` });
      const decoy = plantCanary();
      spawnSync("fuse-overlayfs", ["--version"], { env: { PATH: "/usr/bin:/bin", ...spying(decoy.dir) } });
      expect(
        readdirSync(decoy.dir).filter((name) => name.startsWith("spy.")),
        "control: a helper that is given them",
      ).toHaveLength(1);
      const canary = plantCanary();
      const home = imageHome();
      const names = ["PATH", "HOME", "TMPDIR", "XDG_DATA_HOME", "XDG_CACHE_HOME", "XDG_RUNTIME_DIR", "BELLJAR_LAUNCHER", "BELLJAR_APPLY"];
      const Env = [
        ...Object.entries(spying(canary.dir)).map(([name, value]) => `${name}=${value}`),
        `LD_PRELOAD=${canary.path}`,
        `NODE_OPTIONS=--require=${canary.path}`,
        ...names.map((name) => `${name}=/bin:${canary.dir}`),
      ];
      await home.add("img", runnableImage([base], { Env }));
      const { stdout, stderr, report } = await home.run("img", ["--overlay-driver", driver, "--set", "rootfs.writable=true"], ["/bin/env"]);
      expect(report.verdict, stderr).toBe("ok");
      expect(stdout.trim().split("\n").sort()).toEqual(["LANG=C.UTF-8", ...Env].sort());
      expect(readdirSync(canary.dir)).toHaveLength(1);
      canary.check(stdout, stderr);
    });
});

describe("WorkingDir", () => {
  const reach = (name: string): string =>
    `stat -c 'at %d:%i' . .. /; ls -a . .. | grep -c canary-; cat ./${name} ../${name}; echo pwned > ./${name}; : > new`;
  const leftOpen = async (): Promise<void> => {
    const decoy = plantCanary();
    const canary = plantCanary();
    const name = (path: string): string => path.slice(path.lastIndexOf("/") + 1);
    // Control: in a root of its own, but with a folder of the host's open, a program reads there.
    const chroot = tempDir("chroot");
    for (const dir of ["bin", "proc"]) mkdirSync(join(chroot, dir));
    writeFileSync(join(chroot, "bin/sh"), readBusybox(), { mode: 0o755 });
    const opened = openSync(decoy.dir, "r");
    const script = `mount --rbind /proc ${chroot}/proc && exec chroot ${chroot} /bin/sh -c 'cd /proc/self/fd/3 && exec busybox cat ./${name(decoy.path)}'`;
    const control = spawnSync("unshare", ["-Urm", "sh", "-c", script], { encoding: "utf8", stdio: ["ignore", "pipe", "pipe", opened] });
    closeSync(opened);
    expect(control.stdout, control.stderr).toContain(decoy.content.slice(7));

    // Every descriptor that a task of ours may have had open, and then some.
    const numbers = Array.from({ length: 24 }, (_, i) => i);
    const links = archive(directory("up"), ...numbers.map((i) => symlink(`up/${i}`, `/proc/self/fd/${i}/../../../../../..`)));
    const descriptors = numbers.flatMap((i) => [`/up/${i}`, ...(i < 4 ? [`/proc/self/fd/${i}`] : [])]);
    const ways = ["/proc/self/cwd", "/proc/thread-self/root", "/proc/1/cwd", "/proc/1/root", "/proc/self/task"];
    const home = imageHome();
    const images = ways.map((WorkingDir, i) => [`t/way:${i}`, runnableImage([base], { WorkingDir })] as const);
    await home.addAll({ "t/up:1": runnableImage([base, links]), ...Object.fromEntries(images) });
    // The command itself holds the folder open, and stands in it.
    const leaked = openSync(canary.dir, "r");
    const more = { cwd: canary.dir, extraFds: [leaked, leaked, leaked] };
    const program = ["/bin/sh", "-c", reach(name(canary.path))];
    const writable = ["--set", "rootfs.writable=true"];
    for (const [i, way] of ways.entries()) {
      const { stdout, stderr } = await home.run(`t/way:${i}`, writable, program, more);
      expect(stdout, way).not.toMatch(/^[1-9]\d*$/m);
      canary.check(stdout, stderr);
      expect(readdirSync(canary.dir), way).toHaveLength(1);
    }
    const outcomes = new Map<string, string>();
    await Promise.all(
      Array.from({ length: 4 }, async (_, lane) => {
        for (const [i, place] of descriptors.entries()) {
          if (i % 4 !== lane) continue;
          const { stdout, report } = await home.run("t/up:1", [...writable, "-w", place], program, more);
          outcomes.set(place, `${report.verdict} ${stdout}`);
        }
      }),
    );
    closeSync(leaked);
    for (const place of descriptors) expect(outcomes.get(place), place).toBe("start-failed ");
    canary.check();
    expect(readdirSync(canary.dir)).toHaveLength(1);
  };
  needs("userns", "busybox")("through a descriptor that was left open leads nowhere", leftOpen, 240_000);
});

describe("User", () => {
  needs("userns")("is not looked up in a file of the host's, behind whatever link", async () => {
    const home = imageHome();
    const name = `ghost${process.pid}`;
    const accounts = join(tempDir("host"), "accounts");
    writeFileSync(accounts, `${name}:x:77:78::/:/bin/sh\n`);
    const { length } = accounts.split("/");
    const images = {
      absolute: symlink("etc/passwd", accounts),
      upwards: symlink("etc/passwd", `${"../".repeat(length + 3)}${accounts.slice(1)}`),
      root: symlink("etc/passwd", `/proc/self/root${accounts}`),
      folder: Buffer.concat([file(".wh.etc"), symlink("etc", accounts.slice(0, accounts.lastIndexOf("/"))), symlink("passwd", accounts)]),
    };
    await home.addAll({
      "t/control:1": runnableImage(over(file("etc/passwd", readFileSync(accounts))), { User: name }),
      ...Object.fromEntries(
        Object.entries(images).flatMap(([what, entry]) => [
          [`t/${what}:known`, runnableImage(over(entry), { User: name })],
          [`t/${what}:other`, runnableImage(over(entry), { User: "nobody-of-that-name" })],
        ]),
      ),
    });
    // Control: the same line in the image's own file is found.
    expect((await home.run("t/control:1", [], ["/bin/id", "-u"])).stdout).toBe("77\n");
    for (const what of Object.keys(images))
      for (const tag of ["known", "other"]) {
        const { stdout, stderr } = await home.command(["run", "-i", `t/${what}:${tag}`, "--", "/bin/id", "-u"], {
          code: 125,
          report: false,
        });
        expect(stdout).toBe("");
        expect(stderr, what).toContain("no such user in the image\nhint: the image has no /etc/passwd that can be read");
        if (tag === "other") expect(stderr).not.toContain(name);
      }
  });
});

describe("Entrypoint", () => {
  needs("userns")("through /proc neither starts the launcher nor gets hold of its file", async () => {
    // As people install it for themselves: the file is theirs, and so is the sandbox's user.
    const launcher = join(tempDir("own"), "belljar-launch");
    copyFileSync(process.env["BELLJAR_LAUNCHER"] ?? join(root, "native/build/belljar-launch"), launcher);
    chmodSync(launcher, 0o755);
    const before = readFileSync(launcher);
    const links = ["/proc/self/exe", "/proc/thread-self/exe", "/proc/1/exe", "/proc/1/root/bin/sh"];
    const grab = "for i in /proc/[0-9]*/exe; do test $(readlink $i) = /bin/busybox || echo pwned >> $i; done; echo pwned >> /proc/1/exe";
    const home = imageHome();
    const scripts = links.map((link, i) => file(`script${i}`, `#!${link}\n`, { mode: 0o755 }));
    const layers = over(...scripts);
    const entries = [...links.map((link) => [link, "probe"]), ...scripts.map((_, i) => [`/script${i}`]), ["/bin/sh", "-c", grab]];
    await home.addAll(Object.fromEntries(entries.map((Entrypoint, i) => [`t/entry:${i}`, runnableImage(layers, { Entrypoint })])));
    // Control: the same link starts the very program that follows it.
    const control = spawnSync(launcher, ["probe"], { encoding: "utf8", timeout: 20_000, killSignal: "SIGKILL" });
    expect(control.stdout).toContain('"overlay"');
    for (const profile of ["default", "image"])
      for (const [i, words] of entries.entries()) {
        const { stdout, stderr, code } = await home.run(`t/entry:${i}`, ["-p", profile, "--set", "user.mode=single"], [], {
          env: { BELLJAR_LAUNCHER: launcher },
        });
        expect(stdout, `${profile}: ${words.join(" ")}`).toBe("");
        expect([1, 126, 127], `${profile}: ${words.join(" ")}: ${stderr}`).toContain(code);
        expect(readFileSync(launcher).equals(before), words.join(" ")).toBe(true);
      }
    expect(existsSync(launcher)).toBe(true);
  });
});
