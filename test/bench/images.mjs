// Images: unpacking and pulling a real Debian against umoci, tar and skopeo; what a run on an image costs; how much memory a pull takes.
import { spawn } from "node:child_process";
import { randomFillSync } from "node:crypto";
import {
  accessSync,
  chmodSync,
  closeSync,
  constants,
  createReadStream,
  createWriteStream,
  existsSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  rmSync,
  statfsSync,
  writeFileSync,
  writeSync,
} from "node:fs";
import { createServer } from "node:net";
import { join } from "node:path";
import { pipeline } from "node:stream/promises";
import { createGzip } from "node:zlib";
import { driveGroup, loadTypeScript, longGroup, memoryOne } from "./measure.mjs";
import { must } from "./native.mjs";

const programs = ["mmdebstrap", "umoci", "skopeo", "docker-registry", "fuse-overlayfs"];
const counts = [10, 60];
const mib = 1024 * 1024;

const remove = (path) => rmSync(path, { recursive: true, force: true });

/** In memory where there is room: what is measured is work, and not how busy a disk is. */
function workFolder(dir) {
  const wanted = 3 * 1024 * mib;
  try {
    accessSync("/dev/shm", constants.W_OK);
    const { type, bavail, bsize } = statfsSync("/dev/shm");
    if (type === 0x01021994 && bavail * bsize > wanted) {
      const folder = mkdtempSync("/dev/shm/belljar-bench-");
      process.on("exit", () => remove(folder));
      return { folder, where: "in memory" };
    }
  } catch {
    // There is none.
  }
  const folder = join(dir, "images");
  mkdirSync(folder);
  return { folder, where: "on disk" };
}

async function freePort() {
  const server = createServer();
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address();
  await new Promise((resolve) => server.close(resolve));
  return port;
}

/** Debian's docker-registry on loopback; ends with this process. */
async function startRegistry(folder) {
  const port = await freePort();
  const config = join(folder, "registry.yml");
  writeFileSync(
    config,
    `version: 0.1\nlog: { level: error, accesslog: { disabled: true } }\nstorage: { filesystem: { rootdirectory: ${folder}/registry } }\nhttp: { addr: "127.0.0.1:${port}", secret: x }\n`,
  );
  const child = spawn("docker-registry", ["serve", config], { stdio: "ignore" });
  process.on("exit", () => child.kill());
  for (const deadline = Date.now() + 10_000; ; await new Promise((resolve) => setTimeout(resolve, 20))) {
    const answer = await fetch(`http://127.0.0.1:${port}/v2/`).catch(() => null);
    if (answer?.ok) break;
    if (Date.now() > deadline) throw new Error("the registry does not answer");
  }
  child.unref();
  return {
    host: `127.0.0.1:${port}`,
    push: (layout, tag, name) =>
      must([
        "skopeo",
        "--insecure-policy",
        "copy",
        "-q",
        "--dest-tls-verify=false",
        `oci:${layout}:${tag}`,
        `docker://127.0.0.1:${port}/${name}`,
      ]),
  };
}

/** A Debian of so many layers: { count, layout, blobs }. */
async function debianImage({ debianTar, splitTar, gzipAll, layoutOf }, folder, count) {
  const layers = join(folder, `layers-${count}`);
  const layout = join(folder, `layout-${count}`);
  mkdirSync(layers);
  const tars = splitTar(debianTar(process.env.BELLJAR_TEST_CACHE ?? folder), { count, folder: layers });
  const blobs = await gzipAll(tars);
  await layoutOf(layout, { tag: "debian", tars, blobs });
  for (const tar of tars) rmSync(tar);
  return { count, layout, blobs };
}

/** An image of one layer of random bytes, which no compression makes smaller. */
async function largeImage({ layoutOf }, folder, sizeMib) {
  const place = join(folder, `large-${sizeMib}`);
  mkdirSync(place);
  const file = openSync(join(place, "data"), "wx");
  const chunk = Buffer.alloc(mib);
  for (let at = 0; at < sizeMib; at++) writeSync(file, randomFillSync(chunk));
  closeSync(file);
  const tar = join(place, "layer.tar");
  must(["tar", "-C", place, "-cf", tar, "--remove-files", "data"]);
  const blob = `${tar}.gz`;
  await pipeline(createReadStream(tar, { highWaterMark: mib }), createGzip({ level: 0 }), createWriteStream(blob));
  const layout = join(place, "layout");
  await layoutOf(layout, { tag: "large", tars: [tar], blobs: [blob] });
  rmSync(tar);
  const archive = join(place, "archive.tar");
  must(["tar", "-C", layout, "-cf", archive, "."]);
  return { sizeMib, layout, archive };
}

/** A store of belljar's: the environment that names it, and what is taken out of it between two measurements. */
function storeIn(folder, withoutCgroup) {
  const data = join(folder, "data");
  return {
    env: { XDG_DATA_HOME: data, XDG_CONFIG_HOME: withoutCgroup },
    clear: () => remove(data),
    forgetLayers: () => remove(join(data, "belljar/layers/single")),
  };
}

