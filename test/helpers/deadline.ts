import { setTimeout as delay } from "node:timers/promises";

/**
 * Waits for a condition by asking again and again: for what gives no event of its own. Returns the first value that is neither
 * undefined nor false; throws, naming what was awaited, after timeoutMs.
 */
export async function until<T>(
  probe: () => T | Promise<T>,
  { what, timeoutMs = 5000, everyMs = 5 }: { readonly what: string; readonly timeoutMs?: number; readonly everyMs?: number },
): Promise<Exclude<T, undefined | false | null>> {
  const end = performance.now() + timeoutMs;
  for (;;) {
    const value = await probe();
    if (value !== undefined && value !== false && value !== null) return value as Exclude<T, undefined | false | null>;
    if (performance.now() > end) throw new Error(`waited ${timeoutMs} ms in vain for ${what}`);
    await delay(everyMs);
  }
}

/** Rejects, naming what was awaited, when the promise has not settled after timeoutMs. */
export async function within<T>(
  promise: Promise<T>,
  { what, timeoutMs }: { readonly what: string; readonly timeoutMs: number },
): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`waited ${timeoutMs} ms in vain for ${what}`)), timeoutMs);
  });
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}
