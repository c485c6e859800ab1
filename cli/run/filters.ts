import { release } from "node:os";
import { join } from "node:path";
import type { Arch } from "../../policy/compile/types.ts";
import type { ResolvedPolicy } from "../../policy/profile/types.ts";
import type { AuditArgument, AuditFilters, AuditPurpose, AuditSlot } from "../../policy/seccomp/audit-types.ts";
import type { FilterInput } from "../../policy/seccomp/rules.ts";
import { cacheHome } from "../host/cache-home.ts";
import { readCached, writeCached } from "./filter-cache.ts";

export interface Filters {
  readonly base: Uint8Array;
  readonly profile: Uint8Array;
  /** What takes their place where calls are audited; null where the profile does not ask for it. */
  readonly audit: AuditFilters | null;
  /** `sha256:…` of the profile's filter. */
  readonly digest: string;
  readonly warnings: readonly string[];
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
}

/** Raised whenever the audit filters of an unchanged profile change, or the form of what is kept. */
const keptVersion = 2;

/** The cache's folder, or null where the user has none. */
function filterFolder(): string | null {
  const home = cacheHome(process.env);
  return home === null ? null : join(home, "filters");
}

export function filterInputOf(policy: ResolvedPolicy, arch: Arch) {
  return { arch, kernel: release(), seccomp: policy.seccomp, capabilities: policy.capabilities, userNamespaces: policy.namespaces.user };
}

type KeptFilters = Pick<Filters, "base" | "profile" | "audit" | "digest">;

/** What of the audit filters is no bytes; masks as text, which JSON has no other word for. */
interface KeptWords {
  readonly slots: readonly AuditSlot[];
  readonly arguments: readonly (Omit<AuditArgument, "mask"> & { readonly mask: string })[];
}

/** All in one file: parts, each after its length. */
function pack({ base, profile, audit, digest }: KeptFilters): Uint8Array {
  const words: KeptWords | null = audit && {
    slots: audit.slots,
    arguments: audit.arguments.map((one) => ({ ...one, mask: String(one.mask) })),
  };
  const parts = [
    Buffer.from(digest),
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

function unpack(packed: Uint8Array): KeptFilters | null {
  const view = Buffer.from(packed.buffer, packed.byteOffset, packed.byteLength);
  const parts: Uint8Array[] = [];
  for (let at = 0; at + 4 <= packed.length; ) {
    const end = at + 4 + view.readUInt32LE(at);
    parts.push(packed.slice(at + 4, end));
    at = end;
  }
  const [digestText, base, profile, auditBase, auditProfile, text] = parts;
  if (digestText === undefined || base === undefined || profile === undefined) return null;
  const digest = Buffer.from(digestText).toString("utf8");
  if (auditBase === undefined || auditProfile === undefined || text === undefined) return { base, profile, digest, audit: null };
  const words = JSON.parse(Buffer.from(text).toString("utf8")) as KeptWords;
  const kept = words.arguments.map((one) => ({ ...one, mask: BigInt(one.mask) }));
  return { base, profile, digest, audit: { base: auditBase, profile: auditProfile, slots: words.slots, arguments: kept } };
}

async function keyOf(input: FilterInput, wanted: AuditPurpose | null): Promise<string> {
  const { filterKey } = await import("../../policy/seccomp/key.ts");
  return filterKey(input, `${wanted} ${keptVersion}`);
}

/**
 * The filters of a policy, from the cache where they are there; the compiler is loaded only when they are not. A filter
 * that compiles with warnings is not kept, so that every run says them. Throws BelljarError `profile-invalid`.
 */
export async function filtersFor(policy: ResolvedPolicy, options: FilterOptions): Promise<Filters> {
  const { arch, purpose, folder = filterFolder() } = options;
  const input = filterInputOf(policy, arch);
  const wanted = purpose ?? (policy.seccomp.audit ? "audit" : null);
  const key = folder === null ? null : (options.knownKey ?? (await keyOf(input, wanted)));
  const cached = folder === null || key === null ? null : readCached(folder, key);
  const filters = cached === null ? null : unpack(cached);
  if (filters !== null) return { ...filters, warnings: [], key };
  const { compileBaseFilter, compileFilter } = await import("../../policy/seccomp/compile.ts");
  const { compileAudit } = await import("../../policy/seccomp/audit.ts");
  const [base, profile] = [compileBaseFilter(input), compileFilter(input)];
  const audit = wanted === null ? null : compileAudit(input, wanted);
  const tooLarge = wanted !== null && audit === null;
  const warnings = [
    ...profile.warnings,
    ...(tooLarge ? ["seccomp.audit: the filter is too large for it: denied calls are not counted"] : []),
  ];
  const compiled = { base: base.bytes, profile: profile.bytes, audit, digest: profile.digest };
  const kept = folder !== null && key !== null && warnings.length === 0 && writeCached(folder, key, pack(compiled));
  return { ...compiled, warnings, key: kept ? key : null };
}
