// Runs that pull first, and runs that go on while images are removed.
import { existsSync, mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect } from "vitest";
import { needs } from "../../helpers/abilities.ts";
import { startBelljar } from "../../helpers/belljar.ts";
import { until } from "../../helpers/deadline.ts";
import { dockerRegistry, push, writeLayout } from "../../helpers/docker-registry.ts";
import { baseLayer, driverNeeds, drivers, imageHome, runnableImage } from "../../helpers/run-image.ts";
import { archive, directory, file } from "../../helpers/tar-writer.ts";

const base = baseLayer();
const version = (text: string) => runnableImage([base, archive(file("version", text))], { Cmd: ["/bin/cat", "/version"] });

describe("run on an image of a registry", () => {
  needs(
    "userns",
    "docker-registry",
    "skopeo",
  )("pulls what is missing, always, or never", async () => {
    const home = imageHome();
    const { host, log } = await dockerRegistry();
    const requests = (): number => log().match(/"(?:GET|HEAD) \/v2\//g)?.length ?? 0;
    const layout = join(home.folder, "layout");
    writeLayout(layout, { one: version("one"), two: version("two") });
    const image = `${host}/t/app`;
    const args = (when: string, reference = image) => ["run", "-q", "--pull", when, "-i", reference];
    const never = await home.command(args("never"), { code: 125, report: false });
    expect(never.stderr).toMatch(/: is not in the store\nhint: .*leave out --pull never/);
    const nowhere = await home.command(args("missing", `${host}/t/none`), { code: 125, report: false });
    expect(nowhere.stderr).toMatch(/^belljar: pulling '.*\/t\/none:latest': /m);

    await push(layout, "one", { to: `${image}:latest` });
    const first = await home.command(args("missing"));
    expect(first.stdout, first.stderr).toBe("one");
    const asked = requests();
    expect(asked).toBeGreaterThan(0);
    for (const when of ["missing", "never"]) expect((await home.command(args(when))).stdout).toBe("one");
    expect(requests(), "what is there is not asked for").toBe(asked);

    await push(layout, "two", { to: `${image}:latest` });
    expect((await home.command(args("missing"))).stdout).toBe("one");
    const again = await home.run(image, ["-q", "--pull", "always"], []);
    expect(again.stdout).toBe("two");
    expect(again.report.sandbox.image).toMatch(new RegExp(`^${image}:latest@sha256:`));
    expect((await home.command(args("never"))).stdout).toBe("two");
    expect((await home.command(args("never", image.replace("/t/app", "/t/app:latest")))).stdout).toBe("two");
    await home.command(["image", "verify"]);
  });
});

describe("images that are removed while they run", () => {
  const layers = [base, ...[0, 1, 2].map((i) => archive(directory(`l${i}`), file(`l${i}/f`, `layer ${i}`)))];
  const words =
    "cat /ready; : > /both/started; while [ ! -e /both/go ]; do sleep 0.02; done; cat /l0/f /l1/f /l2/f && ls -R / > /dev/null; echo; : > /l0/new && echo whole";
  for (const driver of drivers)
    needs("userns", ...driverNeeds[driver])(`stay whole until the run is over: ${driver}`, async () => {
      const home = imageHome();
      await home.addAll({ "t/used:1": runnableImage([...layers, archive(file("ready", "ready\n"))]) });
      const both = join(home.folder, "both");
      mkdirSync(both);
      const options = ["-v", `${both}:/both:rw`, "--overlay-driver", driver, "--set", "rootfs.writable=true", "--wall-time", "none"];
      const handle = startBelljar(["run", "-i", "t/used:1", ...options, "--", "/bin/sh", "-c", words], { env: home.env });
      await until(() => existsSync(join(both, "started")), { what: "the program to run", timeoutMs: 20_000 });
      // Its name goes, its content goes, and all that it still needs stays.
      const removed = await home.command(["image", "rm", "t/used:1", "--json"]);
      expect(JSON.parse(removed.stdout)).toMatchObject({ removed: [{ name: "docker.io/t/used:1" }] });
      const pruned = JSON.parse((await home.command(["image", "prune", "--all", "--json"])).stdout) as {
        readonly inUse: readonly string[];
      };
      expect(pruned.inUse).toHaveLength(5);
      await home.command(["run", "-i", "t/used:1", "--pull", "never", "--", "true"], { code: 125, report: false });
      writeFileSync(join(both, "go"), "");
      const { stdout, stderr, code } = await handle.result;
      expect({ stdout, code }, stderr).toEqual({ stdout: "ready\nlayer 0layer 1layer 2\nwhole\n", code: 0 });
      const after = JSON.parse((await home.command(["image", "prune", "--json"])).stdout) as { readonly layers: readonly string[] };
      expect(after.layers).toHaveLength(5);
    });

  needs("userns", "overlay")(
    "by many at once: each run is whole or is refused, and nothing is left",
    async () => {
      const home = imageHome();
      const image = runnableImage(layers, { Cmd: ["/bin/cat", "/l0/f", "/l1/f", "/l2/f"] });
      await home.addAll({ "t/many:1": image });
      const outcomes: string[] = [];
      const runs = async (): Promise<void> => {
        for (let i = 0; i < 6; i++) {
          const args = ["run", "-q", "-i", "t/many:1", "--pull", "never"];
          const { code, stdout, stderr } = await startBelljar(args, { env: home.env, report: false }).result;
          const missing = code === 125 && stderr.includes("is not in the store");
          outcomes.push(code === 0 && stdout === "layer 0layer 1layer 2" ? "whole" : missing ? "refused" : `${code} ${stdout} ${stderr}`);
        }
      };
      const removals = async (): Promise<void> => {
        for (let i = 0; i < 5; i++) {
          await startBelljar(["image", "rm", "t/many:1"], { env: home.env }).result;
          await startBelljar(["image", "prune", "--all"], { env: home.env }).result;
          await home.addAll({ "t/many:1": image });
        }
      };
      await Promise.all([runs(), runs(), removals()]);
      expect(outcomes.filter((one) => one !== "whole" && one !== "refused")).toEqual([]);
      expect(outcomes).toContain("whole");
      await home.command(["image", "verify"]);
      await home.command(["image", "rm", "t/many:1"]);
      const { stdout } = await home.command(["image", "prune", "--all", "--json"]);
      expect(JSON.parse(stdout)).toMatchObject({ inUse: [], problems: [] });
    },
    180_000,
  );
});
