import { createHash } from "node:crypto";
import { once } from "node:events";
import { Readable } from "node:stream";
import fc from "fast-check";
import { extract } from "tar-stream";
import { describe, expect, test } from "vitest";
import { defaultLayerLimits } from "../../../../cli/image/layer/limits.ts";
import { LayerProblem } from "../../../../cli/image/layer/problem.ts";
import { type TarEntry, tarReader } from "../../../../cli/image/layer/tar-reader.ts";
import {
  archive,
  base256,
  block,
  directory,
  ending,
  file,
  hardlink,
  header,
  longName,
  padded,
  pax,
  paxRecord,
  symlink,
} from "../../../helpers/tar-writer.ts";

interface Read extends TarEntry {
  readonly content: string;
  readonly data: Buffer;
}

/** Reads an archive in pieces of a size; files are put together as a disk would. */
function read(bytes: Buffer, pieceBytes = 65536, limits = {}): readonly Read[] {
  const found: { entry: TarEntry; data: Buffer }[] = [];
  const reader = tarReader(
    {
      entry: (entry) => found.push({ entry, data: Buffer.alloc(Math.min(entry.size, 1 << 24)) }),
      data: (chunk, offset) => chunk.copy(found.at(-1)?.data ?? Buffer.alloc(0), offset),
    },
    { ...defaultLayerLimits, ...limits },
  );
  for (let at = 0; at < bytes.length; at += pieceBytes) reader.write(bytes.subarray(at, at + pieceBytes));
  reader.end();
  return found.map(({ entry, data }) => ({ ...entry, data, content: data.toString("latin1") }));
}

const brief = (entries: readonly Read[]) => entries.map(({ path, content }) => [path, content]);

