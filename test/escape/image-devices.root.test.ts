// Real device nodes in a layer, as root of the host may have put there: for programs they open nothing. Only root can make them.
import { spawnSync } from "node:child_process";
import { chmodSync, chownSync, mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { writeLayout } from "../helpers/docker-registry.ts";
import { baseLayer, drivers, runnableImage } from "../helpers/run-image.ts";
import { archive, directory } from "../helpers/tar-writer.ts";

interface Place {
  readonly uid: number;
  readonly gid: number;
  readonly home: string;
  readonly tree: string;
  readonly node: string;
}
const place = JSON.parse(process.env["BELLJAR_TEST_PLACE"] ?? "{}") as Place;
let folder: string;
let plain: string;

const belljar = (...args: readonly string[]) =>
  spawnSync(place.node, [join(place.tree, "dist/belljar.js"), ...args], {
    uid: place.uid,
    gid: place.gid,
    cwd: "/",
    encoding: "utf8",
    timeout: 60_000,
    killSignal: "SIGKILL",
    env: { PATH: "/usr/bin:/bin", HOME: place.home, XDG_DATA_HOME: folder },
  });

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "belljar-devices-"));
  chmodSync(folder, 0o755);
  const layout = join(folder, "layout");
  mkdirSync(layout);
  writeLayout(layout, { "t/devices:1": runnableImage([baseLayer(), archive(directory("t"))]) });
  chownSync(folder, place.uid, place.gid);
  expect(belljar("image", "load", "-i", layout).stderr).toBe("");
  expect(belljar("run", "-q", "-i", "t/devices:1", "--", "/bin/true").status).toBe(0);
  const layers = join(folder, "belljar/layers/single");
  const layer = readdirSync(layers).find((name) => readdirSync(join(layers, name, "diff")).includes("t"));
  const at = join(layers, layer ?? "", "diff/t");
  spawnSync("mknod", ["-m", "666", join(at, "zero"), "c", "1", "5"]);
  spawnSync("mknod", ["-m", "666", join(at, "full"), "c", "1", "7"]);
  plain = join(at, "plain");
  writeFileSync(plain, "plain\n");
  chownSync(plain, place.uid, place.gid);
  // Control: outside, they are what they seem to be, for this very user.
  const head = spawnSync("head", ["-c", "3", join(at, "zero")], { uid: place.uid, gid: place.gid });
  expect([...head.stdout]).toEqual([0, 0, 0]);
});

afterAll(() => rmSync(folder, { recursive: true, force: true }));

test.each(drivers)("a device in a layer cannot be opened: %s", (driver) => {
  const words = "cat /t/plain; for i in zero full; do head -c 3 /t/$i; echo x > /t/$i; done; echo end";
  for (const uid of ["0", "1000"]) {
    const options = ["--overlay-driver", driver, "--set", `user.uid=${uid}`, "--set", "rootfs.writable=true"];
    const { stdout, stderr } = belljar("run", "-i", "t/devices:1", ...options, "--", "/bin/sh", "-c", words);
    expect({ uid, stdout }, stderr).toEqual({ uid, stdout: "plain\nend\n" });
    // Copying leaves them out; what is written is a new file then.
    if (driver !== "copy") expect(stderr.match(/: Permission denied/g), stderr).toHaveLength(4);
    else expect(stderr).toMatch(/\/t\/zero: No such file or directory/);
  }
});

test("a file in a layer whose owner is not in the sandbox: copying it fails, and says why", () => {
  chownSync(plain, 0, 0);
  const { stderr, stdout, status } = belljar("run", "-i", "t/devices:1", "--overlay-driver", "copy", "--", "/bin/true");
  expect([status, stdout]).toEqual([125, ""]);
  expect(stderr).toMatch(/^belljar: sandbox-error: step companionStart .*belljar-apply': EINVAL/);
});
