import { randomBytes } from "node:crypto";
import { deflateRawSync, gzipSync } from "node:zlib";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { decompress, sniffCompression } from "../../../../cli/image/layer/decompress.ts";
import { defaultLayerLimits } from "../../../../cli/image/layer/limits.ts";
import { LayerProblem } from "../../../../cli/image/layer/problem.ts";

async function* pieces(bytes: Uint8Array, size: number): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < bytes.length; at += size) yield bytes.subarray(at, at + size);
}

async function unpack(bytes: Uint8Array, size = 65536, limits = {}): Promise<Buffer> {
  const out: Buffer[] = [];
  for await (const chunk of decompress(pieces(bytes, size), { ...defaultLayerLimits, ...limits })) out.push(chunk);
  return Buffer.concat(out);
}

/** A zstd frame of stored blocks (RFC 8878, 3.1.1), without a checksum. */
function zstdFrame(content: Uint8Array, windowLog = 17): Buffer {
  const blocks: Buffer[] = [];
  const blockBytes = 65536;
  for (let at = 0; at === 0 || at < content.length; at += blockBytes) {
    const block = content.subarray(at, at + blockBytes);
    const head = Buffer.alloc(3);
    head.writeUIntLE((block.length << 3) | (at + blockBytes >= content.length ? 1 : 0), 0, 3);
    blocks.push(head, Buffer.from(block));
  }
  return Buffer.concat([Buffer.from([0x28, 0xb5, 0x2f, 0xfd, 0x00, (windowLog - 10) << 3]), ...blocks]);
}

function skippable(content: Uint8Array, number = 0): Buffer {
  const head = Buffer.from([0x50 + number, 0x2a, 0x4d, 0x18, 0, 0, 0, 0]);
  head.writeUInt32LE(content.length, 4);
  return Buffer.concat([head, content]);
}

const fox = Buffer.from("The quick brown fox jumps over the lazy dog. ".repeat(40));
/** fox, as `zstd -19 --check` writes it. */
const checkedFox = Buffer.from("KLUv/QRotQEA1AJUaGUgcXVpY2sgYnJvd24gZm94IGp1bXBzIG92ZXIgdGhlIGxhenkgZG9nLiABAMUW/qoM1/yTEA==", "base64");
const content = randomBytes(300_000);
const [a, b, c] = [content.subarray(0, 100_000), content.subarray(100_000, 100_001), content.subarray(100_001)];
const zeros = (n: number): Buffer => Buffer.alloc(n);

const whole: Readonly<Record<string, Uint8Array>> = {
  "nothing compressed": content,
  "one gzip member": gzipSync(content),
  "three gzip members": Buffer.concat([a, b, c].map((part) => gzipSync(part))),
  "an empty first gzip member": Buffer.concat([gzipSync(""), gzipSync(content)]),
  "empty gzip members between and last": Buffer.concat([gzipSync(a), gzipSync(""), gzipSync(Buffer.concat([b, c])), gzipSync("")]),
  "zeros between gzip members": Buffer.concat([gzipSync(a), zeros(1), gzipSync(b), zeros(100_000), gzipSync(c)]),
  "zeros after the last gzip member": Buffer.concat([gzipSync(content), zeros(700)]),
  "one zstd frame": zstdFrame(content),
  "three zstd frames": Buffer.concat([a, b, c].map((part) => zstdFrame(part))),
  "a skippable frame first": Buffer.concat([skippable(randomBytes(9)), zstdFrame(content)]),
  "a skippable frame in the middle": Buffer.concat([zstdFrame(a), skippable(randomBytes(70_000), 15), zstdFrame(Buffer.concat([b, c]))]),
  "a skippable frame last": Buffer.concat([zstdFrame(content), skippable(zeros(0), 7)]),
  "an empty zstd frame first": Buffer.concat([zstdFrame(zeros(0)), zstdFrame(content)]),
};

describe("all members and frames are decoded", () => {
  for (const [what, bytes] of Object.entries(whole)) {
    test.each([65536, 4096, 211, 1_000_000])(`${what}, in pieces of %i bytes`, async (size) => {
      expect((await unpack(bytes, size)).equals(content)).toBe(true);
    });
  }

  test("byte by byte, across every boundary", async () => {
    const gzip = Buffer.concat([gzipSync(fox), zeros(3), gzipSync(fox), gzipSync("")]);
    expect((await unpack(gzip, 1)).toString()).toBe(`${fox}${fox}`);
    expect((await unpack(Buffer.concat([checkedFox, skippable(fox), checkedFox]), 1)).toString()).toBe(`${fox}${fox}`);
  });

  test("wherever members and pieces end", async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.record({ bytes: fc.uint8Array({ maxLength: 300 }), zeros: fc.nat(5) }), { minLength: 1, maxLength: 6 }),
        fc.integer({ min: 1, max: 60 }),
        async (members, size) => {
          const stream = Buffer.concat(members.flatMap(({ bytes, zeros: count }) => [gzipSync(bytes), zeros(count)]));
          expect(await unpack(stream, size)).toEqual(Buffer.concat(members.map(({ bytes }) => bytes)));
        },
      ),
      { numRuns: 60 },
    );
  });

  test("an empty stream is an empty archive", async () => {
    expect((await unpack(zeros(0))).length).toBe(0);
  });

  test("200 MB of zeros in a small layer are legal, in little memory", async () => {
    const million = gzipSync(zeros(1_000_000), { level: 9 });
    const stream = Buffer.concat(Array.from({ length: 200 }, () => million));
    let bytes = 0;
    for await (const chunk of decompress(pieces(stream, 65536), defaultLayerLimits)) bytes += chunk.length;
    expect(bytes).toBe(200_000_000);
  });
});

