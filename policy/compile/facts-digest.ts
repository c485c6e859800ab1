import { createHash } from "node:crypto";
import type { HostFacts } from "./types.ts";

/** Names the facts that a plan was made for: equal facts give equal digests, whatever the order of their keys. */
export function hostFactsDigest(facts: HostFacts): string {
  return `sha256:${createHash("sha256").update(canonicalJson(facts)).digest("hex")}`;
}

function canonicalJson(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(canonicalJson).join(",")}]`;
  if (typeof value !== "object" || value === null) return JSON.stringify(value) ?? "null";
  const entries = Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1));
  return `{${entries.map(([key, item]) => `${JSON.stringify(key)}:${canonicalJson(item)}`).join(",")}}`;
}
