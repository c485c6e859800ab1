/**
 * What a stack of layers means, in the fewest words: a tree in memory to which entries are applied one after the other. Each node knows whether
 * it is the lower layers' or this layer's, since markers take away what is the lower layers' and nothing else. It shares no code with what it
 * is compared with.
 */
export type ModelEntry =
  | { readonly kind: "directory"; readonly path: string; readonly mode: number; readonly mtime: number }
  | { readonly kind: "file"; readonly path: string; readonly mode: number; readonly mtime: number }
  | { readonly kind: "fifo"; readonly path: string; readonly mode: number; readonly mtime: number }
  | { readonly kind: "symlink"; readonly path: string; readonly target: string; readonly mtime: number }
  | { readonly kind: "hardlink"; readonly path: string; readonly target: string; readonly mtime: number }
  | { readonly kind: "whiteout"; readonly path: string }
  | { readonly kind: "opaque"; readonly path: string };

interface Meta {
  readonly mode: number;
  readonly mtime: number;
}

interface Leaf {
  readonly kind: "file" | "fifo" | "symlink";
  readonly meta: Meta;
  readonly target: string;
  lower: boolean;
}

interface Directory {
  readonly kind: "directory";
  meta: Meta;
  /** No entry of this layer has touched it. */
  lower: boolean;
  /** Lower directories still show through. */
  merged: boolean;
  readonly children: Map<string, Node>;
}

type Node = Leaf | Directory;

/** An entry that no tool can apply: inside a file, a link to nothing, links in a circle. */
export class Impossible extends Error {}

const implied: Meta = { mode: 0o755, mtime: 0 };

export const emptyRoot = (): Directory => ({ kind: "directory", meta: implied, lower: false, merged: false, children: new Map() });

function becomeLower(node: Node): void {
  node.lower = true;
  if (node.kind !== "directory") return;
  node.merged = true;
  for (const child of node.children.values()) becomeLower(child);
}

/** The directories from the root to a path, links followed; null where a component is missing and none may be made. */
function walk(root: Directory, path: string, make: boolean): Directory[] | null {
  let chain = [root];
  let todo = path.split("/");
  for (let links = 0; ; ) {
    const [part, ...rest] = todo;
    if (part === undefined) return chain;
    todo = rest;
    if (part === "" || part === ".") continue;
    if (part === "..") {
      if (chain.length > 1) chain = chain.slice(0, -1);
      continue;
    }
    const here = chain.at(-1) as Directory;
    const child = here.children.get(part);
    if (child === undefined) {
      if (!make) return null;
      const made: Directory = { kind: "directory", meta: implied, lower: false, merged: false, children: new Map() };
      touch(chain);
      here.children.set(part, made);
      chain = [...chain, made];
    } else if (child.kind === "directory") chain = [...chain, child];
    else if (child.kind === "symlink") {
      if (++links > 40) throw new Impossible("links in a circle");
      if (child.target.startsWith("/")) chain = [root];
      todo = [...child.target.split("/"), ...todo];
    } else throw new Impossible("inside something that is no directory");
  }
}

function touch(chain: readonly Directory[]): void {
  for (const directory of chain) directory.lower = false;
}

/** Takes away what is the lower layers' below a directory that this layer has. */
function cut(directory: Directory): void {
  directory.merged = false;
  for (const [name, child] of directory.children) {
    if (child.lower) directory.children.delete(name);
    else if (child.kind === "directory") cut(child);
  }
}

function split(path: string): readonly [string, string] {
  const slash = path.lastIndexOf("/");
  return [path.slice(0, Math.max(0, slash)), path.slice(slash + 1)];
}

/** Markers make nothing: where their directory cannot be reached, there is nothing to hide. */
function reach(root: Directory, path: string): Directory[] | null {
  try {
    return walk(root, path, false);
  } catch (error) {
    if (error instanceof Impossible) return null;
    throw error;
  }
}

function applyMarker(root: Directory, entry: Extract<ModelEntry, { readonly kind: "whiteout" | "opaque" }>): void {
  if (entry.kind === "opaque") {
    const chain = reach(root, entry.path);
    const directory = chain?.at(-1);
    if (chain === null || directory === undefined || !directory.merged) return;
    touch(chain);
    cut(directory);
    return;
  }
  const [above, name] = split(entry.path);
  const chain = reach(root, above);
  const parent = chain?.at(-1);
  const child = parent?.children.get(name);
  if (chain === null || parent === undefined || child === undefined) return;
  if (child.lower) {
    touch(chain);
    parent.children.delete(name);
  } else if (child.kind === "directory") cut(child);
}

function linkTarget(root: Directory, target: string): Leaf {
  const [above, name] = split(target.split("/").filter(Boolean).join("/"));
  const chain = walk(root, above, false);
  const parent = chain?.at(-1);
  const found = parent?.children.get(name);
  if (chain === null || parent === undefined || found === undefined || found.kind === "directory")
    throw new Impossible("a link to nothing");
  if (!found.lower) return found;
  touch(chain);
  const copy = { ...found, lower: false };
  parent.children.set(name, copy);
  return copy;
}

function applyEntry(root: Directory, entry: ModelEntry): void {
  if (entry.kind === "whiteout" || entry.kind === "opaque") {
    applyMarker(root, entry);
    return;
  }
  const [above, name] = split(entry.path);
  const chain = walk(root, above, true) as Directory[];
  const parent = chain.at(-1) as Directory;
  touch(chain);
  const old = parent.children.get(name);
  if (entry.kind === "directory") {
    const meta = { mode: entry.mode, mtime: entry.mtime };
    if (old?.kind === "directory") Object.assign(old, { meta, lower: false });
    else parent.children.set(name, { kind: "directory", meta, lower: false, merged: false, children: new Map() });
    return;
  }
  if (entry.kind === "hardlink") {
    const target = linkTarget(root, entry.target);
    parent.children.set(name, target);
    return;
  }
  const leaf =
    entry.kind === "symlink"
      ? { meta: { mode: 0, mtime: entry.mtime }, target: entry.target }
      : { meta: { mode: entry.mode, mtime: entry.mtime }, target: "" };
  parent.children.set(name, { kind: entry.kind, ...leaf, lower: false });
}

/** Applies layers, lowest first. Throws Impossible. */
export function applyModel(layers: readonly (readonly ModelEntry[])[]): Directory {
  const root = emptyRoot();
  for (const layer of layers) {
    becomeLower(root);
    for (const entry of layer) applyEntry(root, entry);
  }
  return root;
}

/** One line for each path. */
export function modelLines(root: Directory): Readonly<Record<string, string>> {
  const lines: Record<string, string> = {};
  const add = (node: Node, path: string): void => {
    lines[path] =
      `${node.kind} ${node.kind === "symlink" ? "" : node.meta.mode.toString(8)} ${node.meta.mtime} ${node.kind === "symlink" ? node.target : ""}`;
    if (node.kind === "directory") for (const [name, child] of node.children) add(child, path === "" ? name : `${path}/${name}`);
  };
  add(root, "");
  return lines;
}
