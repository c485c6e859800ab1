// What programs do to an image's tree: everything works, by every driver, and nothing of it reaches the store.
import { join } from "node:path";
import { describe, expect, type TestContext } from "vitest";
import { needs, needsHere } from "../../helpers/abilities.ts";
import { plantCanary } from "../../helpers/canary.ts";
import { listTree } from "../../helpers/layer-tree.ts";
import { baseLayer, driverNeeds, drivers, type ImageHome, imageHome, runnableImage } from "../../helpers/run-image.ts";
import { asRoot, worlds } from "../../helpers/seen-tree.ts";
import { archive, directory, file, hardlink, symlink } from "../../helpers/tar-writer.ts";

const content = archive(
  directory("t"),
  ...["full", "moved", "kept"].flatMap((name) => [
    directory(`t/${name}`),
    file(`t/${name}/f`, "lower"),
    directory(`t/${name}/sub`),
    file(`t/${name}/sub/g`, "lower"),
  ]),
  directory("t/closed", 0),
  file("t/closed/f", "lower", { mode: 0 }),
  file("t/append", "one\n", { mtime: 1000 }),
  file("t/run-me", "#!/bin/sh\necho ran\n", { mode: 0o755 }),
  hardlink("t/append-too", "t/append"),
  symlink("t/link", "append"),
  file("t/attributes", "x", { pax: [["SCHILY.xattr.user.a", "1"]] }),
);

/** Every line of output is one thing that has worked. */
const script = `set -e
cd /t
mkdir -m 0555 /x made; stat -c '%a' /x made
rm -rf full; test ! -e full; mkdir full; ls -A full; echo "again:$(ls full | wc -l)"
rm -rf closed; test ! -e closed; echo removed
mv moved elsewhere; cat elsewhere/sub/g; echo; test ! -e moved; echo moved
echo two >> append; cat append
rm link; ln -s /t/full link; readlink link
chmod 4711 run-me; stat -c '%a' run-me; ./run-me
ln run-me again; stat -c '%h' again
touch -d @77 kept/f; stat -c '%Y %s' kept/f
cp /bin/busybox big; cmp big /bin/busybox 2>/dev/null || cat big > /dev/null; rm big
mkfifo p; rm p; : > "with
newline"; rm "with
newline"
rm -rf /root /usr /etc/group; echo gone
`;
const output = "555\n555\nagain:0\nremoved\nlower\nmoved\none\ntwo\n/t/full\n4711\nran\n2\n77 5\ngone\n";

const storeTree = async (home: ImageHome) => Object.fromEntries(await listTree(join(home.store, "layers")));

describe("writing to an image's tree", () => {
  for (const driver of drivers)
    for (const world of worlds)
      needs(
        "userns",
        "python3",
        ...driverNeeds[driver],
        ...(world === "subordinate" ? (["subids"] as const) : []),
      )(`works, and leaves the store as it was: ${driver}, ${world} ids`, async () => {
        const home = imageHome();
        await home.add("img", runnableImage([baseLayer(), content]));
        const options = [...asRoot(world), "--overlay-driver", driver];
        await home.run("img", options, ["true"]);
        const before = await storeTree(home);
        const canary = plantCanary();
        const { stdout, stderr, report } = await home.run("img", options, ["/bin/sh", "-c", script]);
        expect(stdout, stderr).toBe(output);
        expect(report.verdict, report.message).toBe("ok");
        expect(await storeTree(home)).toEqual(before);
        canary.check(stdout, stderr);
        // What one run did, the next does not see.
        expect((await home.run("img", options, ["/bin/sh", "-c", "cat /t/append; ls -d /x"])).stdout).toBe("one\n");
      });

  for (const driver of drivers)
    needs("userns", ...driverNeeds[driver])(`belongs to the program's user where it has no rights of root: ${driver}`, async () => {
      const home = imageHome();
      await home.add("img", runnableImage([baseLayer(), content]));
      const options = ["--set", "rootfs.writable=true", "--overlay-driver", driver];
      const words = "id -u; rm -r /t/full; mkdir -m 0555 /x; echo two >> /t/append; cat /t/append; stat -c '%u:%g' /t /x; ls /t/closed";
      const { stdout, stderr, report } = await home.run("img", options, ["/bin/sh", "-c", words]);
      expect(stdout, stderr).toBe("1000\none\ntwo\n1000:1000\n1000:1000\n");
      expect(report).toMatchObject({ verdict: "exit-nonzero", exitCode: 1 });
    });

  for (const driver of drivers)
    needs("userns", ...driverNeeds[driver])(
      `is refused where the root is read-only; /tmp, /work and /var/tmp are writable: ${driver}`,
      async () => {
        const home = imageHome();
        await home.add("img", runnableImage([baseLayer(), content]));
        const words =
          "cd /; touch /tmp/a /work/a /var/tmp/a /dev/shm/a && echo y; for i in /a /t/append /etc/a /dev/a /bin/busybox; do touch $i; done";
        const { stdout, stderr } = await home.run("img", ["--overlay-driver", driver], ["/bin/sh", "-c", words]);
        expect(stdout, stderr).toBe("y\n");
        expect(stderr.match(/Read-only file system/g), stderr).toHaveLength(5);
      },
    );
});

