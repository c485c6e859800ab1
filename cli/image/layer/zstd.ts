import { ZSTDDecoder } from "zstddec/stream";
import { LayerProblem } from "./problem.ts";
import type { Pushback } from "./pushback.ts";

/** What the package's WebAssembly, which is libzstd's own decoder, exports. */
interface Library {
  readonly memory: { readonly buffer: ArrayBuffer };
  ZSTD_createDCtx(): number;
  ZSTD_decompressStream(context: number, output: number, input: number): number;
  ZSTD_freeDCtx(context: number): number;
  malloc(bytes: number): number;
  free(pointer: number): void;
}

let loading: Promise<Library> | null = null;

/**
 * The package's own decoding loop takes no input piece by piece and overlooks errors, so only its library is used: it calls `_init`
 * with what it has loaded.
 */
function load(): Promise<Library> {
  loading ??= (async () => {
    let loaded: Library | null = null;
    const decoder = new ZSTDDecoder();
    const init = decoder._init.bind(decoder);
    decoder._init = (result) => {
      loaded = result.instance.exports as unknown as Library;
      init(result);
    };
    await decoder.init();
    if (loaded === null) throw new Error("zstddec: no library");
    return loaded;
  })();
  return loading;
}

/** ZSTD_ErrorCode (zstd_errors.h), as far as a hostile stream can cause them. */
const reasons: Readonly<Record<number, string>> = {
  10: "no zstd frame where one should begin",
  12: "a zstd format of before 1.0",
  14: "an unknown frame parameter",
  16: "a window of more than 128 MiB",
  20: "damaged",
  22: "wrong checksum",
  24: "damaged literals",
  30: "a damaged dictionary",
  32: "made with a dictionary",
  64: "too large for memory",
};
const maxCode = 120;

const outBytes = 256 * 1024;
const inBytes = 256 * 1024;
/** struct ZSTD_inBuffer and ZSTD_outBuffer: pointer, size, position, of 4 bytes each. */
const bufferStruct = 12;

/**
 * All frames of a zstd stream (RFC 8878), skippable ones left out, checksums verified, windows of up to 128 MiB. Decodes on this thread.
 * The same code on every Node: those with a decoder of their own differ in what they make of a second frame.
 */
export async function* unzstd(source: Pushback): AsyncGenerator<Buffer> {
  const library = await load();
  const pointers = [library.malloc(inBytes), library.malloc(outBytes), library.malloc(bufferStruct), library.malloc(bufferStruct)] as const;
  const [input, output, inStruct, outStruct] = pointers;
  const context = library.ZSTD_createDCtx();
  let expected = 0;
  try {
    if (context === 0 || pointers.includes(0)) throw new Error("zstd: out of memory");
    for (let chunk = await source.next(); chunk !== null; chunk = await source.next()) {
      for (let at = 0; at < chunk.length; at += inBytes) {
        const piece = chunk.subarray(at, at + inBytes);
        new Uint8Array(library.memory.buffer).set(piece, input);
        let position = 0;
        let filled = 0;
        // A full output buffer may mean that more is ready inside although all input is taken.
        while (position < piece.length || (filled === outBytes && expected !== 0)) {
          let view = new DataView(library.memory.buffer);
          for (const [struct, pointer, size, done] of [
            [inStruct, input, piece.length, position],
            [outStruct, output, outBytes, 0],
          ] as const) {
            view.setUint32(struct, pointer, true);
            view.setUint32(struct + 4, size, true);
            view.setUint32(struct + 8, done, true);
          }
          const result = library.ZSTD_decompressStream(context, outStruct, inStruct) >>> 0;
          if (result > 0xffff_ffff - maxCode) {
            const code = 0x1_0000_0000 - result;
            throw new LayerProblem(`the zstd stream is not to be decoded: ${reasons[code] ?? `error ${code}`}`);
          }
          expected = result;
          // The call may have grown the memory, which detaches older views.
          view = new DataView(library.memory.buffer);
          position = view.getUint32(inStruct + 8, true);
          filled = view.getUint32(outStruct + 8, true);
          if (filled > 0) yield Buffer.from(library.memory.buffer.slice(output, output + filled));
        }
      }
    }
    if (expected !== 0) throw new LayerProblem("the zstd stream is cut off");
  } finally {
    library.ZSTD_freeDCtx(context);
    for (const pointer of pointers) library.free(pointer);
  }
}
