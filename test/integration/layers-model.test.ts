import { mkdirSync } from "node:fs";
import { join } from "node:path";
import fc from "fast-check";
import { describe, expect } from "vitest";
import { BelljarError } from "../../policy/errors.ts";
import { needs } from "../helpers/abilities.ts";
import { applyModel, Impossible, type ModelEntry, modelLines } from "../helpers/layer-model.ts";
import { applyStack, layerFolder, type Stack, type Tree } from "../helpers/layer-tree.ts";
import { archive, directory, fifo, file, hardlink, symlink } from "../helpers/tar-writer.ts";

const name = fc.constantFrom("a", "b", "c");
const path = fc.array(name, { minLength: 1, maxLength: 3 }).map((parts) => parts.join("/"));
/** Links that lead in no circle, however they are combined. */
const tameTarget = fc.constantFrom("/", "..", "nowhere", "/nowhere/a", "./../nowhere");
const anyTarget = fc.oneof(path, fc.constantFrom("/", "/a", "/b/c", "..", "../b", "../../a", "./a", "a/../b", "nowhere/a"));
const mode = fc.constantFrom(0o755, 0o700, 0o555, 0o000, 0o1777, 0o4755, 0o2750);
/** Each entry has a time of its own: it tells which one a node came from. */
const mtime = fc.integer({ min: 1, max: 1_000_000 });

const entryWith = (target: fc.Arbitrary<string>): fc.Arbitrary<ModelEntry> =>
  fc.oneof(
    { weight: 4, arbitrary: fc.record({ kind: fc.constantFrom("directory" as const, "file" as const), path, mode, mtime }) },
    { weight: 1, arbitrary: fc.record({ kind: fc.constant("fifo" as const), path, mode, mtime }) },
    { weight: 2, arbitrary: fc.record({ kind: fc.constant("symlink" as const), path, target, mtime }) },
    { weight: 1, arbitrary: fc.record({ kind: fc.constant("hardlink" as const), path, target: path, mtime }) },
    { weight: 3, arbitrary: fc.record({ kind: fc.constant("whiteout" as const), path }) },
    { weight: 2, arbitrary: fc.record({ kind: fc.constant("opaque" as const), path: fc.oneof(path, fc.constant("")) }) },
  );
const layersWith = (target: fc.Arbitrary<string>) =>
  fc.array(fc.array(entryWith(target), { maxLength: 8 }), { minLength: 1, maxLength: 4 });

function toTar(of: ModelEntry): Buffer {
  const slash = of.path.lastIndexOf("/") + 1;
  switch (of.kind) {
    case "directory":
      return directory(of.path, of.mode, { mtime: of.mtime });
    case "file":
      return file(of.path, `${of.mtime}`, { mode: of.mode, mtime: of.mtime });
    case "fifo":
      return fifo(of.path, { mode: of.mode, mtime: of.mtime });
    case "symlink":
      return symlink(of.path, of.target, { mtime: of.mtime });
    case "hardlink":
      return hardlink(of.path, of.target);
    case "whiteout":
      return file(`${of.path.slice(0, slash)}.wh.${of.path.slice(slash)}`);
    case "opaque":
      return file(of.path === "" ? ".wh..wh..opq" : `${of.path}/.wh..wh..opq`);
  }
}

function treeLines(tree: Tree): Readonly<Record<string, string>> {
  return Object.fromEntries(
    [...tree].map(([at, n]) => [
      at,
      `${n.kind} ${n.kind === "symlink" ? "" : n.mode.toString(8)} ${BigInt(n.mtime) / 1_000_000_000n} ${n.link ?? ""}`,
    ]),
  );
}

interface Expected {
  /** null: some entry cannot be applied. */
  readonly lines: Readonly<Record<string, string>> | null;
}

function expected(of: readonly (readonly ModelEntry[])[]): Expected {
  try {
    return { lines: modelLines(applyModel(of)) };
  } catch (error) {
    if (error instanceof Impossible) return { lines: null };
    throw error;
  }
}

async function tryStack(of: readonly (readonly ModelEntry[])[], folder: string): Promise<Stack | null> {
  mkdirSync(folder);
  try {
    return await applyStack(
      of.map((entries) => archive(...entries.map(toTar))),
      { folder },
    );
  } catch (error) {
    if (error instanceof BelljarError && error.code === "image-invalid") return null;
    throw error;
  }
}

describe("any stack of small layers is the tree that the model makes of it", () => {
  const compare = (runs: number, target: fc.Arbitrary<string>, look: (stack: Stack) => Promise<Tree>) => async (): Promise<void> => {
    const base = layerFolder();
    let count = 0;
    let possible = 0;
    await fc.assert(
      fc.asyncProperty(layersWith(target), async (of) => {
        const { lines } = expected(of);
        const stack = await tryStack(of, join(base, `run${count++}`));
        expect(stack === null ? null : treeLines(await look(stack))).toEqual(lines);
        if (lines !== null) possible++;
      }),
      { numRuns: runs },
    );
    expect(possible, "stacks that can be applied").toBeGreaterThan(runs / 4);
  };

  needs("userns", "python3")(
    "as the layers say",
    compare(400, anyTarget, (stack) => stack.tree()),
    120_000,
  );
  needs("userns", "python3", "overlay")(
    "as overlayfs shows",
    compare(150, anyTarget, (stack) => stack.mounted("kernel")),
    120_000,
  );
  needs(
    "userns",
    "python3",
    "fuse",
    "fuse-overlayfs",
  )(
    "as fuse-overlayfs shows",
    compare(60, tameTarget, (stack) => stack.mounted("fuse-overlayfs")),
    120_000,
  );
});
