import { createHash, type Hash } from "node:crypto";
import { type DigestAlgorithm, splitDigest } from "./digest-text.ts";
import type { Digest } from "./oci-types.ts";

export { type DigestAlgorithm, digestAlgorithms, isDigest, splitDigest } from "./digest-text.ts";

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