describe("headers", () => {
  test("a pax size is the file's, not that of a long name in between", () => {
    const long = "n".repeat(150);
    const data = "d".repeat(2048);
    const bytes = archive(
      pax({ size: "2048" }),
      longName(long),
      header({ name: "short", size: 16 }),
      Buffer.from(data),
      file("second", "2"),
    );
    for (const size of [65536, 512, 100])
      expect(brief(read(bytes, size))).toEqual([
        [long, data],
        ["second", "2"],
      ]);
  });

  test("names of 256 bytes and more: GNU, pax, prefix; of exactly 100 bytes without a NUL", () => {
    const long = `${"d".repeat(200)}/${"f".repeat(200)}`;
    const hundred = "h".repeat(100);
    const entries = read(
      archive(
        Buffer.concat([longName(long), longName(long.repeat(3), "K"), header({ name: "x", type: "2", link: "y" })]),
        file(long, "pax"),
        file("f".repeat(90), "prefix", { prefix: "p".repeat(155) }),
        file(hundred, "100"),
        symlink("l", "t".repeat(100)),
        directory(`${"a/".repeat(45)}dir/`),
      ),
    );
    expect(entries.map(({ path }) => path)).toEqual([
      long,
      long,
      `${"p".repeat(155)}/${"f".repeat(90)}`,
      hundred,
      "l",
      `${"a/".repeat(45)}dir/`,
    ]);
    expect(entries.map(({ linkPath }) => linkPath)).toEqual([long.repeat(3), "", "", "", "t".repeat(100), ""]);
  });

  test("base-256 numbers: size, owners, time, negative too; octal with spaces and without an end", () => {
    const [big, negative, spaced, old] = read(
      archive(
        file("big", "", { uid: base256(1516583083, 8), gid: base256(4294967295, 8), mtime: base256(2 ** 34, 12) }),
        file("negative", "", { uid: base256(-1, 8), mtime: base256(-86400, 12) }),
        file("spaced", "xy", { mode: "  644 \0", uid: " 1750 \0", gid: "      7\0", mtime: "  1234567 " }),
        file("old", "", { mode: "00000755", uid: "\0\0\0\0\0\0\0\0", mtime: "77777777777\0" }),
      ),
    );
    expect(big).toMatchObject({ uid: 1516583083, gid: 4294967295, mtime: { seconds: 2 ** 34 } });
    expect(negative).toMatchObject({ uid: -1, mtime: { seconds: -86400 } });
    expect(spaced).toMatchObject({ mode: 0o644, uid: 0o1750, gid: 7, mtime: { seconds: 0o1234567 }, content: "xy" });
    expect(old).toMatchObject({ mode: 0o755, uid: 0, mtime: { seconds: 0o77777777777 } });
  });

  test("checksums of unsigned and of signed bytes; a wrong one is no archive", () => {
    const name = Buffer.from([0xc3, 0xa4, 0xff, 0x80]);
    expect(read(archive(file(name, "1"), file(name, "2", { checksum: "signed" }))).map(({ content }) => content)).toEqual(["1", "2"]);
    for (const bytes of [archive(file("a", "", { checksum: 1 })), Buffer.from("no archive at all ".repeat(40))])
      expect(() => read(bytes)).toThrow(/no tar archive, or damaged/);
  });

  test("names are bytes: UTF-8, broken UTF-8, newlines, in header and pax alike", () => {
    const names = [Buffer.from("ä\n€"), Buffer.from([0xff, 0xfe, 0x2f, 0x80]), Buffer.from("=a b=c\n")];
    const entries = read(archive(...names.flatMap((name) => [file(name), file("x", "", { pax: [["path", name]] })])));
    expect(entries.map(({ path }) => Buffer.from(path, "latin1"))).toEqual(names.flatMap((name) => [name, name]));
  });

  test("formats: ustar, GNU, V7 with a directory's slash, star", () => {
    const star = header({
      name: "star",
      prefix: "p".repeat(131),
      patch: (bytes) => {
        bytes.write("00000000001 00000000001 ", 476);
        bytes.write("tar\0", 508);
      },
    });
    const gnu = header({ name: "gnu", magic: "gnu", prefix: "12345670123" });
    const entries = read(
      archive(
        file("v7", "x", { magic: "v7" }),
        Buffer.concat([header({ name: "dir/", type: "\0", magic: "v7" })]),
        gnu,
        star,
        file("slash/", "data"),
      ),
    );
    expect(entries.map(({ path, type }) => [path, type])).toEqual([
      ["v7", "file"],
      ["dir/", "directory"],
      ["gnu", "file"],
      [`${"p".repeat(131)}/star`, "file"],
      ["slash/", "directory"],
    ]);
  });

  test("links, devices and fifos have no data, whatever their size says; GNU's directories have", () => {
    const sized = (type: string) => header({ name: `t${type}`, type, size: 700, link: "x" });
    const bytes = archive(...["1", "2", "3", "4", "6", "5"].map(sized), sized("D"), padded("x".repeat(700)), file("after", "1"));
    expect(read(bytes).map(({ path, size }) => [path, size])).toEqual([
      ...["t1", "t2", "t3", "t4", "t6", "t5", "tD"].map((path) => [path, 0]),
      ["after", 1],
    ]);
  });

  test("a volume's label is no entry; unknown types are refused by name", () => {
    expect(brief(read(archive(header({ name: "label", type: "V" }), file("a"))))).toEqual([["a", ""]]);
    for (const type of ["M", "N", "8", "Z", "\x01"])
      expect(() => read(archive(header({ name: "odd", type })))).toThrow(/'odd': an entry of the unknown type/);
  });

  test("numbers that are none, negative sizes, sizes beyond all bounds", () => {
    for (const [fields, reason] of [
      [{ size: "12x45\0" }, /bad size/],
      [{ uid: "-1\0" }, /bad owner/],
      [{ size: base256(-1, 12) }, /negative size/],
      [{ size: Buffer.from("bfffffffffffffffffffffff", "hex") }, /impossible size/],
      [{ mtime: Buffer.from("80ffffffffffffffffffffff", "hex") }, /impossible time/],
    ] as const)
      expect(() => read(archive(header({ name: "x", ...fields })))).toThrow(reason);
  });
});

