import fc from "fast-check";
import { describe, expect } from "vitest";
import { needs } from "../helpers/abilities.ts";
import { applyStack, folderOn, listTree, type Stack, visible } from "../helpers/layer-tree.ts";
import { archive, directory, file } from "../helpers/tar-writer.ts";

/** ramfs keeps no extended attributes at all. */
async function onRamfs(name: string, layers: readonly Buffer[]): Promise<{ readonly stack: Stack; readonly upper: string }> {
  const { folder, helper } = await folderOn("ramfs");
  process.env["BELLJAR_APPLY"] = helper;
  try {
    const stack = await applyStack(layers, { folder: `${folder}/${name}` });
    return { stack, upper: stack.dirs.at(-1) as string };
  } finally {
    delete process.env["BELLJAR_APPLY"];
  }
}

/** Times of what nobody lists are those of the lower layer in either form, so whole trees can be compared. */
const sameTree = async (layers: readonly Buffer[]): Promise<void> => {
  const plain = await applyStack(layers);
  const { stack } = await onRamfs("x", layers);
  expect(visible(await stack.tree())).toEqual(visible(await plain.tree()));
};

describe("where the file system keeps no user attributes, whiteouts say the same as an opaque mark", () => {
  const lower = archive(directory("a/b/c"), file("a/b/f"), file("a/g"), directory("a/h"), file("a/h/i"), file("k"));

  needs("userns", "python3")("mark first, last, in the middle; a directory that comes back; a link's place", async () => {
    const entries = [directory("a", 0o700), directory("a/b"), file("a/b/new"), file("a/g", "other")];
    const marks = [file("a/.wh..wh..opq"), file(".wh.a")];
    for (const mark of marks)
      for (const at of [0, 2, 4]) await sameTree([lower, archive(...entries.slice(0, at), mark, ...entries.slice(at))]);
    await sameTree([lower, archive(file("a", "file"), directory("a"), file("a/x")), archive(file("a/y"))]);
  });

  needs("userns", "python3")("there is no mark in the layer, but a whiteout for each name", async () => {
    const { upper } = await onRamfs("x", [lower, archive(directory("a"), file("a/.wh..wh..opq"), directory("a/h"))]);
    const tree = await listTree(upper);
    expect(
      [...tree]
        .filter(([, { kind }]) => kind === "device")
        .map(([path]) => path)
        .sort(),
    ).toEqual(["a/b", "a/g", "a/h/i"]);
    expect([...tree.values()].every(({ xattrs }) => Object.keys(xattrs).length === 0)).toBe(true);
  });

  needs("userns", "python3")(
    "for any stack of a few names",
    async () => {
      const name = fc.constantFrom("a", "b");
      const path = fc.array(name, { minLength: 1, maxLength: 3 }).map((parts) => parts.join("/"));
      const entry = fc.oneof(
        path.map((of) => directory(of)),
        path.map((of) => file(`${of}/f`, of)),
        path.map((of) => file(`${of}/.wh.f`)),
        path.map((of) => file(`${of}/.wh..wh..opq`)),
        path.map((of) => file(of.replace(/([^/]*)$/, ".wh.$1"))),
      );
      await fc.assert(
        fc.asyncProperty(fc.array(fc.array(entry, { maxLength: 6 }), { minLength: 2, maxLength: 3 }), (layers) =>
          sameTree(layers.map((entries) => archive(...entries))),
        ),
        { numRuns: 40 },
      );
    },
    120_000,
  );
});
