import { spawn } from "node:child_process";
import { mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { onTestFinished } from "vitest";
import { type AppliedLayer, type ApplyLayer, applyLayer } from "../../cli/image/layer/apply-layer.ts";
import { applyPath } from "../../cli/image/layer/apply-path.ts";
import { decompress } from "../../cli/image/layer/decompress.ts";
import { removeUnpacked } from "../../cli/image/layer/helper.ts";
import type { LayerIds } from "../../cli/image/layer/ids.ts";
import { defaultLayerLimits } from "../../cli/image/layer/limits.ts";
import { makeTempDir } from "./places.ts";

export interface TreeNode {
  readonly kind: "file" | "directory" | "symlink" | "fifo" | "device";
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  /** Nanoseconds, in decimal. */
  readonly mtime: string;
  readonly size: number;
  readonly ino: number;
  readonly nlink: number;
  readonly rdev: number;
  readonly blocks: number;
  readonly link: string | null;
  readonly sha256: string | null;
  /** Values in hexadecimal. */
  readonly xattrs: Readonly<Record<string, string>>;
}
/** By path, one character per byte; "" is the root. */
export type Tree = ReadonlyMap<string, TreeNode>;

type Request =
  | { readonly dir: string }
  | { readonly layers: readonly string[]; readonly driver: string; readonly mountpoint: string }
  | { readonly mount: string; readonly at: string };

interface Lister {
  /** As of which other processes may enter its namespaces. */
  readonly pid: () => number;
  ask(request: Request): Promise<Tree>;
}

let lister: Lister | null = null;

/** One process for all of a test file: it ends with us. */
function startLister(): Lister {
  const script = fileURLToPath(new URL("list-tree.py", import.meta.url));
  const child = spawn("unshare", ["--map-root-user", "--mount", "--kill-child", "python3", script], { stdio: ["pipe", "pipe", "inherit"] });
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  child.unref();
  let last: Promise<unknown> = Promise.resolve();
  return {
    // unshare --kill-child forks: the namespaces are its child's.
    pid: () => Number(readFileSync(`/proc/${child.pid}/task/${child.pid}/children`, "utf8").trim().split(" ")[0]),
    ask(request) {
      const answer = last.then(async () => {
        child.stdin.write(`${JSON.stringify(request)}\n`);
        const { value, done } = await lines.next();
        if (done) throw new Error("the lister ended");
        const { tree, error } = JSON.parse(value) as { readonly tree?: Readonly<Record<string, TreeNode>>; readonly error?: string };
        if (tree === undefined) throw new Error(`listing ${JSON.stringify(request)}: ${error}`);
        return new Map(Object.entries(tree));
      });
      last = answer.catch(() => undefined);
      return answer;
    },
  };
}

export function listTree(dir: string): Promise<Tree> {
  lister ??= startLister();
  return lister.ask({ dir });
}

/**
 * A folder on a file system of its own that only the lister and a belljar-apply in its namespaces see. Returns the folder and the
 * program to use as belljar-apply.
 */
export async function folderOn(type: string): Promise<{ readonly folder: string; readonly helper: string }> {
  const base = makeTempDir("mounted");
  onTestFinished(() => rmSync(base, { recursive: true }));
  const folder = join(base, "there");
  mkdirSync(folder);
  lister ??= startLister();
  await lister.ask({ mount: type, at: folder });
  const helper = join(base, "belljar-apply");
  const enter = `nsenter --target ${lister.pid()} --user --mount --preserve-credentials`;
  writeFileSync(helper, `#!/bin/sh\n[ "$1" != apply ] || ${enter} /bin/mkdir -p "$2"\nexec ${enter} '${applyPath({})}' "$@"\n`, {
    mode: 0o755,
  });
  return { folder, helper };
}

export const single: LayerIds = { kind: "single" };

/** A folder for layers; removed as their owner when the test ends. */
export function layerFolder(ids: LayerIds = single): string {
  const folder = makeTempDir("layers");
  onTestFinished(() => removeUnpacked(folder, ids));
  return folder;
}

async function* pieces(bytes: Uint8Array, size: number): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < bytes.length; at += size) yield bytes.subarray(at, at + size);
}