describe("extended headers", () => {
  test("lengths whose digits roll over", () => {
    for (const length of [1, 3, 4, 5, 6, 92, 93, 94, 95, 96, 991, 992, 993, 994])
      expect(read(archive(file("x", "", { pax: { path: "v".repeat(length) } })))[0]?.path).toBe("v".repeat(length));
    expect(paxRecord("a", "12345").toString()).toBe("11 a=12345\n");
  });

  test("values with newlines and equals signs; empty ones take nothing away from the header", () => {
    const [entry] = read(archive(file("plain", "", { uid: 5, pax: { path: "", uid: "", comment: "a=b\nc=d\n" } })));
    expect(entry).toMatchObject({ path: "plain", uid: 5 });
    expect(entry?.pax.get("comment")).toBe("a=b\nc=d\n");
  });

  test("global ones hold for all that follow, local ones for one entry", () => {
    const entries = read(
      archive(
        pax({ uid: "7", gid: "8" }, "g"),
        file("a"),
        file("b", "", { pax: { uid: "9" } }),
        file("c"),
        pax({ uid: "10" }, "g"),
        file("d"),
      ),
    );
    expect(entries.map(({ uid, gid }) => [uid, gid])).toEqual([
      [7, 8],
      [9, 8],
      [7, 8],
      [10, 8],
    ]);
  });

  test("owners and times override the header's", () => {
    const times = ["-86400.5", "-0.000000001", "-1", "1.1234567899", "0", "1000000000000000", "-1.0000000001"].map(
      (mtime) => read(archive(file("x", "", { mtime: 5, pax: { mtime } })))[0]?.mtime,
    );
    expect(times).toEqual([
      { seconds: -86401, nanoseconds: 500_000_000 },
      { seconds: -1, nanoseconds: 999_999_999 },
      { seconds: -1, nanoseconds: 0 },
      { seconds: 1, nanoseconds: 123_456_789 },
      { seconds: 0, nanoseconds: 0 },
      { seconds: 1e15, nanoseconds: 0 },
      { seconds: -2, nanoseconds: 0 },
    ]);
    expect(read(archive(file("x", "", { pax: { uid: "1516583083", gid: "-1" } })))[0]).toMatchObject({ uid: 1516583083, gid: -1 });
  });

  test("damaged ones are refused", () => {
    const raw = (data: string) => Buffer.concat([header({ name: "p", type: "x", size: data.length }), padded(data), file("x")]);
    for (const data of [
      "",
      "x",
      "5 a=b",
      "99 a=b\n",
      "6 a=bc",
      "0 a=b\n",
      "7 =abc\n",
      "8 abcde\n",
      "-6 a=b\n",
      "6 a=b\n\0\0\0",
      "99999999999999 a=b\n",
    ])
      if (data !== "") expect(() => read(archive(raw(data))), JSON.stringify(data)).toThrow(LayerProblem);
    for (const values of [
      { size: "-1" },
      { size: "1e3" },
      { size: "99999999999999999999" },
      { uid: "x" },
      { mtime: "1.2.3" },
      { mtime: "0x10" },
    ])
      expect(() => read(archive(file("x", "", { pax: values }))), JSON.stringify(values)).toThrow(LayerProblem);
  });

  test("too long ones are refused by what they say, before they come", () => {
    for (const type of ["x", "g", "L", "K", "X"])
      expect(() => read(header({ name: "p", type, size: base256(2 ** 31, 12) }))).toThrow(/more than 1048576 bytes/);
    expect(() => read(archive(header({ name: "p", type: "x", size: base256(-5, 12) })))).toThrow(LayerProblem);
  });
});

describe("the end", () => {
  test("two zero blocks end the archive; one alone does not; without any, the input does", () => {
    expect(brief(read(Buffer.concat([file("a"), Buffer.alloc(block), file("b"), ending, file("c")])))).toEqual([
      ["a", ""],
      ["b", ""],
    ]);
    expect(brief(read(file("a", "x")))).toEqual([["a", "x"]]);
    expect(read(Buffer.alloc(0))).toEqual([]);
    expect(read(Buffer.alloc(20 * block))).toEqual([]);
  });

  test("cut off anywhere else, it is refused", () => {
    const bytes = Buffer.concat([file("a".repeat(120), "content", {}), longName("n".repeat(120)), file("b", "x".repeat(600))]);
    for (let at = 0; at < bytes.length; at += 64) {
      const cut = bytes.subarray(0, at);
      // 4 blocks: after the first file. Before that, and at the very end, only what fills a block is missing.
      const isWhole = at === 0 || (at > 3 * block && at <= 4 * block) || at >= bytes.length - block + (600 % block);
      if (isWhole) expect(() => read(cut), `at ${at}`).not.toThrow();
      else expect(() => read(cut), `at ${at}`).toThrow(/cut off/);
    }
  });

  test("entries are counted, describing ones too", () => {
    const many = archive(...Array.from({ length: 50 }, (_, i) => file(`f${i}`)));
    expect(() => read(many, 4096, { maxEntries: 49 })).toThrow(/more than 49 entries/);
    expect(read(many, 4096, { maxEntries: 50 }).length).toBe(50);
    expect(() => read(archive(...Array.from({ length: 50 }, () => pax({ a: "b" }))), 4096, { maxEntries: 49 })).toThrow(LayerProblem);
  });
});

