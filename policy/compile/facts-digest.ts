import { canonicalJson, sha256 } from "../profile/resolved.ts";
import type { HostFacts } from "./types.ts";

/** Names the facts that a plan was made for: equal facts give equal digests, whatever the order of their keys. */
export function hostFactsDigest(facts: HostFacts): string {
  return sha256(canonicalJson(facts));
}
