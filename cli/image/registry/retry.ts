import { setTimeout as sleep } from "node:timers/promises";
import { BelljarError } from "../../../policy/errors.ts";
import { formatDuration, type Millis } from "../../../policy/units.ts";
import type { NetworkLimits } from "./limits.ts";

/** A failure that another attempt may not meet. */
export class TransientError extends Error {
  readonly failure: BelljarError;
  /** How long the server asks to wait; null when it says nothing. */
  readonly retryAfterMs: number | null;
  /** Bytes that this attempt brought nevertheless. */
  progressBytes = 0;
  constructor(failure: BelljarError, retryAfterMs: number | null = null) {
    super(failure.message, { cause: failure });
    this.failure = failure;
    this.retryAfterMs = retryAfterMs;
  }
}

const transientStatuses: readonly number[] = [408, 429, 500, 502, 503, 504];
export const isTransientStatus = (status: number): boolean => transientStatuses.includes(status);

/** Milliseconds that Retry-After (RFC 9110, 10.2.3) asks to wait from `nowMs` on: seconds, or a date. null when it says neither. */
export function retryAfterMs(header: string | readonly string[] | undefined, nowMs: number): number | null {
  const text = (typeof header === "string" ? header : header?.[0])?.trim() ?? "";
  if (/^\d{1,15}$/.test(text)) return Number(text) * 1000;
  // Only the forms of HTTP dates: Date.parse takes "-1" and "2" for years.
  if (!/^(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun)[a-z]*,? /.test(text)) return null;
  const at = Date.parse(/GMT$/.test(text) ? text : `${text} GMT`);
  return Number.isNaN(at) ? null : Math.max(0, at - nowMs);
}

/** Twice as long each time, and by chance up to a half less, so that many clients do not come back at once. */
export function backoffMs(failures: number, limits: NetworkLimits, random: () => number = Math.random): number {
  const full = Math.min(limits.maxBackoffMs, limits.firstBackoffMs * 2 ** (failures - 1));
  return Math.round(full * (1 - random() / 2));
}

export interface Waiting {
  /** The failure that is waited after. */
  readonly reason: string;
  readonly delayMs: number;
}

export interface RetryOptions {
  readonly limits: NetworkLimits;
  readonly signal: AbortSignal;
  readonly onWait: (waiting: Waiting) => void;
}

/**
 * Runs an action again after each {@link TransientError}, as often as the limits allow. An attempt that brought something starts the
 * count anew. Throws the last failure; at once, when the server wants us to wait longer than the limits allow.
 */
export async function withRetries<T>(options: RetryOptions, action: () => Promise<T>): Promise<T> {
  const { limits, signal, onWait } = options;
  let failures = 0;
  for (let attempts = 1; ; attempts++) {
    try {
      return await action();
    } catch (error) {
      if (!(error instanceof TransientError)) throw error;
      const { failure } = error;
      failures = error.progressBytes >= limits.progressBytes ? 1 : failures + 1;
      const delayMs = error.retryAfterMs ?? backoffMs(failures, limits);
      const { message } = failure;
      if (delayMs > limits.maxRetryAfterMs)
        throw again(failure, `${message} (it asks to wait ${Math.round(delayMs / 1000)} s, which is too long)`);
      if (failures >= limits.attempts || attempts >= limits.allAttempts) throw again(failure, `${message} (after ${attempts} attempts)`);
      onWait({ reason: message, delayMs });
      await sleep(delayMs, undefined, { signal });
    }
  }
}

const again = (failure: BelljarError, message: string): BelljarError =>
  new BelljarError(failure.code, message, { hint: failure.hint ?? undefined, cause: failure });

/** "next attempt in 1.5 s". */
export const waitingText = ({ reason, delayMs }: Waiting): string => `${reason}; next attempt in ${formatDuration(delayMs as Millis)}`;
