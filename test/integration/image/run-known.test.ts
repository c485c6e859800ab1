// What a run on an image found out is kept for the next one; it must never outlive what it was found in.
import { existsSync, readdirSync, readFileSync, rmSync, utimesSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect } from "vitest";
import { needs } from "../../helpers/abilities.ts";
import { baseLayer, type ImageHome, imageHome, runnableImage } from "../../helpers/run-image.ts";
import { archive, file } from "../../helpers/tar-writer.ts";

const saying = (text: string) => runnableImage([baseLayer(), archive(file("said", text))], { Cmd: ["cat", "/said"] });

/** A home with a cache of its own, so that nothing is known before. */
function freshHome(): { readonly home: ImageHome; readonly env: Readonly<Record<string, string>>; readonly kept: () => readonly string[] } {
  const home = imageHome();
  const cache = join(home.folder, "cache");
  return { home, env: { XDG_CACHE_HOME: cache }, kept: () => readdirSync(join(cache, "belljar/images")) };
}

describe("a run on an image that was run before", () => {
  needs("userns", "overlay")("reads no document of it again, until the index changes", async () => {
    const { home, env, kept } = freshHome();
    const image = saying("one");
    await home.add("t/a:1", image);
    expect((await home.run("t/a:1", [], [], { env })).stdout).toBe("one");
    expect(kept()).toHaveLength(1);
    rmSync(join(home.store, "images/blobs", image.config.digest.replace(":", "/")));
    expect((await home.run("t/a:1", [], [], { env })).stdout).toBe("one");
    await home.add("t/b:1", saying("two"));
    const { stderr } = await home.command(["run", "-i", "t/a:1"], { env, code: 125 });
    expect(stderr).toContain(image.config.digest);
    expect(stderr).toContain("is missing");
  });

  needs("userns", "overlay")("runs what the name means now", async () => {
    const { home, env } = freshHome();
    await home.add("t/a:1", saying("one"));
    expect((await home.run("t/a:1", [], [], { env })).stdout).toBe("one");
    await home.add("t/a:1", saying("two"));
    const { stdout, report } = await home.run("t/a:1", [], [], { env });
    expect(stdout).toBe("two");
    expect(report.sandbox.image).toContain("t/a:1@sha256:");
    await home.command(["image", "rm", "t/a:1"], { env });
    const { stderr } = await home.command(["run", "--pull", "never", "-i", "t/a:1"], { env, code: 125 });
    expect(stderr).toContain("is not in the store");
  });

  needs("userns", "overlay")("unpacks again what is not there any more", async () => {
    const { home, env } = freshHome();
    await home.add("t/a:1", saying("one"));
    await home.run("t/a:1", [], [], { env });
    const layers = join(home.store, "layers/single");
    for (const name of readdirSync(layers)) rmSync(join(layers, name), { recursive: true });
    expect((await home.run("t/a:1", [], [], { env })).stdout).toBe("one");
    expect(readdirSync(layers)).toHaveLength(2);
  });

  needs("userns", "overlay")("asks again who somebody is when another is named", async () => {
    const { home, env } = freshHome();
    await home.add("t/a:1", saying("one"));
    const id = async (user: string): Promise<string> => (await home.run("t/a:1", ["-u", user], ["id", "-u"], { env })).stdout.trim();
    expect(await id("web")).toBe("33");
    expect(await id("daemon")).toBe("1");
    expect(await id("web")).toBe("33");
  });

  needs("userns", "overlay")(
    "brings layers that are not fresh any more to the disk; until then they are good for this boot only",
    async () => {
      const { home, env } = freshHome();
      await home.add("t/a:1", saying("one"));
      await home.run("t/a:1", [], [], { env });
      const layers = join(home.store, "layers/single");
      const marks = (): readonly string[] => readdirSync(layers).map((name) => join(layers, name, "unsettled"));
      const old = (Date.now() - 3_600_000) / 1000;
      for (const mark of marks()) utimesSync(mark, old, old);
      // What is known says that they are fresh; so the index is changed, for the run to look again.
      await home.add("t/b:1", saying("two"));
      expect((await home.run("t/a:1", [], [], { env })).stdout).toBe("one");
      expect(marks().filter((mark) => existsSync(mark))).toEqual([]);
      const [first = ""] = marks();
      writeFileSync(first, "another boot");
      await home.add("t/b:1", saying("three"));
      expect((await home.run("t/a:1", [], [], { env })).stdout).toBe("one");
      expect(readFileSync(first, "utf8")).not.toBe("another boot");
    },
  );

  needs("userns", "overlay")("leaves nothing in the store when it is over", async () => {
    const { home, env } = freshHome();
    await home.add("t/a:1", saying("one"));
    for (let i = 0; i < 3; i++) await home.run("t/a:1", [], [], { env });
    for (const place of ["sessions", "trash"]) expect(readdirSync(join(home.store, place)), place).toEqual([]);
  });
});