describe("one store, many runs", () => {
  const both = async (context: TestContext, driver: (typeof drivers)[number]): Promise<void> => {
    needsHere(context, ...driverNeeds[driver]);
    const home = imageHome();
    await home.add("img", runnableImage([baseLayer(), content]));
    // Each waits for the other's file in a volume of both: so they do run at once, and neither sees what the other did to the tree.
    const words = (own: string, other: string): string =>
      `echo ${own} > /t/who; rm -rf /t/full/${own}; echo ${own} >> /t/append; : > /both/${own}; while [ ! -e /both/${other} ]; do sleep 0.01; done; cat /t/who /t/append; ls /t/full`;
    const options = ["--set", "rootfs.writable=true", "-v", `${home.folder}/both:/both:rw`, "--overlay-driver", driver];
    await home.command(["run", "-i", "img", "--", "true"]);
    const { mkdirSync } = await import("node:fs");
    mkdirSync(join(home.folder, "both"));
    const [one, two] = await Promise.all([
      home.run("img", options, ["/bin/sh", "-c", words("f", "sub")]),
      home.run("img", options, ["/bin/sh", "-c", words("sub", "f")]),
    ]);
    expect(one.stdout, one.stderr).toBe("f\none\nf\nsub\n");
    expect(two.stdout, two.stderr).toBe("sub\none\nsub\nf\n");
  };
  for (const driver of drivers) needs("userns")(`see nothing of each other: ${driver}`, (context) => both(context, driver));

  needs(
    "userns",
    "overlay",
    "fuse",
    "fuse-overlayfs",
  )(
    "200 layers, and a store in an odd place",
    async () => {
      const home = imageHome({ odd: ' a:b,c\\d "e" %41 ü\n$(x)' });
      const layers = Array.from({ length: 199 }, (_, i) =>
        archive(
          ...(i === 0 ? [directory("n"), file("count", "0")] : [file("count", String(i)), file(`n/.wh.f${i - 1}`)]),
          file(`n/f${i}`, String(i)),
          ...(i % 50 === 0 ? [file(`n/keep${i}`, "k")] : []),
        ),
      );
      await home.add("tall", runnableImage([baseLayer(), ...layers]));
      for (const driver of drivers) {
        const options = ["--overlay-driver", driver, "--set", "rootfs.writable=true"];
        const words = "cat /count; echo; ls /n; rm -rf /n; mkdir /n; ls -A /n; echo done";
        const { stdout, stderr, report } = await home.run("tall", options, ["/bin/sh", "-c", words], { deadlineMs: 120_000 });
        expect(stdout, stderr).toBe("198\nf198\nkeep0\nkeep100\nkeep150\nkeep50\ndone\n");
        expect(report.sandbox.overlay).toBe(driver);
      }
    },
    180_000,
  );
});
