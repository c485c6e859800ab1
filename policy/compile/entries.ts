/** Makers of file system entries, so that each place names only what matters there. */
import type { FsEntry, FsFlag, FsKind } from "../wire/wire.gen.ts";

const noBytes = new Uint8Array();

function entry(kind: FsKind, target: string, rest: Partial<FsEntry> = {}): FsEntry {
  return { kind, flags: [], target, source: "", content: noBytes, mode: 0, sizeBytes: 0n, inodes: 0n, ...rest };
}

export const directory = (target: string, mode = 0o755): FsEntry => entry("directory", target, { mode });

/** Made where it is missing; what is there stays as it is. */
export const ensureDirectory = (target: string): FsEntry => entry("directory", target, { mode: 0o755, flags: ["optional"] });

export const symlink = (target: string, text: string): FsEntry => entry("symlink", target, { source: text });

export const file = (target: string, text: string): FsEntry =>
  entry("file", target, { content: new TextEncoder().encode(text), mode: 0o644 });

interface BindOptions {
  readonly source: string;
  readonly flags: readonly FsFlag[];
}

/** Flags in the wire table's order, as the decoder gives them back. */
export const bind = (target: string, { source, flags }: BindOptions): FsEntry => entry("bind", target, { source, flags });

/**
 * A directory tree of the host. Always recursive: where submounts exist, the kernel refuses a bind without them in a
 * less privileged mount namespace (they are locked to their parent).
 */
export const bindTree = (target: string, source: string): FsEntry => bind(target, { source, flags: ["readOnly", "recursive"] });

export const bindFile = (target: string, source: string, optional = false): FsEntry =>
  bind(target, { source, flags: optional ? ["readOnly", "optional", "sourceIsFile"] : ["readOnly", "sourceIsFile"] });

interface ScratchOptions {
  /** Name of the sub-folder of the scratch tmpfs; "root", "empty" and "nothing" are the launcher's own. */
  readonly name: string;
  readonly mode: number;
  readonly ownedByProgram?: boolean;
}

export const scratch = (target: string, { name, mode, ownedByProgram = false }: ScratchOptions): FsEntry =>
  entry("scratch", target, { source: name, mode, flags: ownedByProgram ? ["ownedByProgram"] : [] });

interface TmpfsOptions {
  readonly sizeBytes: number;
  readonly inodes: number | null;
  readonly mode: number;
}

/** Without a number of its own a tmpfs gets an inode a page: 0 would mean as many as kernel memory holds. */
export const tmpfs = (target: string, { sizeBytes, inodes, mode }: TmpfsOptions): FsEntry =>
  entry("tmpfs", target, {
    flags: ["ownedByProgram"],
    mode,
    sizeBytes: BigInt(sizeBytes),
    inodes: BigInt(inodes ?? Math.max(1024, Math.ceil(sizeBytes / 4096))),
  });

export const proc = (flags: readonly FsFlag[]): FsEntry => entry("proc", "/proc", { flags });

export const devpts = (): FsEntry => entry("devpts", "/dev/pts");

export const sysfs = (): FsEntry => entry("sysfs", "/sys", { flags: ["readOnly"] });

export const mask = (target: string): FsEntry => entry("mask", target, { flags: ["optional"] });

export const readOnly = (target: string, flags: readonly FsFlag[] = []): FsEntry => entry("readOnly", target, { flags });
