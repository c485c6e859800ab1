/** A byte source of which chunks that were taken too early can be given back. */
export interface Pushback {
  /** null at the end. */
  next(): Promise<Buffer | null>;
  unread(chunk: Buffer): void;
  /** Gives the source up. */
  close(): Promise<void>;
}

export function pushback(source: AsyncIterable<Buffer | Uint8Array>): Pushback {
  const iterator = source[Symbol.asyncIterator]();
  const returned: Buffer[] = [];
  return {
    async next() {
      const again = returned.pop();
      if (again !== undefined) return again;
      for (;;) {
        const { done, value } = await iterator.next();
        if (done) return null;
        if (value.length > 0) return Buffer.isBuffer(value) ? value : Buffer.from(value.buffer, value.byteOffset, value.byteLength);
      }
    },
    unread(chunk) {
      if (chunk.length > 0) returned.push(chunk);
    },
    async close() {
      await iterator.return?.();
    },
  };
}

/** At least `count` bytes from the front, unless the source is shorter; they stay to be read. */
export async function peek(source: Pushback, count: number): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let have = 0;
  while (have < count) {
    const chunk = await source.next();
    if (chunk === null) break;
    chunks.push(chunk);
    have += chunk.length;
  }
  const [only] = chunks;
  const front = only !== undefined && chunks.length === 1 ? only : Buffer.concat(chunks);
  source.unread(front);
  return front;
}
