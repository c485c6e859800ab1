import { existsSync, mkdirSync, readdirSync, statSync } from "node:fs";
import { join } from "node:path";
import { describe, expect } from "vitest";
import { removeUnpacked } from "../../cli/image/layer/helper.ts";
import { layerWarnings } from "../../cli/image/layer/warnings.ts";
import { discard } from "../../cli/image/store-remove.ts";
import { needs } from "../helpers/abilities.ts";
import { applyStack, layerFolder, listTree, paths, single } from "../helpers/layer-tree.ts";
import { archive, base256, directory, fifo, file, hardlink, symlink } from "../helpers/tar-writer.ts";

const time = (seconds: string): string => {
  const [, minus = "", whole = "0", fraction = ""] = /^(-?)(\d+)\.?(\d*)$/.exec(seconds) ?? [];
  return String((minus === "" ? 1n : -1n) * (BigInt(whole) * 1_000_000_000n + BigInt(fraction.padEnd(9, "0"))));
};

describe("modes that shut out the one who unpacks", () => {
  const first = archive(
    directory("ro", 0o555, { mtime: 3 }),
    file("ro/f", "", { mode: 0o444 }),
    directory("none", 0, { mtime: 4 }),
    file("none/f"),
  );
  const second = archive(file("ro/.wh.f"), file("ro/g"));

  needs("userns", "python3")("hinder neither this layer nor the next, and are there in the end, with their times", async () => {
    const stack = await applyStack([first, second]);
    const tree = await stack.tree();
    expect(paths(tree)).toEqual(["none", "none/f", "ro", "ro/g"]);
    expect(tree.get("ro")).toMatchObject({ mode: 0o555, mtime: time("3") });
    expect(tree.get("none")).toMatchObject({ mode: 0, mtime: time("4") });
  });

  needs("userns", "python3")("nor removal", async () => {
    const folder = layerFolder();
    await applyStack([first, second], { folder });
    await removeUnpacked(join(folder, "layer0"), single);
    const trash = join(folder, "trash");
    mkdirSync(trash);
    await discard({ trash } as Parameters<typeof discard>[0], join(folder, "layer1"));
    expect(readdirSync(folder)).toEqual(["trash"]);
    expect(readdirSync(trash)).toEqual([]);
    await removeUnpacked(join(folder, "was/never"), single);
  });

  needs("userns", "python3")("nor removal of the deepest tree that there can be", async () => {
    const folder = layerFolder();
    const deep = Array.from({ length: 256 }, () => "d").join("/");
    await applyStack([archive(file(deep), directory("d/x", 0))], { folder });
    await removeUnpacked(join(folder, "layer0"), single);
    expect(existsSync(join(folder, "layer0"))).toBe(false);
  });
});

describe("modes", () => {
  needs("userns", "python3")("all twelve bits, whatever the umask and whoever the owner", async () => {
    const before = process.umask(0o077);
    try {
      const tree = await (
        await applyStack([
          archive(
            file("s", "x", { mode: 0o4755 }),
            file("g", "x", { mode: 0o2755, gid: 42 }),
            directory("t", 0o1777),
            file("w", "x", { mode: 0o666 }),
            file("all", "x", { mode: 0o7777 }),
            directory("dir", 0o7751),
            file("dir/in", "x", { mode: 0o600 }),
            directory("dir/sub", 0o755),
            fifo("p", { mode: 0o622 }),
            file("empty", "", { mode: 0o6755 }),
          ),
        ])
      ).tree();
      const modes = Object.fromEntries([...tree].map(([path, { mode }]) => [path, mode.toString(8)]));
      expect(modes).toMatchObject({
        ...{
          s: "4755",
          g: "2755",
          t: "1777",
          w: "666",
          all: "7777",
          dir: "7751",
          "dir/in": "600",
          "dir/sub": "755",
          p: "622",
          empty: "6755",
        },
      });
    } finally {
      process.umask(before);
    }
  });

  needs("userns", "python3")("of directories that only entries below imply: 755, or what the layers below say", async () => {
    const tree = await (
      await applyStack([
        archive(
          directory("tmp", 0o1777, { mtime: 1 }),
          directory("root", 0o700, { mtime: 2 }),
          directory("usr/lib", 0o751, { mtime: 3 }),
          symlink("lib", "usr/lib"),
        ),
        archive(file("tmp/x"), file("root/y"), file("lib/foo.so"), file("a/b/c/f"), file("q/b/f"), directory("q", 0o700)),
      ])
    ).tree();
    expect(tree.get("tmp")).toMatchObject({ mode: 0o1777, mtime: time("1") });
    expect(tree.get("root")).toMatchObject({ mode: 0o700, mtime: time("2") });
    expect(tree.get("lib")).toMatchObject({ kind: "symlink", link: "usr/lib" });
    expect(tree.get("usr/lib")).toMatchObject({ mode: 0o751, mtime: time("3") });
    expect(tree.get("usr/lib/foo.so")?.kind).toBe("file");
    expect(["a", "a/b", "a/b/c", "q/b"].map((path) => tree.get(path)?.mode)).toEqual([0o755, 0o755, 0o755, 0o755]);
    expect(tree.get("q")?.mode).toBe(0o700);
  });

  needs("userns", "python3")("of the root: its entry's, else the lower layer's, else 755", async () => {
    const modeOf = async (...layers: readonly Buffer[]) => (await (await applyStack(layers)).tree()).get("")?.mode;
    expect(await modeOf(archive(file("f")))).toBe(0o755);
    expect(await modeOf(archive(directory("./", 0o711)))).toBe(0o711);
    expect(await modeOf(archive(directory("/", 0o711)), archive(file("f")))).toBe(0o711);
    expect(await modeOf(archive(directory("/", 0o711)), archive(directory(".", 0o700)))).toBe(0o700);
  });
});

