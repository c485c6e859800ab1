import { randomBytes, randomInt } from "node:crypto";
import { mkdirSync, readdirSync, renameSync, statSync, writeFileSync } from "node:fs";
import { userInfo } from "node:os";
import { join } from "node:path";
import { describe, expect, onTestFinished, test } from "vitest";
import { hostFiles } from "../../../cli/host/host-files.ts";
import { subordinateFacts } from "../../../cli/host/subid.ts";
import { chainIds, digestOf } from "../../../cli/image/digest.ts";
import type { LayerIds } from "../../../cli/image/layer/ids.ts";
import type { Digest } from "../../../cli/image/oci-types.ts";
import { importRootfs } from "../../../cli/image/sources/rootfs-tar.ts";
import { openStore, type Store } from "../../../cli/image/store.ts";
import { removeTree } from "../../../cli/image/store-remove.ts";
import { unpackImage } from "../../../cli/image/unpack.ts";
import { needs } from "../../helpers/abilities.ts";
import { makeTempDir } from "../../helpers/places.ts";
import { startStoreWorker } from "../../helpers/store-worker-start.ts";
import { header, padded } from "../../helpers/tar-writer.ts";

function scratch(): string {
  const folder = makeTempDir("store");
  onTestFinished(async () => {
    await removeTree(folder, { trash: join(folder, "..") });
  });
  return folder;
}

async function openAt(root: string): Promise<Store> {
  const store = await openStore(root);
  onTestFinished(() => store.close());
  return store;
}

type Files = readonly (readonly [name: string, content: Uint8Array | string])[];
const tar = (files: Files): Buffer =>
  Buffer.concat([
    ...files.flatMap(([name, content]) => [header({ name, size: Buffer.byteLength(content) }), padded(content)]),
    Buffer.alloc(1024),
  ]);
const json = (value: unknown): Buffer => Buffer.from(JSON.stringify(value));
const hex = (content: Uint8Array): string => digestOf(content).slice(7);
const files = (layer: number, count: number): Files =>
  Array.from({ length: count }, (_, n) => [`l${layer}-${n}`, randomBytes(randomInt(20_000))] as const);

interface Archive {
  readonly path: string;
  readonly diffIds: readonly Digest[];
}

/** An archive of docker save with random content: large enough that a kill finds it half read, or half unpacked. */
function makeArchive(folder: string, name: string): Archive {
  const contents = [0, 1, 2].map((layer) => files(layer, 60));
  const layers = contents.map(tar);
  const diffIds = layers.map((layer) => digestOf(layer));
  const config = json({
    architecture: process.arch === "arm64" ? "arm64" : "amd64",
    os: "linux",
    rootfs: { type: "layers", diff_ids: diffIds },
  });
  const list = [{ Config: `${hex(config)}.json`, RepoTags: [name], Layers: layers.map((layer) => `${hex(layer)}.tar`) }];
  const path = join(folder, `${name.replace(":", "-")}.tar`);
  const blobs = [...layers.map((layer) => [`${hex(layer)}.tar`, layer] as const), [`${hex(config)}.json`, config] as const];
  writeFileSync(path, tar([...blobs, ["manifest.json", json(list)]]));
  return { path, diffIds };
}

/** An operation that nobody kills. */
async function work(root: string, operation: string, argument: string): Promise<void> {
  const worker = await startStoreWorker(root, operation, argument);
  expect(await worker.ended).toMatchObject({ code: 0, stderr: "" });
}

needs("userns")("never loses the layers of a running sandbox, and loses them when it is killed", async () => {
  const folder = scratch();
  const root = join(folder, "belljar");
  const archive = makeArchive(folder, "used:1");
  const store = await openAt(root);
  await work(root, "load", archive.path);
  await work(root, "unpack", "used:1");
  const [bottom] = chainIds(archive.diffIds);
  // In namespaces of its own, where process ids and abstract sockets mean nothing to us.
  const apart = ["unshare", "-Urnpf", "--kill-child"];
  for (const prefix of [apart, []]) {
    const sandbox = await startStoreWorker(root, "hold", bottom, prefix);
    await sandbox.said("held");
    await work(root, "remove", "");
    expect(store.hasLayer(bottom as Digest)).toBe(true);
    expect((await store.verify()).layers).toBe(1);
    expect(readdirSync(store.layerPath(bottom as Digest))).toHaveLength(60);
    sandbox.child.kill("SIGKILL");
    await sandbox.ended;
  }
  expect((await store.prune()).layers).toHaveLength(1);
  expect(store.hasLayer(bottom as Digest)).toBe(false);
});

/** The caller as 0, subordinate ids from 1. */
function subordinateIds(): LayerIds {
  const { uid, gid, username } = userInfo();
  const { uids, gids, newuidmap, newgidmap } = subordinateFacts(hostFiles(), { name: username, uid });
  const maps = (own: number, start = 0) => [
    { containerId: 0, hostId: own, size: 1 },
    { containerId: 1, hostId: start, size: 65535 },
  ];
  return {
    kind: "subordinate",
    uidMaps: maps(uid, uids[0]?.start),
    gidMaps: maps(gid, gids[0]?.start),
    newuidmap: newuidmap ?? "",
    newgidmap: newgidmap ?? "",
    unmapped: "fail",
  };
}

