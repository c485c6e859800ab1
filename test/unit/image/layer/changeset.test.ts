import { spawnSync } from "node:child_process";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { changeset, noDeviations } from "../../../../cli/image/layer/changeset.ts";
import { entriesVersion, frameKind, frameLayout } from "../../../../cli/image/layer/entries.gen.ts";
import { applyFailure } from "../../../../cli/image/layer/failure.ts";
import { type ApplyEntry, type FrameWriter, frameWriter } from "../../../../cli/image/layer/frames.ts";
import { idArguments, type LayerIds } from "../../../../cli/image/layer/ids.ts";
import { defaultLayerLimits } from "../../../../cli/image/layer/limits.ts";
import { readName } from "../../../../cli/image/layer/names.ts";
import { LayerProblem } from "../../../../cli/image/layer/problem.ts";
import { reportReader } from "../../../../cli/image/layer/reports.ts";
import { tarReader } from "../../../../cli/image/layer/tar-reader.ts";
import { layerWarnings, ownerWarning } from "../../../../cli/image/layer/warnings.ts";
import { readXattrs } from "../../../../cli/image/layer/xattrs.ts";
import { root } from "../../../helpers/places.ts";
import { archive, device, directory, file, hardlink, symlink } from "../../../helpers/tar-writer.ts";

test("what is generated from the table of entries is fresh", () => {
  const { status, stderr } = spawnSync(process.execPath, [join(root, "cli/image/layer/generate.mjs"), "--check"], { encoding: "utf8" });
  expect([status, stderr]).toEqual([0, ""]);
});

describe("names", () => {
  const name = (path: string) => {
    const read = readName(path, defaultLayerLimits);
    return read.kind === "ignored" ? "ignored" : `${read.kind} ${read.path}`;
  };
  test.each([
    ["a/b", "entry a/b"],
    ["./a//b/./c/", "entry a/b/c"],
    ["/a", "entry a"],
    ["../../a", "entry a"],
    ["a/../../b", "entry b"],
    ["./", "entry "],
    ["..", "entry "],
    [".wh.x", "whiteout x"],
    ["d/.wh.x", "whiteout d/x"],
    ["d/.wh.x/", "whiteout d/x"],
    ["../d/.wh.x", "whiteout d/x"],
    [".wh.....", "whiteout ...."],
    [".wh.a.wh.b", "whiteout a.wh.b"],
    ["d/x.wh.y", "entry d/x.wh.y"],
    [".wh", "entry .wh"],
    [".whx", "entry .whx"],
    [".wh..wh..opq", "opaque "],
    ["a/b/.wh..wh..opq", "opaque a/b"],
    [".wh..wh.plnk/x", "ignored"],
    ["d/.wh..wh.aufs", "ignored"],
  ])("%j is %j", (path, meant) => expect(name(path)).toBe(meant));

  test.each([".wh.", ".wh..", ".wh...", "a/.wh..", ".wh.x/y", "a/.wh.x/.wh.y", "a\0b", ".wh.x/.wh..wh..opq"])("%j is refused", (path) =>
    expect(() => name(path)).toThrow(LayerProblem),
  );

  test("too long and too deep", () => {
    expect(() => name("a/".repeat(3000))).toThrow(/more than 4095 bytes/);
    expect(() => name("a/".repeat(257))).toThrow(/more than 256 components/);
    expect(name("a/".repeat(256)).length).toBe(6 + 511);
  });
});

interface Recorded extends FrameWriter {
  readonly entries: ApplyEntry[];
  bytes: number;
}

function recorder(): Recorded {
  const entries: ApplyEntry[] = [];
  return {
    entries,
    bytes: 0,
    entry: (entry) => entries.push(entry),
    data(bytes) {
      this.bytes += bytes.length;
    },
    root: () => undefined,
    lower: () => undefined,
    begin: () => undefined,
    end: () => undefined,
    flush: () => undefined,
  };
}