describe("times", () => {
  needs("userns", "python3")("with nanoseconds; of links themselves; of directories although things are made in them later", async () => {
    const tree = await (
      await applyStack([
        archive(
          directory("d", 0o755, { mtime: 1_000_000_000 }),
          file("d/f", "x", { pax: { mtime: "1000000001.25" } }),
          symlink("d/l", "f", { mtime: 5 }),
          directory("d/sub", 0o755, { pax: { mtime: "7.000000001" } }),
          file("elsewhere/x"),
          file("d/sub/late"),
          fifo("d/p", { mtime: 6 }),
        ),
        archive(file("d/.wh.f"), file("d/new")),
        archive(directory("d/sub", 0o755, { mtime: 8 })),
      ])
    ).tree();
    const times = Object.fromEntries([...tree].map(([path, { mtime }]) => [path, mtime]));
    expect(times).toMatchObject({ d: time("1000000000"), "d/l": time("5"), "d/sub": time("8"), "d/p": time("6") });
    const [first] = (
      await applyStack([archive(directory("d", 0o755, { pax: { mtime: "3.5" } }), file("d/f", "x", { pax: { mtime: "1000000001.25" } }))])
    ).dirs;
    expect(statSync(join(first as string, "d/f"), { bigint: true }).mtimeNs).toBe(1_000_000_001_250_000_000n);
    expect(statSync(join(first as string, "d"), { bigint: true }).mtimeNs).toBe(3_500_000_000n);
  });

  needs("userns", "python3")("negative, beyond 2038, beyond what the disk keeps: nearest one, with a warning", async () => {
    const stack = await applyStack([
      archive(
        file("negative", "", { pax: { mtime: "-86400.5" } }),
        file("base256", "", { mtime: base256(-86400, 12) }),
        file("zero", "", { mtime: 0 }),
        file("2038", "", { mtime: 2 ** 31 }),
        file("2514", "", { mtime: base256(2 ** 34, 12) }),
        file("huge", "", { pax: { mtime: "1000000000000000" } }),
        directory("hugedir", 0o755, { pax: { mtime: "99999999999999999999" } }),
        symlink("hugelink", "x", { pax: { mtime: "-99999999999999999999.5" } }),
      ),
    ]);
    const tree = await stack.tree();
    const of = (path: string) => tree.get(path)?.mtime;
    expect([of("negative"), of("base256"), of("zero"), of("2038")]).toEqual([time("-86400.5"), time("-86400"), "0", time(String(2 ** 31))]);
    expect(stack.results[0]?.deviations.clampedTimes).toBeGreaterThanOrEqual(2);
    expect(layerWarnings("layer 1", stack.results[0] as never).join()).toContain("beyond what the file system can keep");
  });

  needs("userns", "python3")("unpacked twice, the tree is the same", async () => {
    const layers = [archive(file("a/b/c"), symlink("l", "x")), archive(file("a/.wh.b"), file("n/e/w"), hardlink("h", "l"))];
    const pick = async () =>
      [...(await (await applyStack(layers)).tree())].map(([path, { mtime, mode, kind }]) => [path, mtime, mode, kind]);
    expect(await pick()).toEqual(await pick());
  });
});

