import { execFileSync } from "node:child_process";
import { existsSync, mkdirSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect } from "vitest";
import { needs } from "../helpers/abilities.ts";
import { type Canary, plantCanary } from "../helpers/canary.ts";
import { applyStack, layerFolder, type Stack } from "../helpers/layer-tree.ts";
import { archive, directory, fifo, file, hardlink, header, pax, symlink } from "../helpers/tar-writer.ts";

/** Where a path of the host is inside the root: the same one. */
const inside = (path: string): string => path.slice(1);

interface Attack {
  /** Lowest first. */
  readonly layers: (canary: Canary) => readonly Buffer[];
  /** Paths of the merged tree that must be there, or null: the layer is refused. */
  readonly lands: ((canary: Canary) => readonly string[]) | null;
}

const writes = (name: string) => (canary: Canary) => [`${inside(canary.dir)}/${name}`];

const attacks: Readonly<Record<string, Attack>> = {
  "a file through an absolute link": {
    layers: ({ dir }) => [archive(symlink("x", dir), file("x/pwn", "p"))],
    lands: writes("pwn"),
  },
  "a file through a relative link upwards": {
    layers: ({ dir }) => [archive(symlink("x", `../../../../../../../../../..${dir}`), file("x/pwn"))],
    lands: writes("pwn"),
  },
  "a file through links that lead on": {
    layers: ({ dir }) => [archive(symlink("a", "b/.."), symlink("b", ".."), file(`a/..${dir}/pwn`), file(`b${dir}/pwn2`))],
    lands: ({ dir }) => [`${inside(dir)}/pwn`, `${inside(dir)}/pwn2`],
  },
  "a link in one layer, the file in the next": {
    layers: ({ dir }) => [archive(symlink("x", dir)), archive(file("x/pwn"))],
    lands: writes("pwn"),
  },
  "a directory that becomes a link between two entries": {
    layers: ({ dir }) => [archive(directory("x"), file("x/first"), symlink("x", dir), file("x/pwn"))],
    lands: writes("pwn"),
  },
  "a link that becomes a directory and a link again": {
    layers: ({ dir }) => [archive(symlink("x", dir), directory("x"), file("x/a"), symlink("x", dir), file("x/pwn"))],
    lands: writes("pwn"),
  },
  "names that lead upwards": {
    layers: ({ dir }) => [
      archive(file(`../../../../../../..${dir}/pwn`), file(`a/../..${dir}/pwn2`), file(`.//a//../..//..${dir}//./pwn3`)),
    ],
    lands: ({ dir }) => ["pwn", "pwn2", "pwn3"].map((name) => `${inside(dir)}/${name}`),
  },
  "an absolute name": { layers: ({ dir }) => [archive(file(`${dir}/pwn`))], lands: writes("pwn") },
  "overwriting the file itself by name and through a link": {
    layers: ({ path, dir }) => [
      archive(file(path, "x"), symlink("l", path), file("l", "x"), symlink("d", dir), file(`d/${path.slice(dir.length + 1)}`, "y")),
    ],
    lands: ({ path }) => [inside(path), "l"],
  },
  "a whiteout through a link": {
    layers: ({ path, dir }) => [archive(symlink("x", dir), file(`x/.wh.${path.slice(dir.length + 1)}`))],
    lands: () => ["x"],
  },
  "a whiteout by a name that leads upwards": {
    layers: ({ path, dir }) => [archive(file(`../../../../..${dir}/.wh.${path.slice(dir.length + 1)}`), file("k"))],
    lands: () => ["k"],
  },
  "an opaque whiteout through a link, in the same and in the next layer": {
    layers: ({ dir }) => [archive(symlink("x", dir), file("x/.wh..wh..opq")), archive(file("x/.wh..wh..opq"))],
    lands: () => ["x"],
  },
  "metadata of a link": {
    layers: ({ path }) => [
      archive(
        symlink("x", path, {
          mode: 0o4777,
          uid: 1,
          pax: { mtime: "5", "SCHILY.xattr.user.pwned": "1", "LIBARCHIVE.xattr.user.pwned": "MQ==" },
        }),
        Buffer.concat([pax({ mtime: "7" }), header({ name: "x", type: "2", link: path, mode: 0o777 })]),
      ),
    ],
    lands: () => ["x"],
  },
  "a directory's metadata through a link": {
    layers: ({ dir }) => [
      archive(symlink("x", dir), directory("x/.", 0o700), directory("y"), symlink("z", dir)),
      archive(directory("z", 0o777)),
    ],
    lands: () => ["x", "y", "z"],
  },
  "a hard link to the host by relative name": {
    layers: ({ path }) => [archive(hardlink("loot", `../../../../../../..${path}`))],
    lands: null,
  },
  "a hard link to the host by absolute name": { layers: ({ path }) => [archive(hardlink("loot", path))], lands: null },
  "a hard link through a link to a directory": {
    layers: ({ path, dir }) => [archive(symlink("s", dir), hardlink("loot", `s/${path.slice(dir.length + 1)}`))],
    lands: null,
  },
  "a hard link to a link in the layer below": {
    layers: ({ path }) => [archive(symlink("s", path)), archive(hardlink("loot", "s"))],
    lands: () => ["s", "loot"],
  },
  "writing to a hard link of a link": {
    layers: ({ path }) => [archive(symlink("s", path), hardlink("loot", "s"), file("loot", "pwned"))],
    lands: () => ["s", "loot"],
  },
  "removing a directory that holds links to the host": {
    layers: ({ dir }) => [archive(directory("d"), symlink("d/l", dir), symlink("d/l2", `${dir}/.`), file("d", "x"))],
    lands: () => ["d"],
  },
};

