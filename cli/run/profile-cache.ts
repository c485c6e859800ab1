import type { Override } from "../../policy/profile/overrides.ts";
import type { ResolveResult } from "../../policy/profile/resolve.ts";
import { readOwnFile, replaceFile } from "../host/cache-home.ts";
import { loadProfile } from "./profiles.ts";
import { slotPath } from "./slots.ts";

/** What of a resolved profile a run needs. */
export interface KnownProfile extends Pick<ResolveResult, "policy" | "provenance" | "warnings" | "digest"> {
  /** Files that it was read from. */
  readonly files: readonly string[];
  /** Under which its filters are kept; null where they are not. */
  readonly filterKey: string | null;
}

export interface ProfileRequest {
  readonly reference: string;
  readonly overrides: readonly Override[];
  /** From the disk, unless somebody has read it already. */
  readonly load?: typeof loadProfile;
}

export interface ResolvedOnce {
  readonly profile: KnownProfile;
  /** Keeps what was found for the next run that asks for the same. */
  readonly keep: (filterKey: string) => void;
}

interface Load {
  readonly reference: string;
  readonly from: string | null;
  readonly file: string;
  readonly text: string;
}

interface Kept {
  readonly key: string;
  readonly loads: readonly Load[];
  readonly profile: KnownProfile;
}

/** Larger profiles are resolved every time. */
const maxKeptText = 128 * 1024;

/** Every file is read again: what counts is what it says now, and where its name leads now. */
function isUnchanged({ reference, from, file, text }: Load, load: typeof loadProfile): boolean {
  const now = load(reference, from);
  return now.file === file && now.text === text;
}

function readKept(path: string, key: string, load: typeof loadProfile): KnownProfile | null {
  try {
    const kept = JSON.parse(readOwnFile(path) ?? "null") as Kept | null;
    return kept !== null && kept.key === key && kept.loads.every((one) => isUnchanged(one, load)) ? kept.profile : null;
  } catch {
    // Damaged, or a file is gone: resolving says what there is to say.
    return null;
  }
}

/**
 * A profile with its overrides, resolved: from the cache where the same build was asked the same and every file still says the same; the code
 * that resolves is loaded only when it is not. Throws what resolving throws.
 */
export async function resolveOnce({ reference, overrides, load = loadProfile }: ProfileRequest): Promise<ResolvedOnce> {
  const build = globalThis.belljarBuild;
  // The architecture, because a home may be shared and the key of the filters hangs on it.
  const key = JSON.stringify([build, process.arch, reference, overrides]);
  const path = slotPath("profiles", key);
  const known = path === null ? null : readKept(path, key, load);
  if (known !== null) return { profile: known, keep: () => undefined };
  const { resolveProfile } = await import("../../policy/profile/resolve.ts");
  const loads: Load[] = [];
  const loadAndNote = (ref: string, from: string | null) => {
    const loaded = load(ref, from);
    loads.push({ reference: ref, from, ...loaded });
    return loaded;
  };
  const { policy, provenance, warnings, digest, sources } = resolveProfile(reference, { load: loadAndNote, overrides });
  const files = sources.flatMap(({ file }) => (file.startsWith("/") ? [file] : []));
  const profile = { policy, provenance, warnings, digest, files, filterKey: null };
  const isSmall = loads.reduce((sum, { text }) => sum + text.length, key.length) <= maxKeptText;
  // What a filter file means hangs on the kernel, too, which is no part of the key.
  const mayKeep = path !== null && isSmall && policy.seccomp.file === null;
  return {
    profile,
    keep: (filterKey) =>
      void (mayKeep && replaceFile(path, JSON.stringify({ key, loads, profile: { ...profile, filterKey } } satisfies Kept))),
  };
}
