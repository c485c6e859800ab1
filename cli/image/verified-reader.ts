import { Transform, type TransformCallback } from "node:stream";
import { BelljarError } from "../../policy/errors.ts";
import { quoted } from "../output/terminal.ts";
import { digestFrom, hashFor, splitDigest } from "./digest.ts";
import type { Digest } from "./oci-types.ts";

export interface Expected {
  readonly digest: Digest;
  /** Bytes; null when only the digest is known. */
  readonly size: number | null;
}

/** Content that is not what its descriptor says. */
export function contentError(what: string, { digest }: Expected, reason: string, options: { readonly hint?: string } = {}): BelljarError {
  return new BelljarError("image-invalid", `${what}: ${quoted(digest)}: ${reason}`, options);
}

export const tooLong = (size: number): string => `has more than the ${size} bytes that its descriptor says`;
export const tooShort = (have: number, size: number): string => `ends after ${have} of the ${size} bytes that its descriptor says`;
export const wrongDigest = (found: Digest): string => `has the wrong digest (${found})`;

/**
 * Passes bytes on while counting and hashing them. Fails with `image-invalid` as soon as there are too many, and at the end
 * when there are too few or when the digest is another. Whoever reads must take nothing for true before the end.
 */
export function verifier(
  what: string,
  expected: Expected,
  options: { readonly hint?: string; readonly onWrongDigest?: () => void } = {},
): Transform {
  const hash = hashFor(expected.digest);
  let have = 0;
  return new Transform({
    transform(chunk: Buffer, _encoding, done: TransformCallback) {
      have += chunk.length;
      if (expected.size !== null && have > expected.size) {
        done(contentError(what, expected, tooLong(expected.size)));
        return;
      }
      hash.update(chunk);
      done(null, chunk);
    },
    flush(done) {
      if (expected.size !== null && have < expected.size) {
        done(contentError(what, expected, tooShort(have, expected.size)));
        return;
      }
      const found = digestFrom(hash, splitDigest(expected.digest).algorithm);
      if (found === expected.digest) return done(null);
      options.onWrongDigest?.();
      done(contentError(what, expected, wrongDigest(found), options));
    },
  });
}
