/** Whom each signal has to tell: hundreds of runs may end with one signal, and Node warns of more than ten listeners on it. */
const hearers = new WeakMap<AbortSignal, Set<() => void>>();

/** Calls back when the signal is aborted, at once where it is already. Returns what undoes that. */
export function onAbort(signal: AbortSignal | undefined, callback: () => void): () => void {
  if (signal === undefined) return () => undefined;
  if (signal.aborted) {
    callback();
    return () => undefined;
  }
  const known = hearers.get(signal);
  const all = known ?? new Set();
  const tell = () => {
    for (const one of [...all]) one();
  };
  if (known === undefined) {
    hearers.set(signal, all);
    signal.addEventListener("abort", tell, { once: true });
  }
  const own = () => callback();
  all.add(own);
  return () => void all.delete(own);
}
