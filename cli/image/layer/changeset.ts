import type { FrameWriter } from "./frames.ts";
import { isMapped, type LayerIds, squashed } from "./ids.ts";
import type { LayerLimits } from "./limits.ts";
import { cleanPath, readName } from "./names.ts";
import { LayerProblem, shownPath } from "./problem.ts";
import type { TarEntry, TarHandler } from "./tar-reader.ts";
import { readXattrs } from "./xattrs.ts";

/** What was not done as the archive asks, for one warning of each kind. */
export interface Deviations {
  /** Entries whose owner is squashed. */
  squashedOwners: number;
  devices: number;
  firstDevice: string | null;
  strippedXattrs: number;
  clampedTimes: number;
}

export const noDeviations = (): Deviations => ({
  squashedOwners: 0,
  devices: 0,
  firstDevice: null,
  strippedXattrs: 0,
  clampedTimes: 0,
});

export interface ChangesetOptions {
  readonly ids: LayerIds;
  readonly limits: LayerLimits;
  readonly deviations: Deviations;
}

/** What a 64-bit time can say, and no rounding error more. */
const maxSeconds = Number.MAX_SAFE_INTEGER;
const maxId = 0xffff_fffe;

/** A remedy for an id that the maps lack. */
export class UnmappedId extends LayerProblem {
  readonly hint: string;
  constructor(path: string, what: "user" | "group", id: number) {
    super(`${shownPath(path)}: belongs to ${what} ${id}, and this account has no subordinate id for it`);
    const file = what === "user" ? "uid" : "gid";
    this.hint =
      id > maxId || id < 0
        ? `no file can belong to ${what} ${id}: unpack with a single id ("user": {"mode": "single"})`
        : `this takes ${id + 1} ids in /etc/sub${file} (as root: usermod --add-sub${file}s FIRST-LAST USER), or a single id ("user": {"mode": "single"})`;
  }
}

/** Turns the entries of an archive into those of belljar-apply: the decisions about names, owners, attributes and devices. */
export function changeset(frames: FrameWriter, { ids, limits, deviations }: ChangesetOptions): TarHandler {
  const devices = new Set<string>();
  let index = 0;
  let takesData = false;

  const ownerOf = (entry: TarEntry): { readonly uid: number; readonly gid: number } => {
    if (ids.kind === "single") {
      if (entry.uid !== 0 || entry.gid !== 0) deviations.squashedOwners++;
      return { uid: 0, gid: 0 };
    }
    const mapped = { uid: isMapped(ids.uidMaps, entry.uid), gid: isMapped(ids.gidMaps, entry.gid) };
    if (mapped.uid && mapped.gid) return { uid: entry.uid, gid: entry.gid };
    if (ids.unmapped === "fail")
      throw mapped.uid ? new UnmappedId(entry.path, "group", entry.gid) : new UnmappedId(entry.path, "user", entry.uid);
    deviations.squashedOwners++;
    return { uid: mapped.uid ? entry.uid : squashed(ids.uidMaps), gid: mapped.gid ? entry.gid : squashed(ids.gidMaps) };
  };

  const secondsOf = ({ mtime: { seconds } }: TarEntry): number => {
    const clamped = Math.max(-maxSeconds, Math.min(maxSeconds, seconds));
    if (clamped !== seconds) deviations.clampedTimes++;
    return clamped;
  };

  const linkOf = (entry: TarEntry): string => {
    if (entry.type === "hardlink") return cleanPath(entry.linkPath, limits).join("/");
    if (entry.type !== "symlink") return "";
    if (entry.linkPath === "" || entry.linkPath.includes("\0") || entry.linkPath.length > limits.maxPathBytes)
      throw new LayerProblem(`${shownPath(entry.path)}: a link to a name that cannot be`);
    return entry.linkPath;
  };

  const mark = (type: "whiteout" | "opaque", path: string): void =>
    frames.entry({
      ...{ index, type, path, linkPath: "", mode: 0, uid: 0, gid: 0, mtimeSeconds: 0, mtimeNanoseconds: 0, size: 0, xattrs: [] },
    });

  const skipDevice = (path: string): void => {
    devices.add(path);
    deviations.firstDevice ??= path;
    deviations.devices++;
  };

  return {
    entry(entry) {
      index++;
      takesData = false;
      const named = readName(entry.path, limits);
      if (named.kind === "ignored") return;
      if (named.kind !== "entry") {
        mark(named.kind, named.path);
        return;
      }
      const { path } = named;
      const { type } = entry;
      if (path === "" && type !== "directory") throw new LayerProblem(`${shownPath(entry.path)}: replaces the root by something else`);
      // No user can make a device, and the sandbox has its own /dev: what is below stays as it is.
      if (type === "character-device" || type === "block-device") {
        skipDevice(path);
        return;
      }
      const linkPath = linkOf(entry);
      if (type === "hardlink") {
        if (devices.has(linkPath)) {
          skipDevice(path);
          return;
        }
        if (linkPath === "") throw new LayerProblem(`${shownPath(entry.path)}: a hard link to the root`);
      }
      devices.delete(path);
      if (entry.size > limits.maxFileBytes) throw new LayerProblem(`${shownPath(entry.path)}: more than ${limits.maxFileBytes} bytes`);
      const { xattrs, stripped } = readXattrs(entry.pax);
      deviations.strippedXattrs += stripped.length;
      takesData = type === "file";
      frames.entry({
        ...ownerOf(entry),
        index,
        type,
        path,
        linkPath,
        mode: entry.mode,
        mtimeSeconds: secondsOf(entry),
        mtimeNanoseconds: entry.mtime.nanoseconds,
        size: entry.size,
        xattrs,
      });
    },
    data(bytes, offset) {
      if (takesData) frames.data(bytes, offset);
    },
  };
}