describe("damage is an error, never less content", () => {
  const refused = (bytes: Uint8Array, reason: RegExp) => async (): Promise<void> => {
    for (const size of [65536, 1000, 7]) {
      const attempt = unpack(bytes, size);
      await expect(attempt).rejects.toBeInstanceOf(LayerProblem);
      await expect(attempt).rejects.toThrow(reason);
    }
  };
  const patched = (bytes: Uint8Array, at: number): Buffer => {
    const copy = Buffer.from(bytes);
    copy[copy.length + at] = (copy.at(at) ?? 0) ^ 0x55;
    return copy;
  };
  const gz = gzipSync(fox);

  test("gzip cut off in the last 4 bytes", refused(gz.subarray(0, -4), /cut off/));
  test("gzip cut off in the content", refused(gz.subarray(0, 30), /cut off/));
  test("gzip cut off in a header", refused(gz.subarray(0, 8), /cut off/));
  test("a second member cut off", refused(Buffer.concat([gz, gz.subarray(0, 5)]), /cut off/));
  test("a second member behind zeros cut off", refused(Buffer.concat([gz, zeros(2), gz.subarray(0, 40)]), /cut off/));
  test("gzip with a wrong checksum", refused(patched(gz, -8), /damaged \(incorrect data check\)/));
  test("gzip with a wrong length", refused(patched(gz, -4), /damaged \(incorrect length check\)/));
  test("garbage after gzip", refused(Buffer.concat([gz, Buffer.from("garbage")]), /damaged/));
  test("garbage behind zeros after gzip", refused(Buffer.concat([gz, zeros(9), Buffer.from("garbage")]), /damaged/));
  test("zstd after gzip", refused(Buffer.concat([gz, checkedFox]), /damaged/));
  test("zstd cut off in the checksum", refused(checkedFox.subarray(0, -2), /cut off/));
  test("zstd cut off in a block", refused(checkedFox.subarray(0, 20), /cut off/));
  test("zstd cut off after a frame's magic", refused(Buffer.concat([checkedFox, checkedFox.subarray(0, 4)]), /cut off/));
  test("a skippable frame cut off", refused(skippable(fox).subarray(0, 100), /cut off/));
  test("zstd with a wrong checksum", refused(patched(checkedFox, -1), /wrong checksum/));
  test("zstd with damaged content", refused(patched(checkedFox, -10), /not to be decoded/));
  test("garbage after zstd", refused(Buffer.concat([checkedFox, Buffer.from("garbage!")]), /no zstd frame/));
  test("zeros after zstd", refused(Buffer.concat([checkedFox, zeros(64)]), /no zstd frame/));
  test("a window beyond 128 MiB", refused(zstdFrame(fox, 28), /128 MiB/));
  test("xz, bzip2 and lzip by name", async () => {
    for (const [name, magic] of [
      ["xz", "fd377a585a00"],
      ["bzip2", "425a68393141"],
      ["lzip", "4c5a49500101"],
    ] as const)
      await expect(unpack(Buffer.from(`${magic}00000000`, "hex"))).rejects.toThrow(`compressed with ${name}`);
  });
});

test("a window of 128 MiB is taken", async () => {
  expect((await unpack(zstdFrame(fox, 27))).equals(fox)).toBe(true);
});

test("what bytes are is seen from the bytes", () => {
  expect(sniffCompression(gzipSync(""))).toBe("gzip");
  expect(sniffCompression(checkedFox)).toBe("zstd");
  expect(sniffCompression(skippable(fox, 3))).toBe("zstd");
  expect(sniffCompression(Buffer.from("usr/"))).toBe("none");
  expect(sniffCompression(deflateRawSync(fox))).toBe("none");
  expect(sniffCompression(zeros(0))).toBe("none");
});

describe("limits hold before anything beyond them is given out", () => {
  const bomb = gzipSync(zeros(10_000_000), { level: 9 });
  const counting = async (bytes: Uint8Array, limits: object) => {
    let out = 0;
    const attempt = (async () => {
      for await (const chunk of decompress(pieces(bytes, 1000), { ...defaultLayerLimits, ...limits })) out += chunk.length;
    })();
    await expect(attempt).rejects.toBeInstanceOf(LayerProblem);
    return out;
  };

  test("bytes", async () => {
    expect(await counting(bomb, { maxBytes: 1_000_000 })).toBeLessThanOrEqual(1_000_000);
    expect((await unpack(bomb, 1000, { maxBytes: 10_000_000 })).length).toBe(10_000_000);
  });

  test("ratio, beyond its floor", async () => {
    expect(await counting(bomb, { maxRatio: 50, ratioFloorBytes: 2_000_000 })).toBeLessThanOrEqual(2_000_000);
    expect((await unpack(bomb, 1000, { maxRatio: 2000, ratioFloorBytes: 0 })).length).toBe(10_000_000);
  });
});

test("whoever stops reading stops the source; its error comes through", async () => {
  let closed = false;
  async function* source(): AsyncGenerator<Uint8Array> {
    try {
      for (;;) yield gzipSync(content);
    } finally {
      closed = true;
    }
  }
  for await (const chunk of decompress(source(), defaultLayerLimits)) if (chunk.length > 0) break;
  expect(closed).toBe(true);
  async function* broken(): AsyncGenerator<Uint8Array> {
    yield gzipSync(content).subarray(0, 1000);
    throw new Error("the network is down");
  }
  await expect(
    (async () => {
      for await (const _ of decompress(broken(), defaultLayerLimits));
    })(),
  ).rejects.toThrow("the network is down");
});
