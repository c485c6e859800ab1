import { createGunzip, type Gunzip } from "node:zlib";
import { LayerProblem } from "./problem.ts";
import type { Pushback } from "./pushback.ts";

const outBytes = 256 * 1024;

interface Feed {
  /** Chunks of which the decoder may not have taken all bytes; the first begins at byte `start` of what was fed. */
  readonly kept: Buffer[];
  start: number;
  over: boolean;
}

function nextOf(gunzip: Gunzip, events: readonly string[]): Promise<void> {
  return new Promise((resolve) => {
    const done = (): void => {
      for (const event of events) gunzip.off(event, done);
      resolve();
    };
    for (const event of events) gunzip.on(event, done);
  });
}

/** Hands the source to the decoder until one of them ends. */
async function feed(gunzip: Gunzip, source: Pushback, state: Feed): Promise<void> {
  while (!state.over) {
    const chunk = await source.next();
    if (chunk === null) {
      if (!state.over) gunzip.end();
      return;
    }
    if (state.over) {
      source.unread(chunk);
      return;
    }
    let [first] = state.kept;
    while (first !== undefined && state.start + first.length <= gunzip.bytesWritten) {
      state.start += first.length;
      state.kept.shift();
      [first] = state.kept;
    }
    state.kept.push(chunk);
    if (!gunzip.write(chunk)) await nextOf(gunzip, ["drain", "end", "close"]);
  }
}

/**
 * Members that follow each other directly. Node's decoder goes from one to the next by itself, but ends, without a word, at a zero
 * byte between them: what it has not taken is given back to the source.
 */
async function* adjoiningMembers(source: Pushback): AsyncGenerator<Buffer> {
  // highWaterMark is the stream's own option and passed on: some chunks are decoded ahead while the last one is hashed.
  const gunzip = createGunzip({ chunkSize: outBytes, highWaterMark: 4 * outBytes } as { chunkSize: number });
  const state: Feed = { kept: [], start: 0, over: false };
  const feeding = feed(gunzip, source, state).catch((error: unknown) => {
    gunzip.destroy(error instanceof Error ? error : new Error(String(error)));
  });
  gunzip.once("end", () => {
    state.over = true;
  });
  try {
    for await (const chunk of gunzip) yield chunk as Buffer;
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code?.startsWith("Z_")) {
      const cut = code === "Z_BUF_ERROR";
      throw new LayerProblem(cut ? "the gzip stream is cut off" : `the gzip stream is damaged (${(error as Error).message})`, {
        cause: error,
      });
    }
    throw error;
  } finally {
    state.over = true;
    const taken = gunzip.bytesWritten;
    gunzip.destroy();
    await feeding;
    let { start } = state;
    const left: Buffer[] = [];
    for (const chunk of state.kept) {
      if (start + chunk.length > taken) left.push(chunk.subarray(Math.max(0, taken - start)));
      start += chunk.length;
    }
    for (const chunk of left.reverse()) source.unread(chunk);
  }
}

/** Takes zero bytes away; whether anything comes after them. */
async function skipZeros(source: Pushback): Promise<boolean> {
  for (;;) {
    const chunk = await source.next();
    if (chunk === null) return false;
    const at = chunk.findIndex((byte) => byte !== 0);
    if (at === -1) continue;
    source.unread(chunk.subarray(at));
    return true;
  }
}

/** All members of a gzip stream (RFC 1952, 2.2), zero padding between or after them included; anything else is an error. */
export async function* gunzip(source: Pushback): AsyncGenerator<Buffer> {
  do yield* adjoiningMembers(source);
  while (await skipZeros(source));
}
