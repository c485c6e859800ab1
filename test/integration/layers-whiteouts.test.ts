import { describe, expect } from "vitest";
import { needs } from "../helpers/abilities.ts";
import { applyStack, paths, visible } from "../helpers/layer-tree.ts";
import { archive, directory, file, symlink } from "../helpers/tar-writer.ts";

/** Applies, and asserts the paths of the merged tree and that nothing of a marker is in it. */
async function merged(...layers: readonly Buffer[]): Promise<readonly string[]> {
  const stack = await applyStack(layers);
  const tree = await stack.tree();
  expect([...tree.values()].filter(({ kind }) => kind === "device")).toEqual([]);
  return paths(tree);
}

describe("opaque whiteouts hide lower layers only, wherever they stand", () => {
  const lower = archive(directory("a"), file("a/old", "1"), directory("a/sub"), file("a/sub/old", "1"));
  const entries = [directory("a"), file("a/new", "2"), directory("a/sub"), file("a/sub/n", "2")];
  const marker = file("a/.wh..wh..opq");

  for (let at = 0; at <= entries.length; at++) {
    needs("userns", "python3")(`marker as entry ${at + 1} of 5`, async () => {
      const upper = archive(...entries.slice(0, at), marker, ...entries.slice(at));
      expect(await merged(lower, upper)).toEqual(["a", "a/new", "a/sub", "a/sub/n"]);
    });
  }

  needs("userns", "python3")("in a directory that the layer does not list: its metadata stay", async () => {
    const stack = await applyStack([
      archive(directory("a", 0o1750, { mtime: 77 }), file("a/old")),
      archive(marker, file("a/new")),
      archive(file("b/.wh..wh..opq")),
    ]);
    const tree = await stack.tree();
    expect(paths(tree)).toEqual(["a", "a/new"]);
    expect(tree.get("a")).toMatchObject({ mode: 0o1750, mtime: "77000000000" });
  });

  needs("userns", "python3")("in a directory that is nowhere: no error, and no directory for its sake", async () => {
    expect(await merged(archive(file("keep")), archive(file("gone/deep/.wh..wh..opq")))).toEqual(["keep"]);
    expect(await merged(archive(file("gone/.wh..wh..opq")))).toEqual([]);
  });

  needs("userns", "python3")("of the root, before and after the layer's own entries", async () => {
    const below = archive(directory("a"), file("a/x"), file("f"), directory("d/e"), symlink("s", "a"));
    for (const upper of [
      archive(file(".wh..wh..opq"), directory("a"), file("a/y")),
      archive(directory("a"), file("a/y"), file(".wh..wh..opq")),
    ])
      expect(await merged(below, upper)).toEqual(["a", "a/y"]);
  });

  needs("userns", "python3")("a directory brought back later in the stack stays without its old content", async () => {
    const below = archive(directory("d"), file("d/1"));
    expect(await merged(below, archive(file(".wh.d")), archive(directory("d"), file("d/2")))).toEqual(["d", "d/2"]);
  });
});

describe("a whiteout and the same name in one layer", () => {
  const lower = archive(directory("foo"), directory("foo/bar"), file("foo/bar/old"));

  needs("userns", "python3")("marker first, and marker last", async () => {
    const first = archive(file("foo/.wh.bar"), directory("foo/bar"), file("foo/bar/data"));
    const last = archive(directory("foo/bar"), file("foo/bar/data"), file("foo/.wh.bar"));
    for (const upper of [first, last]) expect(await merged(lower, upper)).toEqual(["foo", "foo/bar", "foo/bar/data"]);
  });

  needs("userns", "python3")("a file stays, in either order", async () => {
    for (const upper of [archive(file(".wh.x"), file("x", "2")), archive(file("x", "2"), file(".wh.x"))])
      expect(await merged(archive(file("x", "1")), upper)).toEqual(["x"]);
  });

  needs("userns", "python3")("three layers: add, take away, add again", async () => {
    const stack = await applyStack([archive(file("x", "1")), archive(file(".wh.x")), archive(file("x", "333"))]);
    expect((await stack.tree()).get("x")?.size).toBe(3);
  });

  needs("userns", "python3")("in the only layer: nothing is left of it", async () => {
    const stack = await applyStack([archive(file(".wh.x"), file("d/.wh.y"), file("k"))]);
    expect(paths(await stack.tree())).toEqual(["k"]);
    expect(stack.results[0]?.done.whiteouts).toBe(0);
  });

  needs("userns", "python3")("entries inside before and after, in a directory that only they imply", async () => {
    for (const upper of [archive(file("foo/bar/n"), file(".wh.foo")), archive(file(".wh.foo"), file("foo/bar/n"))])
      expect(await merged(lower, upper)).toEqual(["foo", "foo/bar", "foo/bar/n"]);
  });
});

