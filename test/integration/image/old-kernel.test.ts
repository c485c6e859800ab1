// Where kernel overlay can be mounted on a tmpfs and then fails (before Linux 6.6): what is chosen, and that the tree is the same with each driver.
import { spawnSync } from "node:child_process";
import { describe, expect } from "vitest";
import { needs } from "../../helpers/abilities.ts";
import { addCases, expectedLines } from "../../helpers/layer-cases.ts";
import { tempDir } from "../../helpers/places.ts";
import { baseLayer, drivers, imageHome, runnableImage } from "../../helpers/run-image.ts";
import { asRoot, listSeen, worlds } from "../../helpers/seen-tree.ts";
import { archive, directory, file } from "../../helpers/tar-writer.ts";

const here = needs("userns", "no-overlay-on-tmpfs", "overlay-on-disk", "fuse", "fuse-overlayfs", "subids");

/** The launcher's own steps by hand: the mount succeeds, and a directory of the lower layer cannot be removed. */
const trap = `mount -t tmpfs none /mnt && cd /mnt && mkdir -p lower/d upper work merged && : > lower/d/f &&
mount -t overlay overlay -o lowerdir=lower,upperdir=upper,workdir=work,userxattr merged && echo mounted && rm -r merged/d`;

describe("a kernel without attributes on tmpfs", () => {
  here("auto is fuse-overlayfs, which can remove what the kernel's overlay cannot", async () => {
    const control = spawnSync("unshare", ["-Urm", "sh", "-c", trap], {
      encoding: "utf8",
      env: { PATH: "/usr/sbin:/usr/bin:/sbin:/bin", LC_ALL: "C" },
    });
    expect(control.stdout).toBe("mounted\n");
    expect(control.stderr).toMatch(/cannot remove 'merged\/d'.*: Input\/output error/);
    const home = imageHome();
    await home.add("img", runnableImage([baseLayer(), archive(directory("d"), file("d/f", "x"))]));
    const options = ["--set", "rootfs.writable=true"];
    const words = ["/bin/sh", "-c", "rm -r /d && mkdir /d && ls -A /d && echo removed"];
    const { stdout, stderr, report } = await home.run("img", options, words);
    expect({ stdout, overlay: report.sandbox.overlay }, stderr).toEqual({ stdout: "removed\n", overlay: "fuse-overlayfs" });
    // Who asks for the kernel's is told, and gets no other.
    const asked = await home.command(["run", "-i", "img", ...options, "--overlay-driver", "kernel", "--", "true"], {
      code: 125,
      report: false,
    });
    expect(asked.stderr).toContain(
      "it can be mounted, but not with its upper directory on tmpfs, where this kernel keeps no user attributes",
    );
    // With the upper directory on a disk it works there, and is found out by trying just that.
    const env = { XDG_CACHE_HOME: tempDir("cache") };
    const onDisk = await home.run("img", [...options, "--set", "scratch.storage=disk"], words, { env });
    expect({ stdout: onDisk.stdout, overlay: onDisk.report.sandbox.overlay }, onDisk.stderr).toEqual({
      stdout: "removed\n",
      overlay: "kernel",
    });
  });

  here(
    "the tree of an image is the same by every driver",
    async () => {
      const home = imageHome();
      await addCases(home);
      // Of these two the tree's attributes are on the file system of the upper directory; fuse-overlayfs gives those of the layers.
      const env = { XDG_CACHE_HOME: tempDir("cache") };
      for (const world of worlds)
        for (const driver of drivers) {
          const options = [
            ...asRoot(world),
            "--overlay-driver",
            driver,
            ...(driver === "fuse-overlayfs" ? [] : ["--set", "scratch.storage=disk"]),
          ];
          const lines = await listSeen(home, "cases", options, { env });
          expect([...lines].sort(), `${driver}, ${world} ids`).toEqual(expectedLines(world));
        }
    },
    600_000,
  );
});
