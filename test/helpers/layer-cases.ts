// Layers that do to each other all that layers can do, and the tree that comes of it.
import { belljarCommand } from "./belljar.ts";
import { baseLayer, type ImageHome, runnableImage } from "./run-image.ts";
import { seen, squashed, type World } from "./seen-tree.ts";
import { archive, device, directory, fifo, file, hardlink, symlink } from "./tar-writer.ts";

const opaque = (path: string): Buffer => file(`${path}/.wh..wh..opq`);
const whiteout = (path: string): Buffer => file(path.replace(/([^/]*)$/, ".wh.$1"));
const d = directory;
const f = file;

interface LayerCase {
  /** Entries below /t, lowest layer first. */
  readonly layers: readonly (readonly Buffer[])[];
  /** Lines of list-tree. */
  readonly seen: readonly string[];
}

const opaqueMarkers: LayerCase = {
  layers: [
    ["a", "b", "c"].flatMap((name) => [
      d(`t/opaque/${name}`),
      f(`t/opaque/${name}/old`, "1"),
      d(`t/opaque/${name}/sub`),
      f(`t/opaque/${name}/sub/old`, "1"),
    ]),
    [
      ...[d("t/opaque/a"), f("t/opaque/a/new", "2"), d("t/opaque/a/sub"), f("t/opaque/a/sub/n", "2"), opaque("t/opaque/a")],
      ...[opaque("t/opaque/b"), d("t/opaque/b"), f("t/opaque/b/new", "2")],
      ...[opaque("t/opaque/c"), f("t/opaque/c/new", "2")],
      ...[opaque("t/opaque/none"), f("t/opaque/none/x", "1")],
    ],
  ],
  seen: [
    ...["", "/a", "/a/sub", "/b", "/c", "/none"].map((path) => seen.directory(`/t/opaque${path}`)),
    ...["a/new", "a/sub/n", "b/new", "c/new"].map((path) => seen.file(`/t/opaque/${path}`, "2")),
    seen.file("/t/opaque/none/x", "1"),
  ],
};

const whiteouts: LayerCase = {
  layers: [
    [
      ...["first", "last"].flatMap((name) => [d(`t/white/${name}`), d(`t/white/${name}/bar`), f(`t/white/${name}/bar/old`)]),
      ...[f("t/white/x", "1"), f("t/white/keep"), whiteout("t/white/nothing-below")],
    ],
    [
      ...[whiteout("t/white/first/bar"), d("t/white/first/bar"), f("t/white/first/bar/data", "2")],
      ...[d("t/white/last/bar"), f("t/white/last/bar/data", "2"), whiteout("t/white/last/bar")],
      ...[whiteout("t/white/x"), whiteout("t/white/gone/never"), whiteout("t/white/nope")],
    ],
    [f("t/white/x", "3")],
  ],
  seen: [
    ...["", "/first", "/first/bar", "/last", "/last/bar"].map((path) => seen.directory(`/t/white${path}`)),
    ...["first", "last"].map((name) => seen.file(`/t/white/${name}/bar/data`, "2")),
    seen.file("/t/white/x", "3"),
    seen.file("/t/white/keep"),
  ],
};

const lowerKinds = {
  file: (at: string) => [f(at, "low")],
  empty: (at: string) => [d(at, 0o700)],
  full: (at: string) => [d(at), f(`${at}/child`, "low"), d(`${at}/sub`), f(`${at}/sub/child`, "low")],
  linkToFolder: (at: string) => [symlink(at, "/t/kinds/folder")],
  linkToFile: (at: string) => [symlink(at, "target")],
  dangling: (at: string) => [symlink(at, "/nowhere")],
  fifo: (at: string) => [fifo(at)],
} as const;
const upperKinds = ["file", "directory", "link", "hard", "fifo"] as const;

/** What an entry of that kind is, over whatever was there. */
function upper(kind: (typeof upperKinds)[number], at: string): { readonly entries: readonly Buffer[]; readonly seen: readonly string[] } {
  switch (kind) {
    case "file":
      return { entries: [f(at, "new", { mode: 0o600 })], seen: [seen.file(`/${at}`, "new", { mode: 0o600 })] };
    case "directory":
      return { entries: [d(at, 0o750)], seen: [seen.directory(`/${at}`, { mode: 0o750 })] };
    case "link":
      return { entries: [symlink(at, "new")], seen: [seen.link(`/${at}`, "new")] };
    case "fifo":
      return { entries: [fifo(at, { mode: 0o640 })], seen: [seen.fifo(`/${at}`, { mode: 0o640 })] };
    case "hard":
      return { entries: [hardlink(at, `${at}-target`)], seen: [] };
  }
}