describe("a whiteout of something that is not there", () => {
  needs("userns", "python3")("does nothing and makes no parent", async () => {
    expect(await merged(archive(file("keep")), archive(file("gone/.wh.never"), file(".wh.nope"), file("keep/.wh.x")))).toEqual(["keep"]);
  });

  needs("userns", "python3")("is no device in the layer either: the layer stays empty", async () => {
    const stack = await applyStack([archive(file("keep")), archive(file("gone/.wh.never"), file(".wh.nope"))]);
    expect(stack.results[1]?.done.whiteouts).toBe(0);
  });

  needs("userns", "python3")("AUFS's own files are left out; a whiteout of no name is refused", async () => {
    expect(await merged(archive(directory(".wh..wh.plnk"), file(".wh..wh.plnk/1.2"), file(".wh..wh.aufs"), file("k")))).toEqual(["k"]);
    for (const name of [".wh.", ".wh..", ".wh...", "d/.wh..", "d/.wh...", ".wh.x/f"])
      await expect(applyStack([archive(file(name))]), name).rejects.toMatchObject({ code: "image-invalid" });
  });

  needs("userns", "python3")("a whiteout's own content is not written anywhere", async () => {
    expect(await merged(archive(file("x")), archive(file(".wh.x", "content".repeat(1000)), file("y")))).toEqual(["y"]);
  });
});

describe("what the layers say is what a mount shows", () => {
  const stacks: Readonly<Record<string, readonly Buffer[]>> = {
    "an opaque directory two levels up": [
      archive(directory("sp/set/__pc"), file("sp/set/__pc/config")),
      archive(directory("sp"), directory("sp/set"), file("sp/set/.wh..wh..opq"), directory("sp/set/__pc"), file("sp/set/__pc/depends")),
    ],
    "a directory over a link, a file and a fifo": [
      archive(directory("t"), file("t/inside"), symlink("l", "t"), file("f", "1")),
      archive(directory("l"), file("l/new"), directory("f"), file("f/new")),
    ],
    "a directory over a link over a directory": [
      archive(directory("x"), file("x/lowest")),
      archive(symlink("x", "y")),
      archive(directory("x"), file("x/top")),
    ],
    "an opaque root": [archive(directory("a"), file("a/x"), file("f")), archive(directory("a"), file("a/y"), file(".wh..wh..opq"))],
    "whiteouts in three layers": [
      archive(directory("d"), file("d/1"), file("d/2"), file("d/3")),
      archive(file("d/.wh.1"), file("d/4")),
      archive(file("d/.wh.2"), file("d/1", "again")),
    ],
    "whiteouts in a directory that becomes opaque afterwards": [
      archive(directory("b/b/c"), file("b/d")),
      archive(file("b/b/.wh.c"), file("b/.wh.d"), file("b/e"), file(".wh..wh..opq")),
    ],
    "one layer alone": [archive(directory("d", 0o1777), file("d/s", "x", { mode: 0o4755 }))],
  };
  for (const [what, layers] of Object.entries(stacks)) {
    for (const driver of ["kernel", "fuse-overlayfs"] as const) {
      const abilities =
        driver === "kernel" ? (["userns", "overlay", "python3"] as const) : (["userns", "fuse", "fuse-overlayfs", "python3"] as const);
      needs(...abilities)(`${what}: ${driver}`, async () => {
        const stack = await applyStack(layers);
        const said = await stack.tree();
        const shown = await stack.mounted(driver);
        expect(visible(shown)).toEqual(visible(said));
      });
    }
  }
});
