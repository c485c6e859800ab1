import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { describe, expect, test } from "vitest";
import { chainIds, digestOf, isDigest, splitDigest } from "../../../../cli/image/digest.ts";
import type { Digest } from "../../../../cli/image/oci-types.ts";
import { verifier } from "../../../../cli/image/verified-reader.ts";

test("digests of known content", () => {
  expect(digestOf("abc")).toBe("sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  expect(isDigest(digestOf("abc", "sha512"))).toBe(true);
  expect(splitDigest(digestOf("abc", "sha512")).algorithm).toBe("sha512");
});

test.each([
  "",
  "sha256:",
  "sha256:abc",
  "md5:d41d8cd98f00b204e9800998ecf8427e",
  `sha256:${"g".repeat(64)}`,
  `sha256:${"A".repeat(64)}`,
  `sha256:${"a".repeat(64)}/x`,
  null,
  1,
])("%j is no digest", (text) => expect(isDigest(text)).toBe(false));

test("chain ids as the specification computes them", () => {
  const [a, b, c] = ["a", "b", "c"].map((text) => digestOf(text)) as [Digest, Digest, Digest];
  const ab = digestOf(`${a} ${b}`);
  expect(chainIds([a, b, c])).toEqual([a, ab, digestOf(`${ab} ${c}`)]);
  expect(chainIds([])).toEqual([]);
});

describe("verified reading", () => {
  const content = Buffer.from("twelve bytes");
  const expected = { digest: digestOf(content), size: content.length };
  const read = async (chunks: readonly Buffer[], claim: { readonly digest: Digest; readonly size: number | null } = expected) => {
    const seen: Buffer[] = [];
    await pipeline(Readable.from(chunks), verifier("reading", claim), async (source: AsyncIterable<Buffer>) => {
      for await (const chunk of source) seen.push(chunk);
    });
    return Buffer.concat(seen).toString();
  };
  test("passes what is right, however it is cut", async () => {
    expect(await read([content])).toBe("twelve bytes");
    expect(await read([...content].map((byte) => Buffer.from([byte])))).toBe("twelve bytes");
    expect(await read([content], { ...expected, size: null })).toBe("twelve bytes");
  });
  test.each([
    ["too short", [content.subarray(1)], `'${expected.digest}': ends after 11 of the 12 bytes`],
    ["too long", [content, Buffer.from("x")], "has more than the 12 bytes"],
    ["flipped", [Buffer.from("twelve bytfs")], "has the wrong digest (sha256:"],
    ["empty", [], "ends after 0 of the 12 bytes"],
  ])("%s", async (_name, chunks, words) => {
    await expect(read(chunks)).rejects.toMatchObject({ code: "image-invalid", message: expect.stringContaining(words) });
  });
  test("endless content is stopped at the first byte too many", async () => {
    let sent = 0;
    const endless = function* () {
      for (;;) {
        sent += content.length;
        yield content;
      }
    };
    await expect(
      pipeline(Readable.from(endless()), verifier("reading", expected), async (source) => {
        for await (const _ of source);
      }),
    ).rejects.toThrow("more than the 12 bytes");
    expect(sent).toBeLessThan(1000);
  });
});