describe("sparse files", () => {
  const sha = (bytes: Buffer): string => createHash("sha256").update(bytes).digest("hex");
  const size = 1_048_576;
  const whole = Buffer.alloc(size);
  whole.write("tail", size - 4);
  whole.write("middle", 524_288);
  const [head, tail] = [padded("middle".padEnd(512, "\0")), Buffer.from(`${"\0".repeat(508)}tail`)];
  const data = Buffer.concat([head, tail]);
  const numbers = ["524288", "512", String(size - 512), "512"];

  const formats: Readonly<Record<string, Buffer>> = {
    "old GNU": Buffer.concat([
      header({
        name: "s",
        type: "S",
        size: 1024,
        magic: "gnu",
        patch: (bytes) => {
          [524_288, 512, size - 512, 512].forEach((n, i) => {
            bytes.write(`${n.toString(8).padStart(11, "0")}\0`, 386 + 12 * i);
          });
          bytes.write(`${size.toString(8).padStart(11, "0")}\0`, 483);
        },
      }),
      data,
    ]),
    "pax 0.0": file("s", data, {
      pax: [
        ["GNU.sparse.size", String(size)],
        ["GNU.sparse.numblocks", "2"],
        ...numbers.map((n, i) => [i % 2 === 0 ? "GNU.sparse.offset" : "GNU.sparse.numbytes", n] as const),
      ],
    }),
    "pax 0.1": file("GNUSparseFile.1/s", data, {
      pax: { "GNU.sparse.size": String(size), "GNU.sparse.numblocks": "2", "GNU.sparse.name": "s", "GNU.sparse.map": numbers.join(",") },
    }),
    "pax 1.0": file("GNUSparseFile.1/s", Buffer.concat([padded(`2\n${numbers.join("\n")}\n`), data]), {
      pax: { "GNU.sparse.major": "1", "GNU.sparse.minor": "0", "GNU.sparse.name": "s", "GNU.sparse.realsize": String(size) },
    }),
  };
  for (const [format, bytes] of Object.entries(formats)) {
    test.each([65536, 512, 333])(`${format}, in pieces of %i bytes: name, size and content; the next entry is found`, (pieces) => {
      const [sparse, next] = read(archive(bytes, file("next", "n")), pieces);
      expect(sparse).toMatchObject({ path: "s", size, type: "file" });
      expect(sha(sparse?.data ?? Buffer.alloc(0))).toBe(sha(whole));
      expect(next).toMatchObject({ path: "next", content: "n" });
    });
  }

  test("nothing but a hole", () => {
    const hole = { "GNU.sparse.major": "1", "GNU.sparse.minor": "0", "GNU.sparse.name": "s", "GNU.sparse.realsize": "9000000000" };
    const [one, two] = read(
      archive(file("x", padded("0\n"), { pax: hole }), file("y", "", { pax: { "GNU.sparse.size": "5", "GNU.sparse.map": "" } })),
    );
    expect([one?.size, two?.size]).toEqual([9_000_000_000, 5]);
  });

  test("an old GNU map that goes on in further blocks", () => {
    const fragments = Array.from({ length: 40 }, (_, i) => i * 1024);
    const put = (into: Buffer, at: number, offset: number): void => {
      into.write(`${offset.toString(8).padStart(11, "0")}\0${(512).toString(8).padStart(11, "0")}\0`, at);
    };
    const more = [Buffer.alloc(block), Buffer.alloc(block)];
    for (const [i, offset] of fragments.slice(4).entries()) put(more[Math.floor(i / 21)] as Buffer, (i % 21) * 24, offset);
    (more[0] as Buffer)[504] = 1;
    const first = header({
      ...{ name: "s", type: "S", size: 40 * 512, magic: "gnu" },
      patch: (bytes) => {
        for (const [i, offset] of fragments.slice(0, 4).entries()) put(bytes, 386 + 24 * i, offset);
        bytes[482] = 1;
        bytes.write(`${(40 * 1024).toString(8).padStart(11, "0")}\0`, 483);
      },
    });
    const stored = Buffer.concat(fragments.map((_, i) => Buffer.alloc(512, i + 1)));
    const [sparse, next] = read(archive(first, ...more, stored, file("next")), 700);
    expect(fragments.every((offset, i) => sparse?.data[offset] === i + 1 && sparse.data[offset + 512] === 0)).toBe(true);
    expect(next?.path).toBe("next");
  });

  test("maps that cannot be are refused", () => {
    const with01 = (map: string, bytes = 512, of = 2048) =>
      archive(file("x", "d".repeat(bytes), { pax: { "GNU.sparse.size": String(of), "GNU.sparse.map": map } }));
    for (const map of ["0,512,256,256", "0,513", "0,511", "2048,512", "512,256,0,256", "0", "-1,512", "0,x", "9007199254740991,512", ","])
      expect(() => read(with01(map)), map).toThrow(LayerProblem);
    const with10 = (data: string) =>
      archive(file("x", data, { pax: { "GNU.sparse.major": "1", "GNU.sparse.minor": "0", "GNU.sparse.realsize": "10" } }));
    for (const text of ["", "1\n", "x\n0\n", "2\n0\n1\n", "99999999\n0\n"])
      expect(() => read(with10(text.padEnd(text === "" ? 0 : 512, "\0"))), text).toThrow(LayerProblem);
    expect(() => read(archive(file("x", "", { pax: { "GNU.sparse.major": "2", "GNU.sparse.minor": "0" } })))).toThrow(/unknown format 2/);
  });

  test("a map without end is cut off by the limit", () => {
    const endless = `9999999\n${"1\n".repeat(1_000_000)}`;
    const bytes = file("x", endless, { pax: { "GNU.sparse.major": "1", "GNU.sparse.minor": "0", "GNU.sparse.realsize": "10" } });
    expect(() => read(bytes, 65536, { maxHeaderBytes: 4096 })).toThrow(/map of more than 4096 bytes/);
  });
});

