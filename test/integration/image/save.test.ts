import { execFileSync, spawnSync } from "node:child_process";
import { randomBytes } from "node:crypto";
import { existsSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { needs } from "../../helpers/abilities.ts";
import { belljarCommand } from "../../helpers/belljar.ts";
import { makeRootfs, type Tools, toolsIn } from "../../helpers/image-tools.ts";
import { tempDir } from "../../helpers/places.ts";

/** A store with one image for each kind of layer. */
function stored(folder: string): Tools {
  const tools = toolsIn(folder);
  const tar = join(folder, "r.tar");
  tools.run("tar", "-C", makeRootfs(folder), "-cf", tar, ".");
  tools.image("import", "-i", tar, "x:plain");
  tools.imageFrom(execFileSync("gzip", ["-c", tar]), "import", "x:gzip");
  tools.imageFrom(execFileSync("zstd", ["-qc", tar]), "import", "x:zstd");
  return tools;
}
const tags = ["plain", "gzip", "zstd"] as const;
const name = (tag: string): string => `docker.io/library/x:${tag}`;

describe("what is saved, others read", () => {
  needs("skopeo", "zstd")("skopeo reads every image of an OCI archive and of one of Docker's, and the store itself", () => {
    const folder = tempDir("save");
    const tools = stored(folder);
    tools.image("save", ...tags.map((tag) => `x:${tag}`), "-o", "oci.tar");
    tools.image("save", ...tags.map((tag) => `x:${tag}`), "-o", "docker.tar", "--format", "docker-archive");
    for (const tag of tags) {
      const { manifest, layers } = JSON.parse(tools.image("inspect", `x:${tag}`)) as {
        readonly manifest: { readonly digest: string };
        readonly layers: readonly { readonly digest: string }[];
      };
      for (const source of [`oci-archive:oci.tar:${name(tag)}`, `oci:${tools.layout}:${name(tag)}`]) {
        const read = JSON.parse(tools.run("skopeo", "inspect", source)) as { readonly Digest: string; readonly Layers: readonly string[] };
        expect({ source, digest: read.Digest, layers: read.Layers }).toEqual({
          source,
          digest: manifest.digest,
          layers: layers.map(({ digest }) => digest),
        });
        tools.run("skopeo", "copy", "-q", source, `dir:${join(folder, "copied")}`);
      }
      // skopeo takes the layers out uncompressed: all three are the same image then.
      tools.run("skopeo", "copy", "-q", `docker-archive:docker.tar:${name(tag)}`, `oci:${join(folder, "back")}:${tag}`);
      expect(tools.image("load", "-i", join(folder, "back"), "--name", `back:${tag}`)).toContain(`back:${tag}`);
      rmLayout(tools, join(folder, "back"));
      expect(diffIds(tools, `back:${tag}`)).toEqual(diffIds(tools, "x:plain"));
    }
  });

  needs("umoci", "zstd")("umoci unpacks images out of the store", () => {
    const folder = tempDir("save");
    const tools = stored(folder);
    expect(tools.run("umoci", "ls", "--layout", tools.layout).trim().split("\n").sort()).toEqual(tags.map(name).sort());
    tools.run("umoci", "unpack", "--rootless", "--image", `${tools.layout}:${name("gzip")}`, join(folder, "bundle"));
    expect(readFileSync(join(folder, "bundle/rootfs/etc/passwd"), "utf8")).toContain("root:");
    expect(statSync(join(folder, "bundle/rootfs/lib/data")).size).toBe(300_000);
  });

  needs("zstd")("an image by its id has all its names; to standard output; the same bytes each time", () => {
    const folder = tempDir("save");
    const tools = stored(folder);
    tools.image("tag", "x:gzip", "registry.test/y:2");
    const { digest } = (JSON.parse(tools.image("inspect", "x:gzip")) as { readonly manifest: { readonly digest: string } }).manifest;
    const [node = "", script = ""] = belljarCommand;
    const env = { PATH: process.env["PATH"], HOME: folder, XDG_DATA_HOME: join(folder, "data") };
    const save = (...args: readonly string[]): Buffer => execFileSync(node, [script, "image", "save", ...args], { env, cwd: folder });
    const archive = save(digest.slice(0, 19));
    expect(archive.equals(save("x:gzip", "registry.test/y:2"))).toBe(true);
    expect(archive.equals(save("x:gzip"))).toBe(false);
    const other = toolsIn(tempDir("save"));
    expect(other.imageFrom(archive, "load").trim().split("\n").sort()).toEqual([
      `loaded ${name("gzip")} (${digest})`,
      `loaded registry.test/y:2 (${digest})`,
    ]);
  });
});

function rmLayout(tools: Tools, layout: string): void {
  tools.run("rm", "-r", layout);
}

function diffIds(tools: Tools, image: string): readonly string[] {
  const { layers } = JSON.parse(tools.image("inspect", image)) as { readonly layers: readonly { readonly diffId: string }[] };
  return layers.map(({ diffId }) => diffId);
}

describe("refusals of the commands", () => {
  /** The error document of a command that fails. */
  function failed(
    tools: Tools,
    ...args: readonly string[]
  ): { readonly code: string; readonly message: string; readonly hint: string | null } {
    try {
      tools.image(...args, "--json");
    } catch (error) {
      const { stdout, status } = error as { readonly stdout: string; readonly status: number };
      expect(status).toBe(125);
      return (JSON.parse(stdout) as { readonly error: { readonly code: string; readonly message: string; readonly hint: string | null } })
        .error;
    }
    throw new Error(`${args.join(" ")} did not fail`);
  }
  needs("zstd")("each says what is wrong, and changes nothing", () => {
    const folder = tempDir("save");
    const tools = stored(folder);
    tools.image("tag", "x:gzip", "y");
    const before = tools.image("ls", "--json");
    const { digest } = (JSON.parse(tools.image("inspect", "y")) as { readonly manifest: { readonly digest: string } }).manifest;
    expect(failed(tools, "inspect", "absent")).toMatchObject({
      code: "image-not-found",
      hint: expect.stringContaining("belljar image ls"),
    });
    expect(failed(tools, "inspect", "UPPER")).toMatchObject({ code: "image-reference" });
    expect(failed(tools, "inspect", "x:plain@sha256:00")).toMatchObject({ code: "image-reference" });
    expect(failed(tools, "rm", "x:plain", "absent")).toMatchObject({ code: "image-not-found" });
    expect(failed(tools, "rm", digest)).toMatchObject({
      code: "usage",
      message: expect.stringContaining("has 2 names"),
      hint: expect.stringContaining("--force"),
    });
    expect(failed(tools, "tag", "x:plain", "a@sha256:00")).toMatchObject({ code: "image-reference" });
    expect(failed(tools, "tag", "x:plain", `a@${digest}`)).toMatchObject({ code: "usage" });
    expect(failed(tools, "save", "x:plain", "-o", folder)).toMatchObject({
      code: "file-unwritable",
      message: expect.stringContaining("is a directory"),
    });
    expect(failed(tools, "save", "x:plain", "--format", "zip")).toMatchObject({ code: "usage", hint: "oci-archive or docker-archive" });
    expect(failed(tools, "save", "absent", "-o", "new.tar")).toMatchObject({ code: "image-not-found" });
    expect(existsSync(join(folder, "new.tar"))).toBe(false);
    expect(failed(tools, "load", "-i", "absent.tar")).toMatchObject({ code: "file-unreadable" });
    expect(failed(tools, "load", "-i", "r.tar", "--platform", "a/b/c/d")).toMatchObject({ code: "usage" });
    expect(tools.image("ls", "--json")).toBe(before);
    expect(tools.image("rm", digest, "--force").split("\n").slice(0, 2).sort()).toEqual([
      "removed docker.io/library/x:gzip",
      "removed docker.io/library/y:latest",
    ]);
    expect(tools.image("verify")).toMatch(/^2 images, 5 blobs/);
  });
  test("a reader of standard output that goes away ends it quietly; a full disk is told as one", () => {
    const folder = tempDir("save");
    // More than a pipe holds, so that the reader is gone while there is more to write.
    writeFileSync(join(folder, "large"), randomBytes(1_000_000));
    const script = `
      tar -c large | "$@" image import large:1 >&2
      ("$@" image save large:1; echo status $? >&2) | head -c 1 > /dev/null
      "$@" image save large:1 > /dev/full; echo status $? >&2`;
    const { stderr } = spawnSync("sh", ["-c", script, "sh", ...belljarCommand], {
      ...{ cwd: folder, encoding: "utf8" as const },
      env: { ...process.env, XDG_DATA_HOME: join(folder, "data") },
    });
    expect(stderr).toMatch(/^imported .*\nstatus 141\nbelljar: writing to standard output: no space left on the device\nstatus 125\n$/);
  });
  test("an empty store lists, verifies and prunes", () => {
    const tools = toolsIn(tempDir("save"));
    expect(JSON.parse(tools.image("ls", "--json"))).toEqual({ schemaVersion: 1, images: [] });
    expect(tools.image("verify")).toContain("all is well");
    expect(tools.image("prune")).toContain("nothing else was to remove");
  });
});
