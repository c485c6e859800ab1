/** Landlock rules derived from the mount table: a second, independent lock on what the mounts say already. */
import { BelljarError } from "../errors.ts";
import type { ResolvedPolicy } from "../profile/types.ts";
import type { FsEntry, LandlockRule } from "../wire/wire.gen.ts";

/** LANDLOCK_ACCESS_FS_* (linux/landlock.h), bit numbers. The launcher leaves out what the kernel's ABI does not know. */
export const landlockAccess = {
  execute: 1n << 0n,
  writeFile: 1n << 1n,
  readFile: 1n << 2n,
  readDir: 1n << 3n,
  truncate: 1n << 14n,
  ioctlDev: 1n << 15n,
} as const;
const all = (1n << 16n) - 1n;
const { execute, readFile, readDir, writeFile, truncate, ioctlDev } = landlockAccess;
const read = execute | readFile | readDir;

export interface CompiledLandlock {
  readonly landlock: readonly LandlockRule[];
  readonly landlockWanted: boolean;
  readonly landlockRequired: boolean;
}

/**
 * Everything may be read and executed (the mounts decide what there is), writable places are writable, devices and /proc
 * files can be written but nothing made or removed there. A sandbox that is to make namespaces of its own gets none: under
 * Landlock no mount can be changed. Throws BelljarError `profile-invalid` where the profile demands both.
 */
export function compileLandlock(
  policy: ResolvedPolicy,
  { filesystem, rootReadOnly }: { readonly filesystem: readonly FsEntry[]; readonly rootReadOnly: boolean },
): CompiledLandlock {
  const nested = policy.namespaces.user === "allow";
  if (nested && policy.landlock.required)
    throw new BelljarError(
      "profile-invalid",
      'compiling the plan: landlock.required: contradicts namespaces.user "allow": under Landlock no sandbox can be nested',
    );
  if (nested) return { landlock: [], landlockWanted: false, landlockRequired: false };
  return { landlock: rulesOf(filesystem, rootReadOnly ? read : all), landlockWanted: true, landlockRequired: policy.landlock.required };
}

/** Access that an entry gives beneath its target, or null where reading, which "/" gives, is all. */
function accessOf({ kind, flags, target }: FsEntry): bigint | null {
  if (target === "/dev" && (kind === "directory" || kind === "scratch")) return read | writeFile | truncate | ioctlDev;
  if (kind === "scratch" || kind === "tmpfs") return all;
  if (kind === "bind") return flags.includes("readOnly") ? null : all;
  // comm, oom_score_adj and the like are opened with O_TRUNC by shells.
  if (kind === "proc") return read | writeFile | truncate;
  return null;
}

/**
 * One rule a path, the last entry's: a read-only mount on a writable place takes the rule of that place away; but for /dev, whose
 * devices are written all the same. Under a writable root the rules allow everything everywhere, and the mounts alone restrict.
 */
function rulesOf(filesystem: readonly FsEntry[], root: bigint): readonly LandlockRule[] {
  const byPath = new Map<string, LandlockRule>();
  for (const entry of filesystem) {
    if (entry.target === "/dev" && entry.kind === "readOnly") continue;
    const access = accessOf(entry);
    if (access === null) byPath.delete(entry.target);
    else byPath.set(entry.target, { path: entry.target, access, optional: entry.flags.includes("optional") });
  }
  return [{ path: "/", access: root, optional: false }, ...byPath.values()];
}
