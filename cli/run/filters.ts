import { release } from "node:os";
import { join } from "node:path";
import type { Arch } from "../../policy/compile/types.ts";
import { BelljarError } from "../../policy/errors.ts";
import type { ResolvedPolicy } from "../../policy/profile/types.ts";
import type { AuditArgument, AuditPurpose, AuditSlot } from "../../policy/seccomp/audit-types.ts";
import type { CompiledFilters } from "../../policy/seccomp/filters.ts";
import type { FilterInput } from "../../policy/seccomp/rules.ts";
import { cacheHome } from "../host/cache-home.ts";
import { readCached, writeCached } from "./filter-cache.ts";

export interface Filters extends CompiledFilters {
  /** Under which they are kept; null where they are not. */
  readonly key: string | null;
}

export interface FilterOptions {
  readonly arch: Arch;
  /** The key, where somebody knows it already for the same input. */
  readonly knownKey?: string | null;
  readonly folder?: string | null;
  /** What is heard whatever the profile says; else denied calls where the profile asks for it. */
  readonly purpose?: AuditPurpose | undefined;
  /** Which build's filters they are, since another one may compile otherwise. Run from its sources belljar has none, and keeps nothing. */
  readonly build?: string | null;
}

/** The cache's folder, or null where the user has none. */
function filterFolder(): string | null {
  const home = cacheHome(process.env);
  return home === null ? null : join(home, "filters");
}

export function filterInputOf(policy: ResolvedPolicy, arch: Arch) {
  const { seccomp, capabilities, namespaces, limits } = policy;
  return { arch, kernel: release(), seccomp, capabilities, userNamespaces: namespaces.user, pinned: limits.cpuset !== null };
}

/** What of the audit filters is no bytes; masks as text, which JSON has no other word for. */
interface KeptWords {
  readonly slots: readonly AuditSlot[];
  readonly arguments: readonly (Omit<AuditArgument, "mask"> & { readonly mask: string })[];
}

/** All in one file: parts, each after its length. */
function pack({ base, profile, audit, digest, warnings }: CompiledFilters): Uint8Array {
  const words: KeptWords | null = audit && {
    slots: audit.slots,
    arguments: audit.arguments.map((one) => ({ ...one, mask: String(one.mask) })),
  };
  const parts = [
    Buffer.from(digest),
    Buffer.from(JSON.stringify(warnings)),
    base,
    profile,
    ...(audit === null ? [] : [audit.base, audit.profile, Buffer.from(JSON.stringify(words))]),
  ];
  return Buffer.concat(
    parts.flatMap((part) => {
      const length = Buffer.alloc(4);
      length.writeUInt32LE(part.length);
      return [length, part];
    }),
  );
}

/** Null for what pack() did not make, or this build would make otherwise. */
function unpack(packed: Uint8Array): CompiledFilters | null {
  try {
    const view = Buffer.from(packed.buffer, packed.byteOffset, packed.byteLength);
    const parts: Buffer[] = [];
    for (let at = 0; at < view.length; ) {
      const end = at + 4 + view.readUInt32LE(at);
      parts.push(view.subarray(at + 4, end));
      at = end;
    }
    const [digest, said, base, profile, auditBase, auditProfile, text] = parts;
    if (digest === undefined || said === undefined || base === undefined || profile === undefined) return null;
    const warnings = JSON.parse(said.toString("utf8")) as readonly string[];
    const plain = { base: bytesOf(base), profile: bytesOf(profile), digest: digest.toString("utf8"), warnings };
    if (auditBase === undefined || auditProfile === undefined || text === undefined) return { ...plain, audit: null };
    const words = JSON.parse(text.toString("utf8")) as KeptWords;
    const kept = words.arguments.map((one) => ({ ...one, mask: BigInt(one.mask) }));
    return { ...plain, audit: { base: bytesOf(auditBase), profile: bytesOf(auditProfile), slots: words.slots, arguments: kept } };
  } catch {
    return null;
  }
}

/** A copy of its own, not a part of a larger buffer. */
const bytesOf = (part: Buffer): Uint8Array => new Uint8Array(part);

async function keyOf(input: FilterInput, context: string): Promise<string> {
  const { filterKey } = await import("../../policy/seccomp/key.ts");
  return filterKey(input, context);
}

/** Says whose filter it is: the compiler knows rules, not profiles. Problems of a file in Docker's format name that file. */
export async function namingProfile<T>({ name }: ResolvedPolicy, work: () => T): Promise<T> {
  try {
    return work();
  } catch (error) {
    const { problemsOf } = await import("../../policy/profile/problems.ts");
    if (!(error instanceof BelljarError) || error.code === "usage" || problemsOf(error).length > 0) throw error;
    throw new BelljarError(error.code, `profile '${name}': ${error.message}`, { hint: error.hint ?? undefined, cause: error });
  }
}

/**
 * The filters of a policy, from the cache where this build has kept them; the compiler is loaded only when they are not there. Warnings
 * are kept with them, so that every run says them. Throws BelljarError `profile-invalid`.
 */
export async function filtersFor(policy: ResolvedPolicy, options: FilterOptions): Promise<Filters> {
  const { arch, purpose, folder = filterFolder(), build = globalThis.belljarBuild ?? null } = options;
  const input = filterInputOf(policy, arch);
  const heard = purpose ?? (policy.seccomp.audit ? "audit" : null);
  const context = `${build} ${heard}`;
  const key = folder === null || build === null ? null : (options.knownKey ?? (await keyOf(input, context)));
  const cached = folder === null || key === null ? null : readCached(folder, key);
  const filters = cached === null ? null : unpack(cached);
  if (filters !== null) return { ...filters, key };
  const { compileFilters } = await import("../../policy/seccomp/filters.ts");
  const compiled = await namingProfile(policy, () => compileFilters(input, heard));
  const kept = folder !== null && key !== null && writeCached(folder, key, pack(compiled));
  return { ...compiled, key: kept ? key : null };
}
