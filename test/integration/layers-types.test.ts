import { linkSync, mkdirSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { applyLayer } from "../../cli/image/layer/apply-layer.ts";
import { needs } from "../helpers/abilities.ts";
import { applyStack, layerFolder, paths } from "../helpers/layer-tree.ts";
import { archive, device, directory, fifo, file, hardlink, symlink } from "../helpers/tar-writer.ts";

const lowers: Readonly<Record<string, readonly Buffer[]>> = {
  file: [file("x", "old")],
  "empty directory": [directory("x")],
  "full directory": [directory("x"), file("x/child", "old"), directory("x/sub"), file("x/sub/deep")],
  "link to a directory": [directory("dir"), file("dir/inside"), symlink("x", "dir")],
  "link to a file": [file("other", "kept"), symlink("x", "other")],
  "dangling link": [symlink("x", "nowhere")],
  fifo: [fifo("x")],
};

const uppers: Readonly<Record<string, { readonly entries: readonly Buffer[]; readonly kind: string }>> = {
  file: { entries: [file("x", "new")], kind: "file" },
  directory: { entries: [directory("x", 0o711), file("x/new")], kind: "directory" },
  link: { entries: [symlink("x", "elsewhere")], kind: "symlink" },
  "hard link": { entries: [file("target", "t"), hardlink("x", "target")], kind: "file" },
  fifo: { entries: [fifo("x")], kind: "fifo" },
};

describe("any type replaces any other; only a directory joins a directory", () => {
  for (const [lower, below] of Object.entries(lowers)) {
    for (const [upper, { entries, kind }] of Object.entries(uppers)) {
      for (const where of ["same layer", "next layer"] as const) {
        needs(
          "userns",
          "python3",
          "overlay",
        )(`${lower} by ${upper}, ${where}`, async () => {
          const stack = await applyStack(
            where === "same layer" ? [archive(...below, ...entries)] : [archive(...below), archive(...entries)],
          );
          for (const tree of [await stack.tree(), await stack.mounted("kernel")]) {
            expect(tree.get("x")?.kind).toBe(kind);
            const children = paths(tree).filter((path) => path.startsWith("x/"));
            const joined = lower === "full directory" && upper === "directory" ? ["x/child", "x/sub", "x/sub/deep"] : [];
            expect(children).toEqual(upper === "directory" ? [...joined, "x/new"].sort() : []);
            // What the link led to is untouched.
            if (lower === "link to a directory")
              expect(paths(tree).filter((path) => path.startsWith("dir"))).toEqual(["dir", "dir/inside"]);
            if (lower === "link to a file") expect(tree.get("other")).toMatchObject({ kind: "file", size: 4 });
          }
        });
      }
    }
  }
});

describe("a file over a file is another file", () => {
  needs("userns", "python3")("its other names keep the old content", async () => {
    const stack = await applyStack([archive(file("a", "old"), hardlink("b", "a"), file("a", "newer"))]);
    const tree = await stack.tree();
    expect([tree.get("a")?.size, tree.get("b")?.size]).toEqual([5, 3]);
    expect(tree.get("b")?.nlink).toBe(1);
  });

  needs("userns", "python3")("a file of mode 000, in one layer and in the next", async () => {
    const stack = await applyStack([
      archive(file("etc/gshadow", "old", { mode: 0 }), file("etc/gshadow", "newer", { mode: 0 })),
      archive(file("etc/gshadow", "newest", { mode: 0 })),
    ]);
    const tree = await stack.tree();
    expect(tree.get("etc/gshadow")).toMatchObject({ size: 6, mode: 0 });
  });

  needs("userns", "python3")("a lower layer is never written to", async () => {
    const folder = layerFolder();
    const first = await applyStack([archive(file("f", "old"), directory("d", 0o755, { mtime: 5 }), file("d/x"))], { folder });
    const path = join(first.dirs[0] as string, "f");
    linkSync(path, join(folder, "kept"));
    const before = statSync(path);
    const dirBefore = statSync(join(first.dirs[0] as string, "d"));
    const rest = join(folder, "rest");
    mkdirSync(rest);
    async function* blob() {
      yield archive(file("f", "new"), file("d/.wh.x"), file("d/y"), hardlink("h", "f"), directory("d", 0o700));
    }
    await applyLayer({ doing: "x", content: blob(), diffId: null, root: rest, lowers: first.dirs, ids: { kind: "single" } });
    expect(readFileSync(path, "utf8")).toBe("old");
    expect(statSync(path).ctimeMs).toBe(before.ctimeMs);
    expect(statSync(join(first.dirs[0] as string, "d")).ctimeMs).toBe(dirBefore.ctimeMs);
  });
});

describe("hard links", () => {
  needs("userns", "python3")("to a file that only a lower layer has: it is copied up, once", async () => {
    const stack = await applyStack([
      archive(directory("d", 0o750, { mtime: 9 }), file("d/a", "content", { mode: 0o4711, mtime: 7, pax: { "SCHILY.xattr.user.k": "v" } })),
      archive(hardlink("b", "d/a"), hardlink("c", "d/a")),
    ]);
    const tree = await stack.tree();
    expect(new Set(["d/a", "b", "c"].map((path) => tree.get(path)?.ino)).size).toBe(1);
    expect(tree.get("b")).toMatchObject({ mode: 0o4711, mtime: "7000000000", size: 7, nlink: 3, xattrs: { "user.k": "76" } });
    expect(tree.get("d")).toMatchObject({ mode: 0o750, mtime: "9000000000" });
  });

  needs("userns", "python3")("to links and fifos of a lower layer", async () => {
    const tree = await (
      await applyStack([
        archive(symlink("l", "t", { mtime: 3 }), fifo("p", { mode: 0o620 })),
        archive(hardlink("l2", "l"), hardlink("p2", "p")),
      ])
    ).tree();
    expect(tree.get("l2")).toMatchObject({ kind: "symlink", link: "t", mtime: "3000000000", nlink: 2 });
    expect(tree.get("p2")).toMatchObject({ kind: "fifo", mode: 0o620, nlink: 2 });
  });

  needs("userns", "python3")("over themselves, over another name of the same file, over a directory that holds the target", async () => {
    const tree = await (
      await applyStack([
        archive(
          file("a", "1"),
          hardlink("a", "a"),
          hardlink("b", "a"),
          hardlink("b", "a"),
          directory("d"),
          file("d/t", "22"),
          hardlink("d", "d/t"),
        ),
      ])
    ).tree();
    expect(paths(tree)).toEqual(["a", "b", "d"]);
    expect(tree.get("a")).toMatchObject({ nlink: 2, size: 1 });
    expect(tree.get("d")).toMatchObject({ kind: "file", size: 2, nlink: 1 });
  });

  needs("userns", "python3")("to nothing, to a directory, to the root, to what a whiteout hides: refused, by name", async () => {
    for (const layers of [
      [archive(hardlink("b", "a"))],
      [archive(directory("a"), hardlink("b", "a"))],
      [archive(hardlink("b", "/"))],
      [archive(file("a")), archive(file(".wh.a"), hardlink("b", "a"))],
    ])
      await expect(applyStack(layers)).rejects.toMatchObject({
        code: "image-invalid",
        message: expect.stringMatching(/'b': a hard link to/),
      });
  });

  needs("userns", "python3")("keep the time of their directory, wherever the target is", async () => {
    const tree = await (
      await applyStack([
        archive(
          directory("d", 0o755, { mtime: 5 }),
          file("e/t"),
          directory("e", 0o755, { mtime: 6 }),
          hardlink("d/h", "e/t"),
          hardlink("d/h2", "d/h"),
        ),
      ])
    ).tree();
    expect([tree.get("d")?.mtime, tree.get("e")?.mtime]).toEqual(["5000000000", "6000000000"]);
  });
});

describe("devices, which no user can make", () => {
  needs("userns", "python3")("are left out with one count; what is below stays; links to them go too", async () => {
    const stack = await applyStack([
      archive(file("gone", "kept")),
      archive(
        device("dev/null", [1, 3]),
        device("evil", [8, 0]),
        device("gone", [0, 0]),
        hardlink("dev/zero", "dev/null"),
        fifo("p"),
        file("after"),
      ),
    ]);
    const tree = await stack.tree();
    expect(paths(tree)).toEqual(["after", "gone", "p"]);
    expect(tree.get("gone")?.kind).toBe("file");
    expect(stack.results[1]?.deviations).toMatchObject({ devices: 4, firstDevice: "dev/null" });
    expect(stack.results[1]?.done.whiteouts).toBe(0);
  });

  needs("userns", "python3")("a name that was a device and is a file later may be linked to", async () => {
    const tree = await (await applyStack([archive(device("a", [1, 3]), file("a", "1"), hardlink("b", "a"))])).tree();
    expect(paths(tree)).toEqual(["a", "b"]);
  });
});

test("the table of types covers each pair", () => {
  expect(Object.keys(lowers).length * Object.keys(uppers).length).toBe(35);
});
