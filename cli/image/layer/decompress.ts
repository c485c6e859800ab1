import { gunzip } from "./gzip.ts";
import type { LayerLimits } from "./limits.ts";
import { LayerProblem } from "./problem.ts";
import { type Pushback, peek, pushback } from "./pushback.ts";
import { unzstd } from "./zstd.ts";

export type Compression = "none" | "gzip" | "zstd";

const unsupported: readonly (readonly [string, readonly number[]])[] = [
  ["xz", [0xfd, 0x37, 0x7a, 0x58, 0x5a]],
  ["bzip2", [0x42, 0x5a, 0x68]],
  ["lzip", [0x4c, 0x5a, 0x49, 0x50]],
];

const startsWith = (bytes: Uint8Array, magic: readonly number[]): boolean => magic.every((byte, i) => bytes[i] === byte);

/** By what the bytes are: media types are wrong too often to go by. Throws LayerProblem for a compression that nobody should use. */
export function sniffCompression(front: Uint8Array): Compression {
  if (startsWith(front, [0x1f, 0x8b])) return "gzip";
  if (startsWith(front, [0x28, 0xb5, 0x2f, 0xfd])) return "zstd";
  // A skippable frame may come first: any of sixteen magic numbers.
  if (((front[0] ?? 0) & 0xf0) === 0x50 && startsWith(front.subarray(1), [0x2a, 0x4d, 0x18])) return "zstd";
  for (const [name, magic] of unsupported)
    if (startsWith(front, magic)) throw new LayerProblem(`compressed with ${name}, which no layer may be`);
  return "none";
}

async function* plain(source: Pushback): AsyncGenerator<Buffer> {
  for (let chunk = await source.next(); chunk !== null; chunk = await source.next()) yield chunk;
}

const decoders = { none: plain, gzip: gunzip, zstd: unzstd } as const;

export type DecompressLimits = Pick<LayerLimits, "maxBytes" | "maxRatio" | "ratioFloorBytes">;

/**
 * The content of a plain, gzip or zstd stream: all members and frames, checksums verified. Throws LayerProblem for damage, for
 * garbage, and before giving out more than the limits allow; errors of the source pass through.
 */
export async function* decompress(source: AsyncIterable<Buffer | Uint8Array>, limits: DecompressLimits): AsyncGenerator<Buffer> {
  let inBytes = 0;
  let outBytes = 0;
  async function* counted(): AsyncGenerator<Buffer | Uint8Array> {
    for await (const chunk of source) {
      inBytes += chunk.length;
      yield chunk;
    }
  }
  const input = pushback(counted());
  try {
    const kind = sniffCompression(await peek(input, 6));
    for await (const chunk of decoders[kind](input)) {
      outBytes += chunk.length;
      if (outBytes > limits.maxBytes) throw new LayerProblem(`more than ${limits.maxBytes} bytes when decompressed`);
      if (outBytes > limits.ratioFloorBytes && outBytes > inBytes * limits.maxRatio)
        throw new LayerProblem(`decompresses to more than ${limits.maxRatio} times its size`);
      yield chunk;
    }
  } finally {
    await input.close();
  }
}
