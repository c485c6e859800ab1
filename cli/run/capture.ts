import type { Readable } from "node:stream";

/** Most that is kept of one stream in memory; the output limit is set no higher when streams are captured. */
export const maxCaptureBytes = 256 * 1024 * 1024;

export interface Capture {
  /** All that came, once the stream has ended. */
  readonly bytes: () => Uint8Array;
}

/**
 * Collects a stream up to `limitBytes`. The launcher stops at the same limit; counting here too means that a wrong
 * launcher cannot fill our memory.
 */
export function capture(stream: Readable, limitBytes: number): Capture {
  const chunks: Uint8Array[] = [];
  let size = 0;
  stream.on("data", (chunk: Buffer) => {
    const kept = chunk.subarray(0, Math.max(0, limitBytes - size));
    size += kept.length;
    if (kept.length > 0) chunks.push(kept);
  });
  // A broken pipe ends the stream; what came before is still true.
  stream.on("error", () => undefined);
  return { bytes: () => Buffer.concat(chunks, size) };
}
