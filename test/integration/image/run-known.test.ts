// What a run on an image found out is kept for the next one; it must never outlive what it was found in.
import { readdirSync, rmSync } from "node:fs";
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

  needs("userns", "overlay")("leaves nothing in the store when it is over", async () => {
    const { home, env } = freshHome();
    await home.add("t/a:1", saying("one"));
    for (let i = 0; i < 3; i++) await home.run("t/a:1", [], [], { env });
    for (const place of ["sessions", "trash"]) expect(readdirSync(join(home.store, place)), place).toEqual([]);
  });
});
