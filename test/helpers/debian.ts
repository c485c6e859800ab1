// A real Debian as an image: made once by mmdebstrap from the machine's mirror, kept in the cache, cut into layers as builders make them.
// No vitest here: the benchmarks use it too.
import { execFileSync, spawn } from "node:child_process";
import { createHash, randomBytes } from "node:crypto";
import {
  closeSync,
  copyFileSync,
  createReadStream,
  createWriteStream,
  existsSync,
  linkSync,
  mkdirSync,
  openSync,
  readSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
  writeSync,
} from "node:fs";
import { join } from "node:path";
import { pipeline } from "node:stream/promises";

const blockBytes = 512;

/** The archive of a minimal Debian, in `cache`. Takes some 15 s the first time. */
export function debianTar(cache: string): string {
  const path = join(cache, "debian-minbase.tar");
  if (existsSync(path)) return path;
  mkdirSync(cache, { recursive: true });
  const unfinished = `${path}.${randomBytes(4).toString("hex")}.tar`;
  try {
    execFileSync("mmdebstrap", ["--quiet", "--variant=minbase", "--mode=unshare", "bookworm", unfinished], {
      stdio: ["ignore", "ignore", "pipe"],
      timeout: 180_000,
      killSignal: "SIGKILL",
    });
    renameSync(unfinished, path);
  } finally {
    rmSync(unfinished, { force: true });
  }
  return path;
}

/** One entry of an archive, with the headers that describe it, as a range of its file. */
interface Entry {
  readonly path: string;
  readonly type: string;
  readonly from: number;
  readonly bytes: number;
}

/** The entries of an archive that GNU tar made and that has no names in pax headers. */
function readEntries(tar: string): readonly Entry[] {
  const file = openSync(tar, "r");
  const header = Buffer.alloc(blockBytes);
  const entries: Entry[] = [];
  try {
    let longName: string | null = null;
    for (let from = 0, at = 0; readSync(file, header, 0, blockBytes, at) === blockBytes && header[0] !== 0; ) {
      const size = Number.parseInt(header.toString("latin1", 124, 136), 8);
      const type = header.toString("latin1", 156, 157);
      const end = at + blockBytes + Math.ceil(size / blockBytes) * blockBytes;
      if (type === "L") {
        const text = Buffer.alloc(size - 1);
        readSync(file, text, 0, size - 1, at + blockBytes);
        longName = text.toString("latin1");
      } else if (type !== "x" && type !== "K") {
        const path: string = longName ?? header.toString("latin1", 0, 100).replace(/\0.*$/s, "");
        entries.push({ path: path.replace(/^\.\//, "").replace(/\/$/, ""), type, from, bytes: end - from });
        longName = null;
        from = end;
      }
      at = end;
    }
  } finally {
    closeSync(file);
  }
  return entries;
}

/**
 * Cuts an archive into `count` of about the same size, in its order; each lists the directories above its entries again, as builders do.
 * Devices are left out: no ordinary user's tar can make them. Returns the paths, lowest first.
 */
export function splitTar(tar: string, { count, folder }: { readonly count: number; readonly folder: string }): readonly string[] {
  const entries = readEntries(tar).filter(({ type }) => type !== "3" && type !== "4");
  const directories = new Map(entries.filter(({ type }) => type === "5").map((entry) => [entry.path, entry]));
  const total = entries.reduce((sum, { bytes }) => sum + bytes, 0);
  const source = openSync(tar, "r");
  const paths: string[] = [];
  let target = -1;
  let listed = new Set<string>();
  let done = 0;
  const write = ({ path, from, bytes }: Entry): void => {
    if (listed.has(path)) return;
    listed.add(path);
    const buffer = Buffer.alloc(bytes);
    readSync(source, buffer, 0, bytes, from);
    writeSync(target, buffer);
  };
  const finish = (): void => {
    if (target === -1) return;
    writeSync(target, Buffer.alloc(2 * blockBytes));
    closeSync(target);
  };
  for (const entry of entries) {
    if (done >= (total * paths.length) / count) {
      finish();
      const path = join(folder, `layer-${paths.length}.tar`);
      target = openSync(path, "wx");
      paths.push(path);
      listed = new Set();
    }
    const parts = entry.path.split("/");
    for (let depth = 0; depth < parts.length; depth++) {
      const parent = directories.get(parts.slice(0, depth).join("/"));
      if (parent !== undefined) write(parent);
    }
    write(entry);
    done += entry.bytes;
  }
  finish();
  closeSync(source);
  return paths;
}

async function sha256(path: string): Promise<string> {
  const hash = createHash("sha256");
  await pipeline(createReadStream(path), hash);
  return `sha256:${hash.digest("hex")}`;
}

/** Compresses each archive with gzip (level 6, as most builders do), beside it. */
export async function gzipAll(paths: readonly string[]): Promise<readonly string[]> {
  const out: string[] = [];
  for (const path of paths) {
    const child = spawn("gzip", ["-6nc", path], { stdio: ["ignore", "pipe", "inherit"] });
    await pipeline(child.stdout, createWriteStream(`${path}.gz`));
    out.push(`${path}.gz`);
  }
  return out;
}

export interface LayoutImage {
  readonly tag: string;
  /** Lowest first. */
  readonly tars: readonly string[];
  /** The same, compressed with gzip; left out: the image's layers are plain. */
  readonly blobs?: readonly string[];
}

/** An OCI layout with one image, made of archives that must stay as they are: they are linked, not copied, where that can be. */
export async function layoutOf(layout: string, { tag, tars, blobs = tars }: LayoutImage): Promise<void> {
  mkdirSync(join(layout, "blobs/sha256"), { recursive: true });
  const place = (digest: string): string => join(layout, "blobs", digest.replace(":", "/"));
  const type = (name: string): string => `application/vnd.oci.image.${name}`;
  const put = (document: object, mediaType: string) => {
    const bytes = Buffer.from(JSON.stringify(document));
    const digest = `sha256:${createHash("sha256").update(bytes).digest("hex")}`;
    writeFileSync(place(digest), bytes);
    return { mediaType, digest, size: bytes.length };
  };
  const layers: object[] = [];
  const diffIds: string[] = [];
  for (const [at, tar] of tars.entries()) {
    const blob = blobs[at] ?? tar;
    const digest = await sha256(blob);
    try {
      linkSync(blob, place(digest));
    } catch {
      copyFileSync(blob, place(digest));
    }
    layers.push({ mediaType: type(blob === tar ? "layer.v1.tar" : "layer.v1.tar+gzip"), digest, size: statSync(blob).size });
    diffIds.push(blob === tar ? digest : await sha256(tar));
  }
  const architecture = process.arch === "arm64" ? "arm64" : "amd64";
  const config = put({ architecture, os: "linux", config: {}, rootfs: { type: "layers", diff_ids: diffIds } }, type("config.v1+json"));
  const manifest = put({ schemaVersion: 2, mediaType: type("manifest.v1+json"), config, layers }, type("manifest.v1+json"));
  const named = { ...manifest, annotations: { "org.opencontainers.image.ref.name": tag } };
  writeFileSync(join(layout, "oci-layout"), '{"imageLayoutVersion":"1.0.0"}');
  writeFileSync(join(layout, "index.json"), JSON.stringify({ schemaVersion: 2, manifests: [named] }));
}
