// An image whose links lead to a file of the host's, in every place where belljar mounts, makes or reads something, and between its layers.
import { appendFileSync, readdirSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect } from "vitest";
import { needs } from "../helpers/abilities.ts";
import { type Canary, plantCanary } from "../helpers/canary.ts";
import { tempDir } from "../helpers/places.ts";
import { baseLayer, driverNeeds, drivers, type ImageHome, imageHome, runnableImage } from "../helpers/run-image.ts";
import { archive, directory, file, symlink } from "../helpers/tar-writer.ts";

const base = baseLayer();
const upwards = "../".repeat(40);

/** One link to the canary's file or folder, as hostile images spell them. */
const spellings: Readonly<Record<string, (path: string) => string>> = {
  "an absolute link": (path) => path,
  "a relative link upwards": (path) => `${upwards}${path.slice(1)}`,
  "a link through another process's root": (path) => `/proc/1/root${path}`,
  "a link through the working directory": (path) => `/proc/self/cwd/${upwards}${path.slice(1)}`,
};

const folders = ["proc", "dev", "work", "tmp", "var/tmp", "app", "data"];
const files = ["etc/hosts", "etc/hostname", "etc/resolv.conf", "etc/passwd", "etc/group"];
const gone = folders.filter((path) => path === "tmp").map((path) => file(`.wh.${path}`));

/** All of them at once: what gives way in one place must not open another. */
const linkedEverywhere = ({ dir, path }: Canary, spell: (path: string) => string): Buffer =>
  archive(
    ...gone,
    directory("var"),
    ...folders.map((name) => symlink(name, spell(dir))),
    ...files.map((name) => symlink(name, spell(path))),
  );

const attack = `
for i in ${files.map((name) => `/${name}`).join(" ")}; do echo pwned >> $i; cat $i; done 2>&1
for i in ${folders.map((name) => `/${name}`).join(" ")}; do echo pwned > $i/new; mkdir $i/newdir; ls -a $i/; cat $i/canary-*; rm -f $i/canary-*; done 2>&1
cat CANARY; echo pwned > CANARY
echo done`;

/** Where the store keeps the layer that holds the links. */
function topLayer(home: ImageHome): string {
  const world = join(home.store, "layers", "single");
  const layers = readdirSync(world).map((name) => join(world, name, "diff"));
  const found = layers.find((layer) => !readdirSync(layer).includes("bin"));
  if (found === undefined) throw new Error(`no layer with the links in ${layers.join(" ")}`);
  return found;
}

/** Where the caller's own options name such a link: refused, or within the root; never outside. */
const named: readonly (readonly string[])[] = [
  ["-v", "/usr/share/doc:/data/x"],
  ["-w", "/app"],
  ["-w", "/app/new"],
  ["--in", "/etc/hostname:new"],
];