describe("files of subordinate ids", () => {
  const tree = Buffer.concat([
    header({ name: "closed/", type: "5", mode: 0o700, uid: 1000, gid: 1000 }),
    header({ name: "closed/f", uid: 1000, gid: 1000, mode: 0o400, size: 1 }),
    padded("x"),
    Buffer.alloc(1024),
  ]);
  needs("subids")("are removed with their image, and with a process that died over them", async () => {
    const folder = scratch();
    const store = await openAt(join(folder, "belljar"));
    writeFileSync(join(folder, "r.tar"), tree);
    const { descriptor } = await importRootfs({ store, input: join(folder, "r.tar"), name: "owned" });
    const { manifest, config } = await store.readImage(descriptor, "owned");
    const ids = subordinateIds();
    const { layers, world } = await unpackImage({ store, name: "owned", manifest, config, ids });
    const [layer] = layers;
    expect(statSync(join(layer?.path ?? "", "closed")).uid).not.toBe(process.getuid?.());
    // What a killed process leaves: the same files in a session that nobody listens in.
    const dead = join(store.paths.sessions, "0123456789abcdef");
    mkdirSync(dead);
    renameSync(join(layer?.path ?? "", ".."), join(dead, "layer-0"));
    expect(store.hasLayer(layer?.chainId as Digest, world)).toBe(false);
    await unpackImage({ store, name: "owned", manifest, config, ids });
    await store.removeReferences(() => true);
    const { layers: removed, deadSessions, problems } = await store.prune();
    expect({ removed: removed.length, deadSessions, problems }).toEqual({ removed: 1, deadSessions: 1, problems: [] });
    for (const place of ["sessions", "trash"] as const) expect(readdirSync(store.paths[place]), place).toEqual([]);
  });
});

describe("a store that many use at once", () => {
  needs("userns")(
    "ends with all that was asked for",
    async () => {
      const folder = scratch();
      const root = join(folder, "belljar");
      const archives = ["a:1", "b:1", "c:1"].map((name) => makeArchive(folder, name));
      const store = await openAt(root);
      const loads = archives.flatMap(({ path }) => [path, path]);
      const workers = await Promise.all(loads.map((path) => startStoreWorker(root, "load", path)));
      for (const worker of workers) expect(await worker.ended).toMatchObject({ code: 0, stderr: "" });
      expect((await store.list()).map(({ name }) => name).sort()).toEqual(["a:1", "b:1", "c:1"].map((name) => `docker.io/library/${name}`));
      const unpacking = await Promise.all(["a:1", "a:1", "b:1", "a:1"].map((name) => startStoreWorker(root, "unpack", name)));
      for (const worker of unpacking) expect(await worker.ended).toMatchObject({ code: 0, stderr: "" });
      expect(await store.verify()).toMatchObject({ images: 3, layers: 6, problems: [] });
      // Somebody removes while others load: each load is there whole or gone whole, and none fails.
      const mixed = await Promise.all([
        ...loads.map((path) => startStoreWorker(root, "load", path)),
        startStoreWorker(root, "remove"),
        startStoreWorker(root, "remove"),
      ]);
      for (const worker of mixed) expect(await worker.ended).toMatchObject({ code: 0, stderr: "" });
      expect((await store.verify()).problems).toEqual([]);
      expect(readdirSync(store.paths.sessions)).toEqual([]);
    },
    120_000,
  );
});

test("no space left: the store is as it was, and says why", async () => {
  // Instead of a full disk, the limit of the kernel on the size of files: the same call fails, with EFBIG.
  const { execFile } = await import("node:child_process");
  const folder = scratch();
  const root = join(folder, "belljar");
  const archive = makeArchive(folder, "full:1");
  await (await openStore(root)).close();
  const { belljarCommand } = await import("../../helpers/belljar.ts");
  const script = `trap '' XFSZ; ulimit -f 100; exec "$@"`;
  const stderr = await new Promise<string>((resolve) => {
    execFile(
      "sh",
      ["-c", script, "sh", ...belljarCommand, "image", "load", "-i", archive.path],
      { env: { ...process.env, XDG_DATA_HOME: folder } },
      (error, _stdout, text) => resolve(`${error?.code} ${text}`),
    );
  });
  expect(stderr).toMatch(/^125 belljar: writing to the image store: '.*': larger than a file may be \(ulimit -f\)\n/);
  const store = await openAt(root);
  expect(await store.verify()).toMatchObject({ images: 0, blobs: 0, problems: [] });
  expect(readdirSync(store.paths.sessions)).toEqual([]);
});

needs("userns")("on a full disk images can still be removed", async () => {
  const { execFile } = await import("node:child_process");
  const { promisify } = await import("node:util");
  const { belljarCommand } = await import("../../helpers/belljar.ts");
  const folder = scratch();
  const archive = makeArchive(folder, "full:1");
  const home = join(folder, "small");
  mkdirSync(home);
  // Within a file system of its own, as an ordinary user again.
  const inside = `
    export XDG_DATA_HOME="$1" archive="$2"; shift 2
    "$@" image load -i "$archive" && "$@" image tag full:1 full:2
    dd if=/dev/zero of="$XDG_DATA_HOME/fill" bs=1k 2>/dev/null
    "$@" image load -i "$archive" 2>&1 | grep -o 'no space left'
    "$@" image rm full:2 && "$@" image rm full:1 && rm "$XDG_DATA_HOME/fill" && "$@" image verify`;
  const mount = 'mount -t tmpfs -o size=4m,mode=700 none "$1" && exec unshare --user --map-user=1000 --map-group=1000 sh -c "$0" sh "$@"';
  const { stdout } = await promisify(execFile)("unshare", [
    ...["--user", "--map-root-user", "--mount", "sh", "-c", mount, inside, home, archive.path],
    ...belljarCommand,
  ]);
  expect(stdout).toMatch(
    /no space left\n(.*\n)*removed docker.io\/library\/full:1\nremoved \d+ blobs.*\n0 images, 0 blobs.*: all is well\n$/,
  );
});