function convert(bytes: Buffer, ids: LayerIds = { kind: "single" }, limits = {}) {
  const frames = recorder();
  const deviations = noDeviations();
  const all = { ...defaultLayerLimits, ...limits };
  const reader = tarReader(changeset(frames, { ids, limits: all, deviations }), all);
  reader.write(bytes);
  reader.end();
  return { entries: frames.entries, bytes: frames.bytes, deviations };
}

const maps = [
  { containerId: 0, hostId: 1000, size: 1 },
  { containerId: 1, hostId: 100_000, size: 65_535 },
];
const subordinate = (unmapped: "fail" | "squash"): LayerIds => ({
  ...{ kind: "subordinate", uidMaps: maps, gidMaps: maps, newuidmap: "/n", newgidmap: "/g", unmapped },
});

describe("decisions about entries", () => {
  test("content of markers, devices and what is ignored goes nowhere", () => {
    const { entries, bytes } = convert(archive(file(".wh.x", "12345"), file(".wh..wh.aufs", "123"), file("d/", "1234"), file("f", "12")));
    expect(entries.map(({ type, path }) => `${type} ${path}`)).toEqual(["whiteout x", "directory d", "file f"]);
    expect(bytes).toBe(2);
  });

  test("owners: squashed, kept, refused, replaced", () => {
    const layer = archive(file("a", "", { uid: 1000, gid: 65535 }), file("b", "", { pax: { uid: "65536" } }));
    expect(convert(layer).entries.map(({ uid, gid }) => [uid, gid])).toEqual([
      [0, 0],
      [0, 0],
    ]);
    expect(convert(layer).deviations.squashedOwners).toBe(2);
    expect(() => convert(layer, subordinate("fail"))).toThrow("'b': belongs to user 65536, and this account has no subordinate id for it");
    expect(convert(layer, subordinate("squash")).entries.map(({ uid, gid }) => [uid, gid])).toEqual([
      [1000, 65535],
      [65534, 0],
    ]);
    expect(convert(layer, subordinate("squash")).deviations.squashedOwners).toBe(1);
  });

  test("links: a symbolic one keeps its words, a hard one is cleaned", () => {
    const { entries } = convert(archive(symlink("s", "/bin/../busybox"), hardlink("h", "/../a/./b")));
    expect(entries.map(({ linkPath }) => linkPath)).toEqual(["/bin/../busybox", "a/b"]);
    for (const bad of [
      symlink("s", ""),
      symlink("s", "x", { pax: { linkpath: "a\0b" } }),
      symlink("s", "x", { pax: { linkpath: "x".repeat(5000) } }),
      hardlink("h", "/"),
      hardlink("h", ".."),
    ])
      expect(() => convert(archive(bad))).toThrow(LayerProblem);
  });

  test("the root may be listed as a directory and as nothing else", () => {
    expect(convert(archive(directory("./", 0o700))).entries).toMatchObject([{ path: "", mode: 0o700 }]);
    for (const bad of [file("."), symlink("/", "x"), hardlink("..", "x"), device("./", [1, 3])])
      expect(() => convert(archive(bad))).toThrow(/replaces the root/);
  });

  test("one file has its limit, holes included", () => {
    const sparse = file("x", "", { pax: { "GNU.sparse.size": "9000000000000", "GNU.sparse.map": "" } });
    expect(() => convert(archive(sparse))).toThrow(/more than 1099511627776 bytes/);
    expect(convert(archive(sparse), { kind: "single" }, { maxFileBytes: 9e12 }).entries[0]?.size).toBe(9e12);
  });
});

