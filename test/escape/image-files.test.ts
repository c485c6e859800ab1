// Files of an image that would mean something to a kernel or to the host: set-user-ID programs, devices, whiteouts and marks of overlay file systems.
import { spawnSync } from "node:child_process";
import { chmodSync, existsSync, readdirSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { describe, expect } from "vitest";
import { needs } from "../helpers/abilities.ts";
import { attackProgram, Tries } from "../helpers/attack.ts";
import { plantCanary } from "../helpers/canary.ts";
import { fixtureProgram } from "../helpers/compile.ts";
import { baseLayer, driverNeeds, drivers, type ImageHome, imageHome, runnableImage } from "../helpers/run-image.ts";
import { archive, device, directory, file } from "../helpers/tar-writer.ts";

const base = baseLayer();

/** The unpacked layer that has this file. */
function layerWith(home: ImageHome, world: RegExp, path: string): string {
  const layers = join(home.store, "layers");
  const found = readdirSync(layers)
    .filter((name) => world.test(name))
    .flatMap((name) => readdirSync(join(layers, name)).map((id) => join(layers, name, id)))
    .find((layer) => existsSync(join(layer, "diff", path)));
  if (found === undefined) throw new Error(`no layer with ${path}`);
  return found;
}

describe("a set-user-ID program of root's", () => {
  const attack = attackProgram("attack-privilege");
  const image = runnableImage([
    base,
    archive(
      file("attack", readFileSync(attack), { mode: 0o755 }),
      file("suid", readFileSync(fixtureProgram("list-tree")), { mode: 0o6755 }),
    ),
  ]);
  for (const driver of drivers)
    needs(
      "userns",
      "subids",
      ...driverNeeds[driver],
    )(`gives the program nothing: ${driver}`, async () => {
      const home = imageHome();
      await home.add("img", image);
      for (const options of [
        ["-p", "image", "-u", "1000:1000"],
        ["--set", "user.uid=1000"],
      ]) {
        const { stdout, stderr } = await home.run("img", [...options, "--overlay-driver", driver], ["/attack", "setuid", "/suid"]);
        const tries = new Tries(stdout);
        expect([tries.of("real-uid").result, tries.of("effective-uid").result], stderr).toEqual([1000, 1000]);
        expect((await home.run("img", [...options, "--overlay-driver", driver], ["/bin/stat", "-c", "%a", "/suid"])).stdout).toBe("6755\n");
      }
      // Control: the very file, for the same user of the same ids, where nothing holds it back.
      const layer = join(layerWith(home, /sub|[0-9]/, "suid"), "diff");
      const inside = `cd ${layer} && exec setpriv --reuid 1000 --regid 1000 --clear-groups ./attack setuid ./suid`;
      const open = ["-U", "--map-auto", "--map-root-user", "sh", "-c", `chmod 755 ${layer}/.. && ${inside}`];
      const control = spawnSync("unshare", open, { encoding: "utf8", timeout: 15_000, killSignal: "SIGKILL" });
      expect(new Tries(control.stdout).of("effective-uid").result, control.stderr).toBe(0);
    });

  needs("userns", "subids")("is out of reach for other users of the host", async () => {
    const home = imageHome();
    await home.add("img", image);
    await home.run("img", [], ["/bin/true"]);
    const layer = layerWith(home, /single/, "suid");
    const path = join(layer, "diff/suid");
    expect(statSync(path).mode & 0o7777).toBe(0o6755);
    // Somebody else, who may pass the folders above: a subordinate id is no user of ours.
    for (let dir = join(layer, ".."); dir !== "/" && dir.startsWith(home.folder); dir = join(dir, "..")) chmodSync(dir, 0o755);
    const somebody = ["-U", "--map-auto", "--map-root-user", "setpriv", "--reuid", "77", "--regid", "77", "--clear-groups", "sh", "-c"];
    const attempt = (): string =>
      spawnSync("unshare", [...somebody, `${attack} setuid ${path}`], { encoding: "utf8", timeout: 15_000, killSignal: "SIGKILL" }).stdout;
    expect(attempt()).toContain('"exec","errno":13');
    // Control: with that one folder open it becomes us.
    chmodSync(layer, 0o755);
    expect(new Tries(attempt()).of("effective-uid").result).toBe(0);
  });
});

describe("devices and whiteouts", () => {
  const numbers: Readonly<Record<string, readonly [number, number]>> = {
    mem: [1, 1],
    null: [1, 3],
    kmsg: [1, 11],
    disk: [8, 0],
    gone: [0, 0],
  };
  const upper = archive(
    ...Object.entries(numbers).map(([name, pair]) => device(`t/${name}`, pair, { mode: 0o666 })),
    ...Object.entries(numbers).map(([name, pair]) => device(`dev/${name}`, pair, { mode: 0o666 })),
    file("t/after", "a"),
  );
  const lower = archive(directory("t"), file("t/gone", "lower"), directory("dev"));
  const attack = `ls /t; cat /t/gone; echo; for i in mem kmsg disk; do cat /t/$i /dev/$i; : > /t/$i; done; mknod /t/new c 1 1; mknod /tmp/new b 8 0; ls /dev | tr '\\n' ' '`;
  for (const driver of drivers)
    needs(
      "userns",
      "subids",
      ...driverNeeds[driver],
    )(`of an image are none in the sandbox: ${driver}`, async () => {
      const canary = plantCanary();
      const home = imageHome();
      await home.add("img", runnableImage([base, lower, upper]));
      for (const mode of ["single", "subordinate"]) {
        const options = ["-p", "image", "--set", `user.mode=${mode}`, "--overlay-driver", driver];
        const { stdout, stderr } = await home.run("img", options, ["/bin/sh", "-c", attack]);
        // Whether there could have been any, the control says: what stands beside them is there.
        expect(stdout, stderr).toMatch(/^after\ngone\nlower\n[^\n]*$/);
        expect(stdout.split("\n").at(-1)?.trim().split(" ")).not.toEqual(expect.arrayContaining(["mem"]));
        for (const name of ["mem", "kmsg", "disk"]) expect(stderr).toContain(`/dev/${name}': No such file or directory`);
        expect(stderr.match(/mknod: .*: Operation not permitted/g), stderr).toHaveLength(2);
        canary.check(stdout, stderr);
      }
    });
});