export interface Stack {
  /** Lowest first. */
  readonly dirs: readonly string[];
  readonly results: readonly AppliedLayer[];
  /** The merged view, as the layers say it. */
  tree(): Promise<Tree>;
  /** The same through a mount. */
  mounted(driver: "kernel" | "fuse-overlayfs"): Promise<Tree>;
}

export interface StackOptions extends Partial<Pick<ApplyLayer, "ids" | "limits" | "signal">> {
  readonly folder?: string;
  /** Bytes that come at once. */
  readonly chunkBytes?: number;
}

/** Applies archives on top of each other, lowest first. */
export async function applyStack(archives: readonly Uint8Array[], options: StackOptions = {}): Promise<Stack> {
  const { ids = single, folder = layerFolder(ids), chunkBytes = 65536, ...rest } = options;
  const dirs: string[] = [];
  const results: AppliedLayer[] = [];
  for (const [at, archive] of archives.entries()) {
    const root = join(folder, `layer${at}`);
    mkdirSync(root, { recursive: true, mode: 0o700 });
    const applied = await applyLayer({
      doing: `unpacking layer ${at + 1}`,
      content: decompress(pieces(archive, chunkBytes), { ...defaultLayerLimits, ...rest.limits }),
      diffId: null,
      root,
      lowers: [...dirs].reverse(),
      ids,
      ...rest,
    });
    dirs.push(root);
    results.push(applied);
  }
  return {
    dirs,
    results,
    tree: async () => mergeTrees(await Promise.all(dirs.map(listTree))),
    mounted: (driver) => {
      const mountpoint = join(folder, "mounted");
      mkdirSync(mountpoint, { recursive: true });
      // overlayfs without an upper wants two layers.
      const empty = join(folder, "empty");
      mkdirSync(empty, { recursive: true });
      lister ??= startLister();
      return lister.ask({ layers: [...[...dirs].reverse(), ...(dirs.length === 1 ? [empty] : [])], driver, mountpoint });
    },
  };
}

const isWhiteout = (node: TreeNode): boolean => node.kind === "device" && node.rdev === 0;
export const opaqueXattr = "user.overlay.opaque";

/** What overlayfs makes of layers (lowest first), from their listings alone. */
export function mergeTrees(layers: readonly Tree[]): Tree {
  let merged: Tree = new Map();
  for (const layer of layers) merged = mergeTwo(merged, layer);
  return new Map([...merged].map(([path, node]) => [path, withoutOverlayXattrs(node)]));
}

function withoutOverlayXattrs(node: TreeNode): TreeNode {
  return { ...node, xattrs: Object.fromEntries(Object.entries(node.xattrs).filter(([name]) => !name.startsWith("user.overlay."))) };
}

function mergeTwo(below: Tree, above: Tree): Tree {
  const hides = (path: string): boolean => {
    for (let at = path; ; at = at.slice(0, Math.max(0, at.lastIndexOf("/")))) {
      const node = above.get(at);
      // The root's own attribute counts for nothing in overlayfs.
      if (node !== undefined && node.kind !== "directory") return true;
      if (node !== undefined && at !== path && at !== "" && node.xattrs[opaqueXattr] === "79") return true;
      if (at === "") return false;
    }
  };
  const out = new Map([...below].filter(([path]) => !hides(path)));
  for (const [path, node] of above) {
    if (isWhiteout(node)) continue;
    // A directory over something else shows nothing of what was there; there can be nothing below it then.
    out.set(path, node);
  }
  return out;
}

/** What identifies a tree to somebody who looks at it from inside. */
export function visible(tree: Tree): Readonly<Record<string, string>> {
  return Object.fromEntries(
    [...tree]
      .sort(([a], [b]) => (a < b ? -1 : 1))
      .map(([path, n]) => [
        path,
        [
          n.kind,
          n.kind === "symlink" ? "" : n.mode.toString(8),
          `${n.uid}:${n.gid}`,
          n.mtime,
          n.link ?? n.sha256?.slice(0, 12) ?? "",
          n.size,
          JSON.stringify(Object.entries(n.xattrs).filter(([name]) => name.startsWith("user."))),
        ].join(" "),
      ]),
  );
}

/** Paths alone, without the root. */
export const paths = (tree: Tree): readonly string[] => [...tree.keys()].filter((path) => path !== "").sort();
