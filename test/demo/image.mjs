// A small OCI image for the demo, made here and now, without any network: busybox below, a greeting above it, and on top a layer that takes the
// greeting away and adds another file. An image layout as the OCI image specification has it; `belljar image load` reads it.
import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { chmodSync, copyFileSync, existsSync, mkdirSync, readdirSync, symlinkSync, writeFileSync } from "node:fs";
import { join, relative } from "node:path";
import { gzipSync } from "node:zlib";

const applets = ["cat", "echo", "ls", "mkdir", "rm", "sh", "touch"];
const busybox = ["/bin/busybox", "/usr/bin/busybox", "/sbin/busybox", "/bin/busybox.static"].find((path) => existsSync(path));

/** Each makes the files of one layer in an empty folder. `.wh.NAME` takes away what layers below have under the name. */
const layers = [
  (at) => {
    for (const folder of ["bin", "etc", "tmp"]) mkdirSync(join(at, folder));
    copyFileSync(busybox, join(at, "bin/busybox"));
    chmodSync(join(at, "bin/busybox"), 0o755);
    for (const name of applets) symlinkSync("busybox", join(at, "bin", name));
    writeFileSync(join(at, "etc/passwd"), "root:x:0:0:root:/root:/bin/sh\nguest:x:1000:1000::/work:/bin/sh\n");
  },
  (at) => {
    mkdirSync(join(at, "srv"));
    writeFileSync(join(at, "srv/greeting"), "hello from the second layer\n");
    writeFileSync(join(at, "srv/kept"), "kept from the second layer\n");
  },
  (at) => {
    mkdirSync(join(at, "srv"));
    writeFileSync(join(at, "srv/.wh.greeting"), "");
    writeFileSync(join(at, "srv/added"), "added by the third layer\n");
  },
];

const digestOf = (bytes) => `sha256:${createHash("sha256").update(bytes).digest("hex")}`;

function archive(folder) {
  const args = ["--create", "--numeric-owner", "--owner=0", "--group=0", "--sort=name", "--mtime=@1700000000", "-C", folder, "."];
  const { status, stdout, stderr } = spawnSync("tar", args, { maxBuffer: 64 * 1024 * 1024 });
  if (status !== 0) throw new Error(`tar: ${stderr}`);
  return stdout;
}

/** Writes the layout into a folder that is not there yet; returns how many layers it has. */
export function makeImage(folder, name) {
  const blobs = join(folder, "blobs/sha256");
  mkdirSync(blobs, { recursive: true });
  const put = (mediaType, bytes) => {
    const digest = digestOf(bytes);
    writeFileSync(join(blobs, digest.slice("sha256:".length)), bytes);
    return { mediaType, digest, size: bytes.length };
  };
  const putJson = (mediaType, value) => put(mediaType, Buffer.from(JSON.stringify(value)));
  const archives = layers.map((make, index) => {
    const at = join(folder, `layer-${index + 1}`);
    mkdirSync(at);
    make(at);
    return archive(at);
  });
  const manifest = putJson("application/vnd.oci.image.manifest.v1+json", {
    schemaVersion: 2,
    mediaType: "application/vnd.oci.image.manifest.v1+json",
    config: putJson("application/vnd.oci.image.config.v1+json", {
      architecture: process.arch === "arm64" ? "arm64" : "amd64",
      os: "linux",
      config: {
        Env: ["PATH=/bin", "GREETING=from the image"],
        Cmd: ["sh", "-c", "echo $GREETING; cat /srv/*"],
        WorkingDir: "/srv",
        User: "guest",
      },
      rootfs: { type: "layers", diff_ids: archives.map(digestOf) },
    }),
    layers: archives.map((bytes) => put("application/vnd.oci.image.layer.v1.tar+gzip", gzipSync(bytes))),
  });
  const index = { schemaVersion: 2, manifests: [{ ...manifest, annotations: { "org.opencontainers.image.ref.name": name } }] };
  writeFileSync(join(folder, "index.json"), JSON.stringify(index));
  writeFileSync(join(folder, "oci-layout"), '{"imageLayoutVersion":"1.0.0"}');
  return layers.length;
}

/** The files of each layer, by path. */
export function listLayers(folder) {
  return layers.map((_, index) => {
    const at = join(folder, `layer-${index + 1}`);
    const files = readdirSync(at, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile());
    return files
      .map((entry) => relative(at, join(entry.parentPath, entry.name)))
      .sort()
      .join(" ");
  });
}
