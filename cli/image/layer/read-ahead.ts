/** A source of which some was read before anybody asked for it. */
export interface ReadAhead extends AsyncIterable<Buffer> {
  /** Gives the source up, read to its end or not. */
  close(): Promise<void>;
}

/** Begins to read a source at once, and stays at most about `limitBytes` ahead of whoever takes from it. Its error comes after the bytes before it. */
export function readAhead(source: AsyncIterable<Buffer>, limitBytes: number): ReadAhead {
  const iterator = source[Symbol.asyncIterator]();
  const waiting: Buffer[] = [];
  let held = 0;
  let isOver = false;
  let isClosed = false;
  let failure: { readonly error: unknown } | null = null;
  let onMore = (): void => undefined;
  let onRoom = (): void => undefined;

  const fill = async (): Promise<void> => {
    try {
      while (!isClosed) {
        const { done, value } = await iterator.next();
        if (done) break;
        waiting.push(value);
        held += value.length;
        onMore();
        if (held >= limitBytes && !isClosed)
          await new Promise<void>((resolve) => {
            onRoom = resolve;
          });
      }
      await iterator.return?.();
    } catch (error) {
      failure = { error };
    }
    isOver = true;
    onMore();
  };
  const filling = fill();

  async function* take(): AsyncGenerator<Buffer> {
    for (;;) {
      const chunk = waiting.shift();
      if (chunk !== undefined) {
        held -= chunk.length;
        if (held < limitBytes) onRoom();
        yield chunk;
      } else if (isOver) {
        if (failure !== null) throw failure.error;
        return;
      } else
        await new Promise<void>((resolve) => {
          onMore = resolve;
        });
    }
  }

  return {
    [Symbol.asyncIterator]: take,
    async close() {
      isClosed = true;
      onRoom();
      await filling;
    },
  };
}