/** Every kind of entry over every other, in the next layer and in the same one. */
function replacements(): LayerCase {
  const low: Buffer[] = [d("t/kinds"), d("t/kinds/folder"), f("t/kinds/folder/inner", "i")];
  const high: Buffer[] = [];
  const lines = ["/t/kinds", "/t/kinds/folder"].map((path) => seen.directory(path));
  lines.push(seen.file("/t/kinds/folder/inner", "i"));
  for (const where of ["next", "same"])
    for (const [name, make] of Object.entries(lowerKinds))
      for (const kind of upperKinds) {
        const at = `t/kinds/${where}-${name}-${kind}`;
        const target = f(`${at}-target`, "t");
        const names = [`/${at}`, `/${at}-target`];
        const { entries, seen: more } = upper(kind, at);
        low.push(...make(at));
        (where === "next" ? high : low).push(...(kind === "hard" ? [target] : []), ...entries);
        lines.push(...more);
        if (kind === "hard") lines.push(...names.map((path) => seen.file(path, "t", { names })));
        // Within one layer, as between two: only a directory joins a directory.
        if (kind === "directory" && name === "full")
          lines.push(seen.file(`/${at}/child`, "low"), seen.directory(`/${at}/sub`), seen.file(`/${at}/sub/child`, "low"));
      }
  return { layers: [low, high], seen: lines };
}

const modesAndOwners: LayerCase = {
  layers: [
    [
      ...[f("t/modes/gshadow", "old", { mode: 0 }), hardlink("t/modes/other", "t/modes/gshadow")],
      ...[d("t/modes/ro", 0o555), f("t/modes/ro/f", "", { mode: 0o444 }), d("t/modes/none", 0), f("t/modes/none/f")],
      ...[
        f("t/modes/s", "s", { mode: 0o4755 }),
        f("t/modes/g", "g", { mode: 0o2755, gid: 42 }),
        d("t/modes/t", 0o1777),
        f("t/modes/w", "", { mode: 0o666 }),
      ],
      ...[f("t/modes/owned", "o", { uid: 33, gid: 44, mode: 0o6711 }), symlink("t/modes/link", "owned", { uid: 5, gid: 6 })],
      ...[d("t/modes/parent", 0o1777, { uid: 7, gid: 8 }), symlink("t/modes/lib", "usr-lib"), d("t/modes/usr-lib", 0o711)],
    ],
    [
      ...[f("t/modes/gshadow", "n", { mode: 0 }), whiteout("t/modes/ro/f"), f("t/modes/ro/g")],
      ...[f("t/modes/parent/x"), f("t/modes/lib/foo.so", "so"), f("t/modes/a/b/f"), d("t/modes/a", 0o700)],
    ],
  ],
  seen: [
    seen.directory("/t/modes"),
    seen.file("/t/modes/gshadow", "n", { mode: 0 }),
    seen.file("/t/modes/other", "old", { mode: 0 }),
    seen.directory("/t/modes/ro", { mode: 0o555 }),
    seen.file("/t/modes/ro/g"),
    seen.directory("/t/modes/none", { mode: 0 }),
    seen.file("/t/modes/none/f"),
    seen.file("/t/modes/s", "s", { mode: 0o4755 }),
    seen.file("/t/modes/g", "g", { mode: 0o2755, owner: [0, 42] }),
    seen.directory("/t/modes/t", { mode: 0o1777 }),
    seen.file("/t/modes/w", "", { mode: 0o666 }),
    seen.file("/t/modes/owned", "o", { mode: 0o6711, owner: [33, 44] }),
    seen.link("/t/modes/link", "owned", { owner: [5, 6] }),
    seen.directory("/t/modes/parent", { mode: 0o1777, owner: [7, 8] }),
    seen.file("/t/modes/parent/x"),
    seen.link("/t/modes/lib", "usr-lib"),
    seen.directory("/t/modes/usr-lib", { mode: 0o711 }),
    seen.file("/t/modes/usr-lib/foo.so", "so"),
    seen.directory("/t/modes/a", { mode: 0o700 }),
    seen.directory("/t/modes/a/b"),
    seen.file("/t/modes/a/b/f"),
  ],
};

const times: LayerCase = {
  layers: [
    [
      ...[d("t/times", 0o755, { mtime: 1_000_000_000 }), f("t/times/f", "f", { pax: { mtime: "1000000001.25" } })],
      ...[
        symlink("t/times/l", "f", { mtime: 5 }),
        f("t/times/nano", "", { pax: { mtime: "1234567890.123456789" } }),
        fifo("t/times/p", { mtime: 7 }),
      ],
      ...[d("t/times/deep", 0o755, { mtime: 11 }), f("t/times/deep/f", "", { mtime: 12 })],
    ],
    [f("t/times/deep/g", "", { mtime: 13 })],
  ],
  seen: [
    seen.directory("/t/times", { time: "1000000000.000000000" }),
    seen.file("/t/times/f", "f", { time: "1000000001.250000000" }),
    seen.link("/t/times/l", "f", { time: "5.000000000" }),
    seen.file("/t/times/nano", "", { time: "1234567890.123456789" }),
    seen.fifo("/t/times/p", { time: "7.000000000" }),
    seen.directory("/t/times/deep", { time: "11.000000000" }),
    seen.file("/t/times/deep/f", "", { time: "12.000000000" }),
    seen.file("/t/times/deep/g", "", { time: "13.000000000" }),
  ],
};