describe("extended attributes", () => {
  test("raw before base64; reserved and impossible names are left out", () => {
    const { xattrs, stripped } = readXattrs(
      new Map([
        ["LIBARCHIVE.xattr.user.a", "Yg=="],
        ["SCHILY.xattr.user.a", "raw"],
        ["LIBARCHIVE.xattr.user.%E4", "eA"],
        ["SCHILY.xattr.user.overlay.opaque", "y"],
        ["LIBARCHIVE.xattr.user.fuseoverlayfs%2Eopaque", "eQ=="],
        ["SCHILY.xattr.trusted.overlay.", "y"],
        ["SCHILY.xattr.user.containers.x", "y"],
        ["SCHILY.xattr.", "y"],
        [`SCHILY.xattr.user.${"n".repeat(251)}`, "y"],
        ["comment", "x"],
      ]),
    );
    expect(xattrs.map(({ name, value }) => [name, value.toString()])).toEqual([
      ["user.a", "raw"],
      ["user.\xe4", "x"],
    ]);
    expect(stripped.length).toBe(6);
  });
});

describe("frames", () => {
  test("numbers beyond 32 bits, negative times, texts of single bytes", () => {
    const sent: Buffer[] = [];
    const frames = frameWriter((bytes) => sent.push(Buffer.from(bytes)));
    frames.entry({
      ...{ index: 7, type: "file", path: "\xff/x", linkPath: "", mode: 0o7777, uid: 4294967294, gid: 1, size: 2 ** 40 + 3 },
      ...{ mtimeSeconds: -86401, mtimeNanoseconds: 5, xattrs: [{ name: "user.a", value: Buffer.from([0, 1]) }] },
    });
    frames.data(Buffer.from("abc"), 2 ** 33);
    frames.end();
    const bytes = Buffer.concat(sent);
    const at = frameLayout.size;
    expect(bytes.readBigInt64LE(at + 24)).toBe(-86401n);
    expect(bytes.readBigUInt64LE(at + 32)).toBe(2n ** 40n + 3n);
    expect(bytes.readUInt32LE(at + 12)).toBe(4294967294);
    expect(bytes.subarray(at + 56, at + 60)).toEqual(Buffer.from([0xff, 0x2f, 0x78, 0]));
    const data = at + bytes.readUInt32LE(4);
    expect([bytes.readUInt32LE(data), bytes.readUInt32LE(data + 4), bytes.readBigUInt64LE(data + 8)]).toEqual([4, 11, 2n ** 33n]);
  });

  test("large data is not copied, and arrives in the order of the entries", () => {
    const sent: Buffer[] = [];
    const frames = frameWriter((bytes) => sent.push(bytes));
    const large = Buffer.alloc(3_000_000, 1);
    frames.data(large, 0);
    frames.end();
    expect(sent.some((piece) => piece.buffer === large.buffer && piece.length === 1_048_576)).toBe(true);
    expect(Buffer.concat(sent).length).toBe(3_000_000 + 3 * 16 + 8);
  });
});

test("the fuzzer's seeds are of this version: others are refused before anything happens", () => {
  const folder = join(root, "native/fuzz/corpus/apply_fuzz");
  const begin = Buffer.from(Uint32Array.of(frameKind.begin, 8, entriesVersion).buffer);
  const names = readdirSync(folder);
  expect(names.length).toBeGreaterThan(3);
  for (const name of names) expect(readFileSync(join(folder, name)).includes(begin), name).toBe(true);
});

test("helper arguments", () => {
  expect(idArguments({ kind: "single" })).toEqual(["single"]);
  expect(idArguments(subordinate("fail"))).toEqual(["subordinate", "/n", "/g", "0:1000:1,1:100000:65535", "0:1000:1,1:100000:65535"]);
});

