// Images that a sandbox can run, made from nothing but the machine's static busybox, and a home with a store of its own to keep them in.
import { randomBytes } from "node:crypto";
import { mkdirSync, readFileSync, rmSync } from "node:fs";
import { userInfo } from "node:os";
import { join } from "node:path";
import { expect, onTestFinished } from "vitest";
import { hostFiles } from "../../cli/host/host-files.ts";
import { subordinateFacts } from "../../cli/host/subid.ts";
import { digestOf } from "../../cli/image/digest.ts";
import { removeUnpacked } from "../../cli/image/layer/helper.ts";
import { mediaTypes } from "../../cli/image/media-types.ts";
import type { Descriptor, Digest, ImageConfig } from "../../cli/image/oci-types.ts";
import { subordinateMaps } from "../../policy/compile/ids.ts";
import type { RunReport } from "../../policy/verdict/report-types.ts";
import { whyMissing } from "./abilities.ts";
import { type BelljarOptions, type BelljarResult, belljar } from "./belljar.ts";
import { fixtureProgram } from "./compile.ts";
import { writeLayout } from "./docker-registry.ts";
import { makeTempDir } from "./places.ts";
import type { TestImage } from "./registry.ts";
import { archive, directory, file, hardlink, symlink } from "./tar-writer.ts";

export const drivers = ["kernel", "fuse-overlayfs", "copy"] as const;
export type Driver = (typeof drivers)[number];

const busyboxPaths = ["/bin/busybox", "/usr/bin/busybox", "/sbin/busybox", "/bin/busybox.static"];

export function readBusybox(): Buffer {
  for (const path of busyboxPaths)
    try {
      return readFileSync(path);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== "ENOENT") throw error;
    }
  throw new Error(`no busybox in ${busyboxPaths.join(", ")}`);
}

const applets = [
  ..."cat chmod chown cp dd env false find grep head hostname id ln ls mkdir mkfifo mknod mount mv".split(" "),
  ..."printf ps pwd readlink rm rmdir seq sh sleep stat tail test touch true umount wc".split(" "),
];

/** The lowest layer of most images here: busybox, the accounts that images have, and `list-tree` where it is asked for. */
export function baseLayer({ tools = false }: { readonly tools?: boolean } = {}): Buffer {
  return archive(
    directory("bin"),
    file("bin/busybox", readBusybox(), { mode: 0o755 }),
    ...applets.map((name) => hardlink(`bin/${name}`, "bin/busybox")),
    ...(tools ? [file("bin/list-tree", readFileSync(fixtureProgram("list-tree")), { mode: 0o755 })] : []),
    directory("etc"),
    file("etc/passwd", "root:x:0:0:root:/root:/bin/sh\ndaemon:x:1:1::/:/bin/false\nweb:x:33:33::/srv:/bin/sh\n"),
    file("etc/group", "root:x:0:\ndaemon:x:1:\nweb:x:33:\nadm:x:4:web,daemon\nlog:x:44:web\n"),
    directory("root", 0o700),
    directory("tmp", 0o1777),
    symlink("lib", "usr/lib"),
    directory("usr/lib"),
  );
}

/** An image of plain tar archives, lowest first. */
export function runnableImage(layers: readonly Buffer[], config: ImageConfig["config"] = {}): TestImage {
  const blobs = new Map<Digest, Buffer>();
  const add = (bytes: Buffer, mediaType: string): Descriptor => {
    const digest = digestOf(bytes);
    blobs.set(digest, bytes);
    return { mediaType, digest, size: bytes.length };
  };
  const descriptors = layers.map((layer) => add(layer, mediaTypes.layerTar));
  const document = {
    architecture: process.arch === "arm64" ? "arm64" : "amd64",
    os: "linux",
    config,
    rootfs: { type: "layers", diff_ids: descriptors.map(({ digest }) => digest) },
  };
  const configDescriptor = add(Buffer.from(JSON.stringify(document)), mediaTypes.ociConfig);
  const manifest = { schemaVersion: 2, mediaType: mediaTypes.ociManifest, config: configDescriptor, layers: descriptors };
  const descriptor = add(Buffer.from(JSON.stringify(manifest)), mediaTypes.ociManifest);
  return { descriptor, layers: descriptors, config: configDescriptor, blobs };
}

export type ImageRunResult = BelljarResult & { readonly report: RunReport };

export interface ImageHome {
  readonly folder: string;
  /** Of the store: contains images/, layers/ and the like. */
  readonly store: string;
  readonly env: Readonly<Record<string, string>>;
  /** Puts an image into the store under a name. */
  add(name: string, image: TestImage): Promise<void>;
  /** The same for many, under names that are references as they are: "t/name:1". */
  addAll(images: Readonly<Record<string, TestImage>>): Promise<void>;
  /** `belljar run -i NAME OPTIONS… -- COMMAND…`; fails without a report. */
  run(image: string, options: readonly string[], command: readonly string[], more?: BelljarOptions): Promise<ImageRunResult>;
  /** Any other command, which must succeed unless `code` says otherwise. */
  command(args: readonly string[], options?: BelljarOptions & { readonly code?: number }): Promise<BelljarResult>;
}

/** Removes a home, with what subordinate ids own in it. */
async function removeHome(folder: string): Promise<void> {
  if (whyMissing("subids") === null) {
    const { uid, gid, username } = userInfo();
    const subordinate = subordinateFacts(hostFiles(), { name: username, uid });
    const maps = subordinateMaps({ subordinate, uid, gid, userName: username, freeSubordinateIds: null });
    await removeUnpacked(folder, { kind: "subordinate", ...maps, unmapped: "squash" });
  }
  rmSync(folder, { recursive: true, force: true });
}

/** A home for this test; `odd` is a part of the store's path. */
export function imageHome({ odd = "" }: { readonly odd?: string } = {}): ImageHome {
  const folder = makeTempDir("home");
  onTestFinished(() => removeHome(folder));
  const data = join(folder, `data${odd}`);
  mkdirSync(data, { recursive: true });
  const env = { XDG_DATA_HOME: data };
  const command: ImageHome["command"] = async (args, { code = 0, ...options } = {}) => {
    const result = await belljar(args, { ...options, env: { ...env, ...options.env } });
    expect(result.code, `belljar ${args.join(" ")}: ${result.stderr}`).toBe(code);
    return result;
  };
  const load = async (images: Readonly<Record<string, TestImage>>, ...options: readonly string[]): Promise<void> => {
    const layout = join(folder, `layout-${randomBytes(6).toString("hex")}`);
    writeLayout(layout, images);
    await command(["image", "load", "-i", layout, ...options]);
    rmSync(layout, { recursive: true });
  };
  return {
    folder,
    store: join(data, "belljar"),
    env,
    command,
    add: async (name, image) => {
      await load({ [name]: image }, "--name", name);
    },
    addAll: (images) => load(images),
    run: async (image, options, words, more = {}) => {
      const args = ["run", "-i", image, ...options, ...(words.length > 0 ? ["--", ...words] : [])];
      const result = await belljar(args, { ...more, env: { ...env, ...more.env } });
      if (result.report === null) throw new Error(`no report; exit ${result.code}; stderr: ${result.stderr}`);
      return { ...result, report: result.report };
    },
  };
}

/** What a test needs for one of the drivers. */
export const driverNeeds = { kernel: ["overlay"], "fuse-overlayfs": ["fuse", "fuse-overlayfs"], copy: [] } as const;
