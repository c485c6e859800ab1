import { createHash } from "node:crypto";
import { join } from "node:path";
import type { Arch } from "../../policy/compile/types.ts";
import type { ResolvedPolicy } from "../../policy/profile/types.ts";
import { filterKey } from "../../policy/seccomp/key.ts";
import { baseRuleSet } from "../../policy/seccomp/rule-sets.ts";
import { cacheHome } from "../host/cache-home.ts";
import { readCached, writeCached } from "./filter-cache.ts";

export interface Filters {
  readonly base: Uint8Array;
  readonly profile: Uint8Array;
  /** `sha256:…` of the profile's filter. */
  readonly digest: string;
  readonly warnings: readonly string[];
}

/** The cache's folder, or null where the user has none. */
function filterFolder(): string | null {
  const home = cacheHome(process.env);
  return home === null ? null : join(home, "filters");
}

const digestOf = (bytes: Uint8Array | string) => createHash("sha256").update(bytes).digest("hex");

export function filterInputOf(policy: ResolvedPolicy, arch: Arch) {
  return { arch, seccomp: policy.seccomp, capabilities: policy.capabilities, userNamespaces: policy.namespaces.user };
}

/** Both filters in one file: the length of the first, then both. */
function pack(base: Uint8Array, profile: Uint8Array): Uint8Array {
  const length = Buffer.alloc(4);
  length.writeUInt32LE(base.length);
  return Buffer.concat([length, base, profile]);
}

function unpack(packed: Uint8Array): { readonly base: Uint8Array; readonly profile: Uint8Array } {
  const end = 4 + Buffer.from(packed.buffer, packed.byteOffset, packed.byteLength).readUInt32LE(0);
  return { base: packed.slice(4, end), profile: packed.slice(end) };
}

/**
 * The filters of a policy, from the cache where they are there; the compiler is loaded only when they are not. A filter
 * that compiles with warnings is not kept, so that every run says them. Throws BelljarError `profile-invalid`.
 */
export async function filtersFor(policy: ResolvedPolicy, arch: Arch, folder: string | null = filterFolder()): Promise<Filters> {
  const input = filterInputOf(policy, arch);
  const key = digestOf(`${filterKey(input)} ${JSON.stringify(baseRuleSet)}`);
  const cached = folder === null ? null : readCached(folder, key);
  if (cached !== null) {
    const filters = unpack(cached);
    return { ...filters, digest: `sha256:${digestOf(filters.profile)}`, warnings: [] };
  }
  const { compileBaseFilter, compileFilter } = await import("../../policy/seccomp/compile.ts");
  const [base, profile] = [compileBaseFilter(input), compileFilter(input)];
  if (folder !== null && profile.warnings.length === 0) writeCached(folder, key, pack(base.bytes, profile.bytes));
  return { base: base.bytes, profile: profile.bytes, digest: profile.digest, warnings: profile.warnings };
}
