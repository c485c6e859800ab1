import { quoteValue, type Reading } from "../units.ts";
import { signalNumber } from "../verdict/signals.ts";

/** A signal by name ("SIGTERM", "TERM", "SIGRTMIN+3") or number, as profiles and images have it. */
export function readStopSignal(text: string): Reading<number> {
  const number = /^\d{1,2}$/.test(text) ? Number(text) : signalNumber(text.startsWith("SIG") ? text : `SIG${text}`);
  if (number === null || number < 1 || number > 64)
    return { ok: false, problem: `must be a signal such as "SIGTERM" (got ${quoteValue(text)})` };
  return { ok: true, value: number };
}