async function unpackGroup({ folder, where, belljar, store, rounds }, { count, layout, blobs }) {
  const [bundle, tree] = [join(folder, "bundle"), join(folder, "tree")];
  const cases = [
    {
      name: "umoci unpack --rootless",
      argv: ["umoci", "unpack", "--rootless", "--image", `${layout}:debian`, bundle],
      before: () => remove(bundle),
      note: must(["umoci", "--version"]).trim(),
    },
    {
      name: "tar -xz, layer after layer",
      argv: ["/bin/sh", "-c", `for blob in ${blobs.join(" ")}; do tar -C ${tree} -xzf "$blob" || exit 1; done`],
      before: () => {
        remove(tree);
        mkdirSync(tree);
      },
      note: "digests are not checked, whiteouts not understood",
    },
    {
      name: "belljar run -i … -- /bin/true",
      argv: [...belljar, "run", "-i", `debian-${count}:1`, "--", "/bin/true"],
      env: store.env,
      before: store.forgetLayers,
      note: "unpacks, and runs",
    },
  ];
  const group = await longGroup({ title: `Unpacking a Debian of ${count} layers, ${where}`, cases, rounds });
  remove(bundle);
  remove(tree);
  return group;
}

function pullGroups({ folder, where, belljar, store, rounds }, registry, count) {
  const [layout, bundle] = [join(folder, "pulled"), join(folder, "bundle")];
  const name = `${registry.host}/debian:${count}`;
  const copy = ["skopeo", "--insecure-policy", "copy", "-q", "--src-tls-verify=false", `docker://${name}`, `oci:${layout}:debian`];
  const clear = () => {
    remove(layout);
    remove(bundle);
  };
  const title = `Debian of ${count} layers from a registry on loopback, ${where}`;
  return [
    () =>
      longGroup({
        title: `Pulling a ${title}`,
        rounds,
        cases: [
          { name: "skopeo copy to an OCI layout", argv: copy, before: clear, note: must(["skopeo", "--version"]).trim() },
          {
            name: "belljar pull",
            argv: [...belljar, "pull", "-q", name],
            env: store.env,
            before: store.clear,
            note: "digests checked, each blob synced",
          },
        ],
      }),
    () =>
      longGroup({
        title: `Pulling and unpacking a ${title}`,
        rounds,
        cases: [
          {
            name: "skopeo copy, then umoci unpack",
            argv: ["/bin/sh", "-c", `${copy.join(" ")} && umoci unpack --rootless --image ${layout}:debian ${bundle}`],
            before: clear,
          },
          {
            name: "belljar run -i … -- /bin/true",
            argv: [...belljar, "run", "-i", name, "--", "/bin/true"],
            env: store.env,
            before: store.clear,
            note: "pulls, unpacks, and runs",
          },
        ],
      }),
  ];
}

function startGroup({ dir, belljar, store, rounds }, count) {
  const base = ["/usr/bin/env", ...Object.entries(store.env).map(([name, value]) => `${name}=${value}`), ...belljar, "run"];
  const on = (driver) => [...base, "-i", `debian-${count}:1`, "--overlay-driver", driver, "--", "/bin/true"];
  const cases = [
    { name: "on the host's /usr", argv: [...base, "--", "/bin/true"] },
    { name: "on the image, kernel overlay", argv: on("kernel") },
    { name: "on the image, fuse-overlayfs", argv: on("fuse-overlayfs") },
  ];
  return driveGroup({ dir }, { title: `belljar run … -- /bin/true, image of ${count} layers unpacked, no cgroup`, cases, rounds });
}

async function memoryGroup({ folder, belljar, store }, registry, images) {
  const cases = images.flatMap(({ sizeMib, archive }) => [
    { name: `pull, ${sizeMib} MiB`, argv: [...belljar, "pull", "-q", `${registry.host}/large:${sizeMib}`] },
    { name: `image load, ${sizeMib} MiB`, argv: [...belljar, "image", "load", "-i", archive, "--name", "large:1"] },
  ]);
  const prepared = cases.map((one) => ({ ...one, env: store.env, before: store.clear, note: "the command and its helpers together" }));
  try {
    return await longGroup({ title: "Peak memory of an image of one layer", unit: "MiB", rounds: 2, cases: prepared }, memoryOne);
  } finally {
    store.clear();
    remove(join(folder, "registry"));
  }
}

export async function* imageGroups({ dir, rounds, belljar, withoutCgroup }) {
  const missing = programs.filter((name) => !["/usr/bin", "/usr/local/bin"].some((place) => existsSync(join(place, name))));
  if (missing.length > 0) {
    console.error(`the images are not measured: not installed: ${missing.join(", ")}`);
    return;
  }
  const debian = await loadTypeScript(dir, "test/helpers/debian.ts");
  const { folder, where } = workFolder(dir);
  chmodSync(folder, 0o755);
  const store = storeIn(folder, withoutCgroup);
  const context = { dir, folder, where, belljar, store, rounds: Math.max(3, Math.floor(rounds / 40)) };
  const registry = await startRegistry(folder);
  for (const count of counts) {
    const image = await debianImage(debian, folder, count);
    must([...belljar, "image", "load", "-i", image.layout, "--name", `debian-${count}:1`], { env: { ...process.env, ...store.env } });
    registry.push(image.layout, "debian", `debian:${count}`);
    yield await unpackGroup(context, image);
    remove(image.layout);
    remove(join(folder, `layers-${count}`));
    yield startGroup({ ...context, rounds: Math.max(5, Math.floor(rounds / 4)) }, count);
  }
  for (const group of pullGroups(context, registry, counts[0])) yield await group();
  // On disk: these are large, and their time does not matter.
  const large = join(dir, "large");
  mkdirSync(large);
  const largeRegistry = await startRegistry(large);
  const images = [];
  for (const sizeMib of [200, 2048]) {
    const image = await largeImage(debian, large, sizeMib);
    largeRegistry.push(image.layout, "large", `large:${sizeMib}`);
    remove(image.layout);
    images.push(image);
  }
  yield await memoryGroup({ ...context, folder: large, store: storeIn(large, withoutCgroup) }, largeRegistry, images);
}