describe("links to a file of the host's at every place of belljar's", () => {
  for (const driver of drivers)
    needs("userns", ...driverNeeds[driver])(`lead nowhere: ${driver}`, async () => {
      const home = imageHome();
      const canary = plantCanary();
      const decoy = plantCanary();
      const images = Object.values(spellings).map((spell, i) => [`t/links:${i}`, runnableImage([base, linkedEverywhere(canary, spell)])]);
      await home.addAll({ "t/decoy:1": runnableImage([base, linkedEverywhere(decoy, (path) => path)]), ...Object.fromEntries(images) });
      const words = ["/bin/sh", "-c", attack.replaceAll("CANARY", canary.path)];
      for (const [i, spelling] of Object.keys(spellings).entries()) {
        const ids = i % 2 === 0 ? ["--set", "user.uid=0"] : [];
        const options = ["--overlay-driver", driver, "--set", "rootfs.writable=true", ...ids];
        const { stdout, stderr, report } = await home.run(`t/links:${i}`, options, words);
        const last = stdout.trimEnd().split("\n").at(-1);
        expect({ spelling, last, verdict: report.verdict }, stderr).toEqual({ spelling, last: "done", verdict: "ok" });
        const other = await home.run(`t/links:${i}`, [...options, ...(named[i] ?? [])], words);
        canary.check(stdout, stderr, other.stdout, other.stderr);
        expect(readdirSync(canary.dir), spelling).toHaveLength(1);
      }
      // Control: whoever follows these links by a path of the host's does reach the file.
      await home.command(["image", "rm", ...images.map(([name]) => String(name))]);
      await home.command(["run", "-i", "t/decoy:1", "--", "true"]);
      const layer = topLayer(home);
      appendFileSync(join(layer, "etc/hosts"), "pwned");
      writeFileSync(join(layer, "work/new"), "pwned");
      expect(() => decoy.check()).toThrow(/the canary's content/);
      expect(readdirSync(decoy.dir)).toContain("new");
    });
});

describe("a folder of one layer that is a link of another's", () => {
  const attack =
    "for i in up down; do ls -a /$i /$i/sub; echo pwned > /$i/new; echo pwned > /$i/x; rm -rf /$i/canary-*; cat /$i/x; mv /$i /moved-$i; done 2>&1; echo done";
  for (const driver of drivers)
    needs("userns", ...driverNeeds[driver])(`leads nowhere: ${driver}`, async () => {
      const home = imageHome();
      const canary = plantCanary();
      const lower = archive(symlink("up", canary.dir), directory("down"), file("down/x", "x"), directory("down/sub"));
      // A folder over the link, with entries in it; and a link over the folder.
      const upper = archive(directory("up"), file("up/x", "x"), directory("up/sub"), symlink("down", canary.dir));
      await home.add("img", runnableImage([base, lower, upper]));
      for (const ids of [["--set", "user.uid=0"], []]) {
        const options = ["--overlay-driver", driver, "--set", "rootfs.writable=true", ...ids];
        const { stdout, stderr } = await home.run("img", options, ["/bin/sh", "-c", attack]);
        expect(stdout.trimEnd().split("\n").at(-1), stderr).toBe("done");
        expect(stdout).toMatch(/\/up:\n\.\n\.\.\nsub\nx\n/);
        canary.check(stdout, stderr);
        expect(readdirSync(canary.dir)).toHaveLength(1);
        expect(stdout).not.toContain("canary-");
      }
      // Control: the link in the store does lead there.
      const layers = join(home.store, "layers/single");
      const linked = readdirSync(layers).map((name) => join(layers, name, "diff/up"));
      expect(linked.flatMap((path) => readdirOr(path)).filter((name) => name.startsWith("canary-"))).toHaveLength(1);
    });
});

describe("a folder that is a link to the host's in every other moment", () => {
  const lower = archive(directory("d"), directory("d/s"), ...Array.from({ length: 40 }, (_, i) => file(`d/s/f${i}`, "lower")));
  // Files of lower layers are copied up on the way, by paths of several parts.
  const swap =
    "while [ ! -e /stop ]; do mv /d /e; ln -s DIR /d; rm /d; mv /e /d; mv /d/s /d/r; ln -s DIR /d/s; rm /d/s; mv /d/r /d/s; done";
  const write =
    "i=0; while [ $i -lt 40 ]; do for at in /d /d/s; do echo pwned >> $at/f$i; echo pwned > $at/new$i; mkdir $at/dir$i; ln $at/f$i $at/link$i; cat $at/canary-*; echo pwned > $at/NAME; done; i=$((i+1)); done";
  for (const driver of drivers)
    needs("userns", ...driverNeeds[driver])(`lets nothing through: ${driver}`, async () => {
      const home = imageHome();
      const canary = plantCanary();
      await home.add("img", runnableImage([base, lower]));
      const filled = (text: string): string =>
        text.replaceAll("DIR", canary.dir).replaceAll("NAME", canary.path.slice(canary.dir.length + 1));
      // Control: outside, a write that comes while the link is there lands in the folder.
      const decoy = plantCanary();
      const outside = tempDir("outside");
      symlinkSync(decoy.dir, join(outside, "d"));
      writeFileSync(join(outside, "d/new0"), "pwned");
      expect(readdirSync(decoy.dir)).toContain("new0");
      const options = ["--overlay-driver", driver, "--set", "rootfs.writable=true", "--set", "user.uid=0"];
      const program = ["/bin/sh", "-c", filled(`exec 2>/dev/null; (${swap}) & (${swap}) & ${write}; : > /stop; wait; echo done`)];
      const { stdout, stderr } = await home.run("img", options, program, { deadlineMs: 60_000 });
      expect(stdout.endsWith("done\n"), stderr).toBe(true);
      canary.check(stdout, stderr);
      expect(readdirSync(canary.dir)).toHaveLength(1);
    });
});

function readdirOr(path: string): readonly string[] {
  try {
    return readdirSync(path);
  } catch {
    return [];
  }
}
