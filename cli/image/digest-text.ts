/** How digests are written. Apart from digest.ts because every start reads names of images, and few compute a digest. */
import type { Digest } from "./oci-types.ts";

/** Registered algorithms of the image specification ("Digests") and the length of their hexadecimal form. */
const hexLength = { sha256: 64, sha512: 128 } as const;
export type DigestAlgorithm = keyof typeof hexLength;

export const digestAlgorithms = Object.keys(hexLength) as readonly DigestAlgorithm[];

/**
 * Whether a text is a digest of a registered algorithm in its one canonical spelling. Everything that becomes part of a
 * path goes through here first: nothing but lower-case hexadecimal digits of the right number can pass.
 */
export function isDigest(text: unknown): text is Digest {
  if (typeof text !== "string") return false;
  const [, algorithm, hex] = /^(sha256|sha512):([0-9a-f]+)$/.exec(text) ?? [];
  return algorithm !== undefined && hex?.length === hexLength[algorithm as DigestAlgorithm];
}

/** Algorithm and hexadecimal part. */
export function splitDigest(digest: Digest): { readonly algorithm: DigestAlgorithm; readonly hex: string } {
  if (!isDigest(digest)) throw new TypeError("not a digest");
  const colon = digest.indexOf(":");
  return { algorithm: digest.slice(0, colon) as DigestAlgorithm, hex: digest.slice(colon + 1) };
}