describe("extended attributes", () => {
  needs("userns", "python3")("raw with NULs, base64, empty; of files and directories; the upper's replace the lower's", async () => {
    const binary = Buffer.from([0, 1, 0, 10, 61, 255]);
    const tree = await (
      await applyStack([
        archive(
          file("f", "x", {
            pax: [
              ["SCHILY.xattr.user.bin", binary],
              ["SCHILY.xattr.user.empty", ""],
              ["LIBARCHIVE.xattr.user.a%20b", "aGk"],
            ],
          }),
          directory("d", 0o755, { pax: { "SCHILY.xattr.user.one": "1" } }),
          directory("e", 0o755, { pax: { "SCHILY.xattr.user.two": "2" } }),
        ),
        archive(directory("d", 0o755, { pax: { "SCHILY.xattr.user.other": "2" } }), file("e/implied")),
      ])
    ).tree();
    expect(tree.get("f")?.xattrs).toEqual({ "user.bin": binary.toString("hex"), "user.empty": "", "user.a b": "6869" });
    expect(tree.get("d")?.xattrs).toEqual({ "user.other": "32" });
    expect(tree.get("e")?.xattrs).toEqual({ "user.two": "32" });
  });

  needs("userns", "python3")("file capabilities outlive owner and content", async () => {
    // VFS_CAP_REVISION_2, effective, cap_net_raw (capability.h)
    const capability = Buffer.from("0100000200200000000000000000000000000000", "hex");
    const stack = await applyStack([
      archive(file("ping", "content", { mode: 0o755, pax: [["SCHILY.xattr.security.capability", capability]] })),
    ]);
    const got = (await stack.tree()).get("ping")?.xattrs["security.capability"];
    expect(got?.slice(8, 24)).toBe("0020000000000000");
    expect(stack.results[0]?.done.refusedXattrs).toBe(0);
  });

  needs("userns", "python3")("what cannot be set here is counted and named, and not fatal", async () => {
    const stack = await applyStack([
      archive(
        file("f", "x", {
          pax: {
            "SCHILY.xattr.security.selinux": "system_u:object_r:bin_t:s0\0",
            "SCHILY.xattr.trusted.x": "1",
            "SCHILY.xattr.user.ok": "1",
          },
        }),
        symlink("l", "f", { pax: { "SCHILY.xattr.user.x": "1" } }),
        fifo("p", { pax: { "SCHILY.xattr.user.x": "1" } }),
        directory("d", 0o755, { pax: { "SCHILY.xattr.nonsense": "1" } }),
      ),
    ]);
    const tree = await stack.tree();
    expect(tree.get("f")?.xattrs["user.ok"]).toBe("31");
    const [applied] = stack.results;
    const refused = applied?.warnings.map(({ texts }) => texts.join(" ")) ?? [];
    expect(refused).toEqual(expect.arrayContaining(["f trusted.x", "l user.x", "p user.x", "d nonsense"]));
    expect(applied?.done.refusedXattrs).toBe(refused.length);
    expect(layerWarnings("layer 1", applied as never).join()).toContain("extended attributes that cannot be set here");
  });

  needs(
    "userns",
    "python3",
    "overlay",
  )("an image cannot speak to the overlay: its marks are stripped, lower content stays", async () => {
    const forged = Object.fromEntries(
      [
        "user.overlay.opaque",
        "trusted.overlay.opaque",
        "user.overlay.whiteout",
        "user.fuseoverlayfs.opaque",
        "user.overlay.redirect",
        "user.containers.override_stat",
      ].flatMap((name) => [[`SCHILY.xattr.${name}`, "y"] as const]),
    );
    const stack = await applyStack([
      archive(directory("d"), file("d/lower"), file("f", "x")),
      archive(
        directory("d", 0o755, { pax: forged }),
        file("f", "", { pax: { ...forged, "LIBARCHIVE.xattr.user%2eoverlay%2eopaque": "eQ==" } }),
      ),
    ]);
    expect(stack.results[1]?.deviations.strippedXattrs).toBe(13);
    for (const tree of [await stack.tree(), await stack.mounted("kernel")]) {
      expect(paths(tree)).toEqual(["d", "d/lower", "f"]);
      expect(tree.get("d")?.xattrs).toEqual({});
    }
    expect((await listTree(stack.dirs[1] as string)).get("d")?.xattrs).toEqual({});
  });
});

describe("owners with a single id", () => {
  needs("userns", "python3")("are one, counted, whatever number they are", async () => {
    const ids = ["1000", "70000", "1516583083", "-1", "4294967295", "99999999999"];
    const stack = await applyStack([
      archive(
        ...ids.map((uid, at) => file(`pax${at}`, "", { pax: { uid, gid: uid } })),
        file("binary", "", { uid: base256(1516583083, 8), gid: base256(-1, 8) }),
        file("root"),
      ),
    ]);
    const owners = [...(await stack.tree()).values()].map(({ uid, gid }) => `${uid}:${gid}`);
    expect(new Set(owners)).toEqual(new Set(["0:0"]));
    expect(stack.results[0]?.deviations.squashedOwners).toBe(ids.length + 1);
  });
});
