import { describe, expect, test } from "vitest";
import { readAhead } from "../../../../cli/image/layer/read-ahead.ts";

/** Gives out numbered chunks of 10 bytes; says how far it was read, and whether it was given up. */
function source(count: number, { failAt = -1 }: { readonly failAt?: number } = {}) {
  const state = { given: 0, closed: false };
  async function* chunks(): AsyncGenerator<Buffer> {
    try {
      for (let i = 0; i < count; i++) {
        if (i === failAt) throw new Error(`failed at ${i}`);
        state.given++;
        yield Buffer.alloc(10, i);
      }
    } finally {
      state.closed = true;
    }
  }
  return { chunks: chunks(), state };
}

const settle = () => new Promise((resolve) => setImmediate(resolve));

async function read(from: AsyncIterable<Buffer>): Promise<readonly number[]> {
  const seen: number[] = [];
  for await (const chunk of from) seen.push(chunk[0] ?? -1);
  return seen;
}

describe("reading ahead", () => {
  test("begins at once, keeps to its limit, and loses nothing", async () => {
    const { chunks, state } = source(100);
    const ahead = readAhead(chunks, 50);
    await settle();
    expect(state.given).toBe(5);
    const iterator = ahead[Symbol.asyncIterator]();
    expect((await iterator.next()).value?.[0]).toBe(0);
    await settle();
    expect(state.given).toBe(6);
    expect(await read({ [Symbol.asyncIterator]: () => iterator })).toEqual(Array.from({ length: 99 }, (_, i) => i + 1));
    expect(state.closed).toBe(true);
  });

  test("an error comes after what was before it, however late somebody asks", async () => {
    const ahead = readAhead(source(10, { failAt: 3 }).chunks, 1000);
    await settle();
    const seen: number[] = [];
    const reading = (async () => {
      for await (const chunk of ahead) seen.push(chunk[0] ?? -1);
    })();
    await expect(reading).rejects.toThrow("failed at 3");
    expect(seen).toEqual([0, 1, 2]);
  });

  test("given up, full or half read or never asked for, it gives its source up", async () => {
    for (const take of [0, 3]) {
      const { chunks, state } = source(100);
      const ahead = readAhead(chunks, 50);
      const iterator = ahead[Symbol.asyncIterator]();
      for (let i = 0; i < take; i++) await iterator.next();
      await ahead.close();
      expect(state).toEqual({ given: expect.any(Number), closed: true });
      expect(state.given).toBeLessThan(20);
    }
    const failed = readAhead(source(10, { failAt: 0 }).chunks, 50);
    await failed.close();
  });
});