const specials: LayerCase = {
  layers: [
    [
      ...[d("t/special"), f("t/special/gone", "stays"), d("t/special/hidden"), f("t/special/hidden/below", "seen")],
      ...[f("t/special/one", "linked"), hardlink("t/special/two", "t/special/one"), hardlink("t/special/three", "t/special/two")],
      ...[f("t/special/lower", "l"), f("t/special/Ümlaut und\nneue Zeile", "odd"), symlink("t/special/abs", "/etc/../bin/sh")],
    ],
    [
      ...[device("t/special/null", [1, 3]), device("t/special/evil", [8, 0]), device("t/special/gone", [0, 0]), fifo("t/special/fifo")],
      ...[f("t/special/after", "a"), hardlink("t/special/upper", "t/special/lower")],
      f("t/special/attributes", "x", {
        pax: [
          ["SCHILY.xattr.user.b", "2"],
          ["LIBARCHIVE.xattr.user.a", "MQ=="],
          ["SCHILY.xattr.user.overlay.redirect", "/x"],
        ],
      }),
      d("t/special/hidden", 0o755, {
        pax: [
          ["SCHILY.xattr.user.overlay.opaque", "y"],
          ["SCHILY.xattr.trusted.overlay.opaque", "y"],
          ["SCHILY.xattr.user.fuseoverlayfs.opaque", "y"],
          ["SCHILY.xattr.user.containers.override_stat", "0:0:0777"],
          ["SCHILY.xattr.user.kept", "yes"],
        ],
      }),
    ],
  ],
  seen: [
    seen.directory("/t/special"),
    seen.file("/t/special/gone", "stays"),
    seen.directory("/t/special/hidden", { xattrs: { "user.kept": "yes" } }),
    seen.file("/t/special/hidden/below", "seen"),
    ...["one", "three", "two"].map((name, _, all) =>
      seen.file(`/t/special/${name}`, "linked", { names: all.map((one) => `/t/special/${one}`) }),
    ),
    ...["lower", "upper"].map((name) => seen.file(`/t/special/${name}`, "l", { names: ["/t/special/lower", "/t/special/upper"] })),
    seen.file("/t/special/%c3%9cmlaut%20und%0aneue%20Zeile", "odd"),
    seen.link("/t/special/abs", "/etc/../bin/sh"),
    seen.fifo("/t/special/fifo"),
    seen.file("/t/special/after", "a"),
    seen.file("/t/special/attributes", "x", { xattrs: { "user.a": "1", "user.b": "2" } }),
  ],
};

/** A directory that is listed before what is in it: some drivers keep what they saw. */
const opaqueWithin: LayerCase = {
  layers: [
    [d("t/sp"), d("t/sp/set"), d("t/sp/set/__pc"), f("t/sp/set/__pc/config")],
    [d("t/sp"), d("t/sp/set"), opaque("t/sp/set"), d("t/sp/set/__pc"), f("t/sp/set/__pc/depends")],
  ],
  seen: [...["/t/sp", "/t/sp/set", "/t/sp/set/__pc"].map((path) => seen.directory(path)), seen.file("/t/sp/set/__pc/depends")],
};

const cases = [opaqueMarkers, whiteouts, replacements(), modesAndOwners, times, specials, opaqueWithin];

/** All cases in one image: they have folders of their own. */
function stack(): readonly Buffer[] {
  const height = Math.max(...cases.map(({ layers }) => layers.length));
  return Array.from({ length: height }, (_, i) => archive(...(i === 0 ? [d("t")] : []), ...cases.flatMap(({ layers }) => layers[i] ?? [])));
}

/** Loads and unpacks with a mask that would take every right away. */
export async function addCases(home: ImageHome): Promise<void> {
  await home.add("cases", runnableImage([baseLayer({ tools: true }), ...stack()]));
}
export const maskedCommand = ["sh", "-c", 'umask 077; exec "$@"', "sh", ...belljarCommand];

/** What list-tree must say of the image. */
export const expectedLines = (world: World): readonly string[] => {
  const all = [seen.directory("/t"), ...cases.flatMap((one) => one.seen)];
  return [...(world === "single" ? squashed(all) : all)].sort();
};
