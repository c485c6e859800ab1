/** How long and how often belljar tries. Bytes and counts cap what a hostile registry can make it hold. */
export interface NetworkLimits {
  readonly connectTimeoutMs: number;
  /** From the request to the head of the answer. */
  readonly answerTimeoutMs: number;
  /** Between two pieces of a body. */
  readonly idleTimeoutMs: number;
  /** A whole pull. */
  readonly deadlineMs: number;
  /** Failures in a row of one request. */
  readonly attempts: number;
  /** Attempts of one request in all, however much each one brought. */
  readonly allAttempts: number;
  /** What an attempt must have brought to count as no failure. */
  readonly progressBytes: number;
  readonly firstBackoffMs: number;
  readonly maxBackoffMs: number;
  /** A server that wants a longer pause has failed. */
  readonly maxRetryAfterMs: number;
  readonly maxRedirects: number;
  /** Blobs at a time. */
  readonly parallel: number;
  /** The answer of a token service. */
  readonly maxTokenBytes: number;
  /** The text of an error. */
  readonly maxErrorBytes: number;
  /** All layers of one image, compressed. */
  readonly maxImageBytes: number;
  readonly maxTagPages: number;
  readonly maxTags: number;
}

export const networkLimits: NetworkLimits = {
  connectTimeoutMs: 15_000,
  answerTimeoutMs: 60_000,
  idleTimeoutMs: 60_000,
  deadlineMs: 6 * 3_600_000,
  attempts: 5,
  allAttempts: 100,
  progressBytes: 64 * 1024,
  firstBackoffMs: 500,
  maxBackoffMs: 15_000,
  maxRetryAfterMs: 60_000,
  maxRedirects: 8,
  parallel: 4,
  maxTokenBytes: 1024 * 1024,
  maxErrorBytes: 16 * 1024,
  maxImageBytes: 256 * 1024 ** 3,
  maxTagPages: 1000,
  maxTags: 100_000,
};