describe("against another reader of archives, on what both can read", () => {
  const name = fc.stringMatching(/^[a-z0-9äß €.]{1,40}$/).filter((text) => !/^\.*$/.test(text));
  const path = fc.array(name, { minLength: 1, maxLength: 8 }).map((parts) => parts.join("/"));
  const numbers = { mode: fc.nat(0o7777), uid: fc.nat(2 ** 31), gid: fc.nat(2 ** 31), mtime: fc.nat(2 ** 33) };
  const any = fc.oneof(
    fc.record({ kind: fc.constant("file" as const), path, content: fc.uint8Array({ maxLength: 2000 }), ...numbers }),
    fc.record({ kind: fc.constant("directory" as const), path, ...numbers }),
    fc.record({ kind: fc.constant("symlink" as const), path, target: fc.stringMatching(/^[a-z/.]{1,90}$/), ...numbers }),
    fc.record({ kind: fc.constant("link" as const), path, target: fc.stringMatching(/^[a-z/.]{1,90}$/), ...numbers }),
  );

  test("tar-stream says the same", async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(any, { maxLength: 12 }), fc.integer({ min: 1, max: 3000 }), async (entries, pieces) => {
        const bytes = archive(
          ...entries.map((of) => {
            const { mode, uid, gid, mtime } = of;
            const extra = { mode, uid, gid, mtime };
            if (of.kind === "file") return file(of.path, of.content, extra);
            if (of.kind === "directory") return directory(of.path, mode, extra);
            return of.kind === "symlink" ? symlink(of.path, of.target, extra) : hardlink(of.path, of.target, extra);
          }),
        );
        const theirs: unknown[] = [];
        const other = extract();
        other.on("entry", (head, stream, next) => {
          const chunks: Buffer[] = [];
          stream.on("data", (chunk: unknown) => {
            chunks.push(chunk as Buffer);
          });
          stream.on("end", () => {
            const { name: found, type, mode, uid, gid, mtime, linkname } = head;
            theirs.push([
              found,
              type,
              mode,
              uid,
              gid,
              (mtime?.getTime() ?? 0) / 1000,
              linkname ?? "",
              Buffer.concat(chunks).toString("latin1"),
            ]);
            next();
          });
        });
        Readable.from([bytes]).pipe(other);
        await once(other, "finish");
        const types: Readonly<Record<string, string>> = { hardlink: "link" };
        const ours = read(bytes, pieces).map((entry) => [
          Buffer.from(entry.path, "latin1").toString(),
          types[entry.type] ?? entry.type,
          ...[entry.mode, entry.uid, entry.gid, entry.mtime.seconds, entry.linkPath, entry.content],
        ]);
        expect(ours).toEqual(theirs);
      }),
      { numRuns: 150 },
    );
  });

  test("bytes of any kind are read or refused, never believed without a checksum", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 3000 }), fc.integer({ min: 1, max: 700 }), (bytes, pieces) => {
        try {
          read(Buffer.from(bytes), pieces);
        } catch (error) {
          expect(error).toBeInstanceOf(LayerProblem);
        }
      }),
    );
    const good = archive(file("a".repeat(130), "x".repeat(700)), symlink("l", "t"), directory("d"));
    fc.assert(
      fc.property(fc.array(fc.record({ at: fc.nat(good.length - 1), to: fc.nat(255) }), { maxLength: 6 }), (flips) => {
        const bytes = Buffer.from(good);
        for (const { at, to } of flips) bytes[at] = to;
        try {
          read(bytes);
        } catch (error) {
          expect(error).toBeInstanceOf(LayerProblem);
        }
      }),
    );
  });
});