function onlyTheCanary({ dir, path }: Canary): void {
  expect(readdirSync(dir)).toEqual([path.slice(dir.length + 1)]);
}

describe("no entry leads out of the root", () => {
  for (const [what, { layers, lands }] of Object.entries(attacks)) {
    needs("userns", "python3")(what, async () => {
      const canary = plantCanary();
      let stack: Stack | null = null;
      const attempt = applyStack(layers(canary)).then((done) => {
        stack = done;
      });
      if (lands === null)
        await expect(attempt).rejects.toMatchObject({ code: "image-invalid", message: expect.stringContaining("hard link") });
      else await attempt;
      canary.check();
      onlyTheCanary(canary);
      if (lands === null || stack === null) return;
      const tree = await (stack as Stack).tree();
      for (const path of lands(canary)) expect([...tree.keys()]).toContain(path);
    });
  }

  needs("userns", "python3")("control: written by its plain path, the same entry does land outside", async () => {
    const canary = plantCanary();
    const { dirs } = await applyStack([archive(symlink("x", canary.dir))]);
    expect(existsSync(join(dirs[0] as string, "x", canary.path.slice(canary.dir.length + 1)))).toBe(true);
  });

  needs("userns", "python3")("control: tar told to trust names does write outside", () => {
    const canary = plantCanary();
    const into = layerFolder();
    execFileSync("tar", ["-xPf", "-", "-C", into], { input: archive(file(`${canary.dir}/pwn`, "p")) });
    expect(readFileSync(join(canary.dir, "pwn"), "utf8")).toBe("p");
    execFileSync("rm", [join(canary.dir, "pwn")]);
  });

  needs("userns", "python3")("a hard link's target by absolute name is the root's: one file", async () => {
    const tree = await (await applyStack([archive(file("a", "1"), hardlink("b", "/a"), hardlink("./c", "../../a"))])).tree();
    expect(new Set(["a", "b", "c"].map((path) => tree.get(path)?.ino)).size).toBe(1);
    expect(tree.get("a")?.nlink).toBe(3);
  });

  needs("userns", "python3")("a fifo in the way of a file does not block", async () => {
    const tree = await (await applyStack([archive(fifo("x"), file("x", "1"), fifo("d/y")), archive(file("d/y", "2"))])).tree();
    expect([tree.get("x")?.kind, tree.get("d/y")?.kind]).toEqual(["file", "file"]);
  });

  needs("userns", "python3")("below a fifo or a file there is nothing: refused, without blocking", async () => {
    for (const layer of [archive(fifo("x"), file("x/y")), archive(file("x"), directory("x/y"))])
      await expect(applyStack([layer])).rejects.toMatchObject({ code: "image-invalid", message: expect.stringContaining("no directory") });
  });

  needs("userns", "python3")("links in a circle are refused", async () => {
    const layer = archive(symlink("a", "b"), symlink("b", "a"), file("a/x"));
    await expect(applyStack([layer])).rejects.toMatchObject({ code: "image-invalid", message: expect.stringContaining("too many links") });
  });

  needs("userns", "python3")("on a file system of its own, where a link to the host could not even be made", async () => {
    const base = "/dev/shm";
    const canary = plantCanary();
    const folder = join(base, `belljar-layers-${process.pid}`);
    mkdirSync(folder);
    try {
      for (const layer of [
        archive(hardlink("loot", `../../../..${canary.path}`)),
        archive(symlink("s", canary.dir), hardlink("loot", `s/${canary.path.slice(canary.dir.length + 1)}`)),
      ]) {
        await expect(applyStack([layer], { folder })).rejects.toMatchObject({ code: "image-invalid" });
        expect(readdirSync(join(folder, "layer0")).filter((name) => name !== "s")).toEqual([]);
        execFileSync("rm", ["-rf", join(folder, "layer0")]);
      }
      canary.check();
    } finally {
      execFileSync("rm", ["-rf", folder]);
    }
  });
});