describe("reports", () => {
  const frame = (kind: number, payload: Buffer) => Buffer.concat([Buffer.from(Uint32Array.of(kind, payload.length).buffer), payload]);
  const failed = (stage: number, errno: number, path: string) =>
    frame(2, Buffer.concat([Buffer.from(Uint32Array.of(3, stage, errno, path.length + 1).buffer), Buffer.from(`${path}\0`)]));
  const read = (...bytes: Buffer[]) => {
    const reader = reportReader();
    for (const piece of bytes) reader.write(piece);
    return reader.end();
  };

  test("are read whole or not at all", () => {
    expect(read(failed(9, 28, "a/b")).failed).toEqual({ index: 3, stage: "create", errno: 28, texts: ["a/b"] });
    const whole = failed(9, 28, "a");
    for (const bad of [
      whole.subarray(0, 5),
      whole.subarray(0, -1),
      frame(9, Buffer.alloc(0)),
      frame(2, Buffer.alloc(3)),
      failed(99, 0, ""),
      frame(3, Buffer.alloc(7)),
    ])
      expect(() => read(bad)).toThrow();
    expect(() => read(Buffer.alloc(2_000_000))).toThrow(/more reports/);
  });

  test("of several layers are told apart, in whatever pieces they come", () => {
    const text = (path: string) => Buffer.concat([Buffer.from(Uint32Array.of(3, 9, 28, path.length + 1).buffer), Buffer.from(`${path}\0`)]);
    const done = (files: number) => frame(3, Buffer.from(BigUint64Array.of(BigInt(files), 0n, 0n, 0n, 0n, 0n).buffer));
    const bytes = Buffer.concat([frame(1, text("a")), frame(1, text("b")), done(1), done(2), frame(1, text("c")), failed(9, 28, "d")]);
    for (const size of [1, 7, bytes.length]) {
      const layers: (readonly [number, readonly string[]])[] = [];
      const reader = reportReader((layer) => layers.push([layer.done.files, layer.warnings.flatMap(({ texts }) => texts)]));
      for (let at = 0; at < bytes.length; at += size) reader.write(bytes.subarray(at, at + size));
      expect(layers).toEqual([
        [1, ["a", "b"]],
        [2, []],
      ]);
      expect(reader.end()).toMatchObject({ warnings: [{ texts: ["c"] }], failed: { texts: ["d"] } });
    }
  });

  test("become errors that say whose fault it is", () => {
    const of = (stage: "create" | "link" | "protocol" | "namespace" | "lower" | "whiteout" | "parent" | "write", errno: number) =>
      applyFailure("doing", { index: 0, stage, errno, texts: ["a\x1b[31m"] });
    expect(of("link", 2)).toBeInstanceOf(LayerProblem);
    expect(of("parent", 20).message).toBe("'a\\x1b[31m': below something that is no directory");
    expect(of("write", 28)).toMatchObject({ code: "store-failed", message: expect.stringContaining("no space left on device (write)") });
    expect(of("protocol", 74)).toMatchObject({ code: "internal" });
    expect(of("namespace", 1)).toMatchObject({ code: "guard-unavailable", hint: expect.stringContaining("belljar doctor") });
    expect(of("lower", 7)).toMatchObject({ code: "store-failed", hint: expect.stringContaining("512 layers") });
    expect(of("whiteout", 1)).toMatchObject({ code: "store-failed", hint: expect.stringContaining("XDG_DATA_HOME") });
  });
});

test("warnings: one sentence for each kind, nothing for none", () => {
  const done = { files: 0, directories: 0, bytes: 0, whiteouts: 0, refusedXattrs: 0, clampedTimes: 0 };
  expect(layerWarnings("layer 1", { deviations: noDeviations(), done, warnings: [] })).toEqual([]);
  const deviations = { squashedOwners: 3, devices: 1, firstDevice: "dev/null", strippedXattrs: 2, clampedTimes: 1 };
  const warnings = [{ index: 1, stage: "xattr" as const, errno: 1, texts: ["f", "trusted.x"] }];
  expect(layerWarnings("layer 1", { deviations, done: { ...done, refusedXattrs: 1 }, warnings })).toEqual([
    "layer 1: left out 1 device ('dev/null'): no ordinary user can make one",
    "layer 1: left out 1 extended attribute that cannot be set here (trusted.x; first at 'f')",
    "layer 1: left out 2 extended attributes by which overlay file systems are controlled",
    "layer 1: 1 date beyond what the file system can keep",
  ]);
  expect(ownerWarning(0, true)).toEqual([]);
  expect(ownerWarning(3, true).length).toBe(1);
});
