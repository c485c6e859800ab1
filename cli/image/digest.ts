import { createHash, type Hash } from "node:crypto";
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

/** A hash that has seen nothing yet, of the algorithm of a digest. */
export function hashFor(digest: Digest): Hash {
  return createHash(splitDigest(digest).algorithm);
}

/** What a hash has seen, as a digest. Ends the hash. */
export function digestFrom(hash: Hash, algorithm: DigestAlgorithm = "sha256"): Digest {
  return `${algorithm}:${hash.digest("hex")}`;
}

export function digestOf(bytes: Uint8Array | string, algorithm: DigestAlgorithm = "sha256"): Digest {
  return digestFrom(createHash(algorithm).update(bytes), algorithm);
}

/**
 * Chain ids of a stack of layers, lowest first: what identifies a layer applied on top of those below it
 * (image specification, "Layer ChainID").
 */
export function chainIds(diffIds: readonly Digest[]): readonly Digest[] {
  const chain: Digest[] = [];
  for (const diffId of diffIds) {
    const below = chain.at(-1);
    chain.push(below === undefined ? diffId : digestOf(`${below} ${diffId}`));
  }
  return chain;
}
