import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect } from "vitest";
import { needs } from "../../helpers/abilities.ts";
import { makeRootfs, toolsIn } from "../../helpers/image-tools.ts";
import { tempDir } from "../../helpers/places.ts";

interface Inspected {
  readonly names: readonly string[];
  readonly manifest: { readonly digest: string };
  readonly platform: string;
  readonly layers: readonly { readonly mediaType: string; readonly diffId: string }[];
  readonly config: { readonly Cmd?: readonly string[]; readonly Env?: readonly string[] };
}

/** An image of two layers, made by umoci: a root file system, and a change that removes a file. */
function umociImage(tools: ReturnType<typeof toolsIn>, folder: string): string {
  const layout = join(folder, "made");
  tools.run("umoci", "init", "--layout", layout);
  tools.run("umoci", "new", "--image", `${layout}:one`);
  tools.run("umoci", "unpack", "--rootless", "--image", `${layout}:one`, join(folder, "bundle"));
  const rootfs = makeRootfs(folder);
  tools.run("cp", "-a", `${rootfs}/.`, join(folder, "bundle/rootfs"));
  tools.run("umoci", "repack", "--image", `${layout}:one`, join(folder, "bundle"));
  tools.run("umoci", "unpack", "--rootless", "--image", `${layout}:one`, join(folder, "bundle2"));
  tools.run("rm", join(folder, "bundle2/rootfs/etc/passwd"));
  tools.run("umoci", "repack", "--image", `${layout}:one`, join(folder, "bundle2"));
  tools.run("umoci", "config", "--image", `${layout}:one`, "--config.cmd", "/bin/tool", "--config.env", "A=B=C");
  return layout;
}

describe("archives of other tools", () => {
  needs(
    "skopeo",
    "umoci",
    "zstd",
  )("OCI and Docker's, compressed in every way, as a folder, and from standard input: one image", () => {
    const folder = tempDir("load");
    const tools = toolsIn(folder);
    const layout = umociImage(tools, folder);
    const source = `oci:${layout}:one`;
    const [oci, docker] = [join(folder, "oci.tar"), join(folder, "docker.tar")];
    tools.run("skopeo", "copy", "-q", source, `oci-archive:${oci}:quay.test/team/one:1`);
    tools.run("skopeo", "copy", "-q", source, `docker-archive:${docker}:quay.test/team/two:2`);
    tools.run("gzip", "-k", oci);
    tools.run("zstd", "-q", "-k", docker);

    expect(tools.image("load", "-i", layout, "--name", "folder")).toContain("loaded docker.io/library/folder:latest");
    expect(tools.image("load", "-i", oci)).toContain("loaded quay.test/team/one:1 (sha256:");
    expect(tools.image("load", "-i", `${oci}.gz`, "--name", "gzip")).toContain("loaded docker.io/library/gzip:latest");
    expect(tools.image("load", "-i", docker)).toContain("loaded quay.test/team/two:2 (sha256:");
    expect(tools.image("load", "-i", `${docker}.zst`, "--name", "zstd")).toContain("loaded docker.io/library/zstd:latest");
    expect(tools.imageFrom(readFileSync(docker), "load", "--name", "stdin")).toContain("loaded docker.io/library/stdin:latest");

    const inspect = (name: string): Inspected => JSON.parse(tools.image("inspect", name)) as Inspected;
    const first = inspect("folder");
    expect(first.layers).toHaveLength(2);
    expect(first.config).toMatchObject({ Cmd: ["/bin/tool"], Env: expect.arrayContaining(["A=B=C"]) });
    for (const name of ["quay.test/team/one:1", "gzip", "quay.test/team/two:2", "zstd", "stdin"]) {
      expect(
        inspect(name).layers.map(({ diffId }) => diffId),
        name,
      ).toEqual(first.layers.map(({ diffId }) => diffId));
      expect(inspect(name).config, name).toEqual(first.config);
    }
    expect(inspect("quay.test/team/one:1").manifest.digest).toBe(inspect("gzip").manifest.digest);
    expect([...inspect("stdin").names].sort()).toEqual([
      "docker.io/library/stdin:latest",
      "docker.io/library/zstd:latest",
      "quay.test/team/two:2",
    ]);
    expect(tools.image("verify")).toContain("6 images");
  });

  needs("umoci", "skopeo")("an image of several platforms: this machine's is taken, or the one that is asked for", () => {
    const folder = tempDir("load");
    const tools = toolsIn(folder);
    const layout = umociImage(tools, folder);
    for (const [tag, architecture] of [
      ["amd", "amd64"],
      ["arm", "arm64"],
    ] as const) {
      tools.run("umoci", "tag", "--image", `${layout}:one`, tag);
      tools.run("umoci", "config", "--image", `${layout}:${tag}`, "--architecture", architecture);
    }
    interface Index {
      manifests: { annotations?: Record<string, string>; digest: string; platform?: object }[];
    }
    const index = JSON.parse(readFileSync(join(layout, "index.json"), "utf8")) as Index;
    const found = (tag: string) => index.manifests.find(({ annotations }) => annotations?.["org.opencontainers.image.ref.name"] === tag);
    const entries = [
      ["amd", "amd64"],
      ["arm", "arm64"],
    ].map(([tag = "", architecture]) => {
      const { annotations: _, ...entry } = found(tag) ?? { digest: "" };
      return { ...entry, platform: { os: "linux", architecture } };
    });
    writeFileSync(join(layout, "index.json"), JSON.stringify({ schemaVersion: 2, manifests: entries }));
    tools.image("load", "-i", layout, "--name", "mine");
    tools.image("load", "-i", layout, "--name", "other", "--platform", "linux/arm64");
    const here = process.arch === "arm64" ? "linux/arm64" : "linux/amd64";
    expect(JSON.parse(tools.image("inspect", "mine"))).toMatchObject({ platform: here });
    expect(JSON.parse(tools.image("inspect", "other"))).toMatchObject({ platform: "linux/arm64" });
    expect(() => tools.image("load", "-i", layout, "--platform", "linux/s390x")).toThrow(
      /there is none for linux\/s390x, only for linux\/amd64, linux\/arm64/,
    );
  });

  needs("zstd")("a root file system that is no image yet", () => {
    const folder = tempDir("import");
    const tools = toolsIn(folder);
    const rootfs = makeRootfs(folder);
    tools.run("tar", "-C", rootfs, "-cf", join(folder, "r.tar"), ".");
    tools.run("zstd", "-q", "-k", join(folder, "r.tar"));
    expect(tools.image("import", "-i", "r.tar", "mine:1")).toContain("imported docker.io/library/mine:1 (sha256:");
    expect(tools.imageFrom(readFileSync(join(folder, "r.tar.zst")), "import", "mine:2")).toContain("imported docker.io/library/mine:2");
    const [one, two] = ["mine:1", "mine:2"].map((name) => JSON.parse(tools.image("inspect", name)) as Inspected);
    expect(one?.layers[0]?.diffId).toBe(two?.layers[0]?.diffId);
    expect([one, two].map((image) => image?.layers[0]?.mediaType.split(".").at(-1))).toEqual(["tar", "tar+zstd"]);
    expect(() => tools.image("load", "-i", "r.tar")).toThrow(/holds no image\nhint: .*belljar image import/);
  });
});
