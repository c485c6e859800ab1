import { accessSync, closeSync, constants, openSync, type Stats, statSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import type { RunRequest } from "../../policy/compile/types.ts";
import { BelljarError, type ErrorCode } from "../../policy/errors.ts";
import { formatSize } from "../../policy/units.ts";
import { quoted } from "../output/terminal.ts";
import type { FileInRequest, FileOutRequest, VolumeRequest } from "./input.ts";
import { absoluteHostPath, workPath } from "./paths.ts";

/** As many as the launcher keeps open at once. */
export const maxFiles = 256;

const reasons: Readonly<Record<string, string>> = {
  ENOENT: "no such file or directory",
  ENOTDIR: "a part of the path is no directory",
  EACCES: "permission denied",
  EPERM: "operation not permitted",
  EISDIR: "is a directory",
  ELOOP: "too many symbolic links",
  EROFS: "read-only file system",
  ENOSPC: "no space left on the device",
  EDQUOT: "the disk quota is used up",
  EFBIG: "larger than a file may be (ulimit -f)",
  EIO: "input/output error",
  ENAMETOOLONG: "the name is too long",
  ENXIO: "nobody reads at the other end",
  ETXTBSY: "is a program that is running",
};

/** The reason of a failed call in words; its code where we have none. */
export function reasonOf(error: unknown): string {
  const { code, message } = error as NodeJS.ErrnoException;
  return code === undefined ? message : (reasons[code] ?? code);
}

/** `belljar: DOING: 'PATH': REASON`. */
export function fileError(code: ErrorCode, doing: string, path: string, cause: unknown): BelljarError {
  const reason = typeof cause === "string" ? cause : reasonOf(cause);
  return new BelljarError(code, `${doing}: ${quoted(path)}: ${reason}`, typeof cause === "string" ? {} : { cause });
}

/** What a file is, and whether it can be read; opened only when it is a regular file, for opening others may wait or fail. */
function readableStatus(path: string, doing: string): Stats {
  try {
    const status = statSync(path);
    if (status.isFile()) closeSync(openSync(path, constants.O_RDONLY | constants.O_NONBLOCK));
    return status;
  } catch (error) {
    throw fileError("file-unreadable", doing, path, error);
  }
}

function refuseClashes(paths: readonly string[], doing: string): void {
  const seen = new Set<string>();
  for (const path of paths) {
    if (seen.has(path)) throw new BelljarError("usage", `${doing}: ${quoted(path)}: is named twice`);
    seen.add(path);
  }
  for (const path of paths) {
    for (let parent = dirname(path); parent !== "." && parent !== "/"; parent = dirname(parent)) {
      if (seen.has(parent))
        throw new BelljarError("usage", `${doing}: ${quoted(parent)}: cannot be both a file and the folder of ${quoted(path)}`);
    }
  }
}

function refuseTooMany(count: number, doing: string): void {
  if (count > maxFiles) throw new BelljarError("usage", `${doing}: ${count} files are more than the ${maxFiles} that one run takes`);
}

/** What the work folder holds at most; null: no limit. */
export interface WorkLimits {
  readonly disk: number | null;
  readonly inodes: number | null;
}

/** tmpfs counts whole pages, and no page is smaller. */
const pageBytes = 4096;
const inPages = (bytes: number): number => Math.ceil(bytes / pageBytes) * pageBytes;

/** A limit that the input alone exceeds would end every run as a failure of ours: it is the caller's to raise. */
function refuseTooLarge(files: readonly { readonly target: string; readonly bytes: number }[], { disk, inodes }: WorkLimits): void {
  const bytes = files.reduce((sum, file) => sum + inPages(file.bytes), 0);
  if (disk !== null && bytes > inPages(disk)) {
    throw new BelljarError("usage", `copying in: ${formatSize(bytes)} of files are more than the disk limit of ${formatSize(disk)}`, {
      hint: "--disk SIZE (limits.disk) sets another limit; --volume shows files without copying them",
    });
  }
  const folders = new Set<string>();
  for (const { target } of files) for (let at = dirname(target); at !== "."; at = dirname(at)) folders.add(at);
  const count = files.length + folders.size;
  if (inodes !== null && count > inodes) {
    throw new BelljarError("usage", `copying in: ${count} files and folders are more than the limit of ${inodes}`, {
      hint: "--inodes N (limits.inodes) sets another limit; --volume shows files without copying them",
    });
  }
}

/** Checks what is to be copied in, before anything starts. Throws BelljarError `file-unreadable` or `usage`. */
export function checkFilesIn(requests: readonly FileInRequest[], limits: WorkLimits = { disk: null, inodes: null }): RunRequest["filesIn"] {
  refuseTooMany(requests.length, "copying in");
  const files = requests.map(({ hostPath, target }) => {
    const status = readableStatus(hostPath, "copying in");
    if (status.isDirectory())
      throw fileError(
        "file-unreadable",
        "copying in",
        hostPath,
        "is a directory: only regular files are copied in; --volume shows a directory",
      );
    if (!status.isFile()) throw fileError("file-unreadable", "copying in", hostPath, "is no regular file");
    return {
      hostPath: absoluteHostPath(hostPath),
      target: workPath(target ?? basename(hostPath), "copying in"),
      mode: status.mode & 0o777,
      bytes: status.size,
    };
  });
  refuseClashes(
    files.map((file) => file.target),
    "copying in",
  );
  refuseTooLarge(files, limits);
  return files.map(({ bytes: _bytes, ...file }) => file);
}

/** A destination that can take a file: not a folder, in a folder that exists and is writable. Returns its absolute path. */
export function checkDestination(path: string, doing: string): string {
  const absolute = absoluteHostPath(path);
  let status: Stats | null = null;
  try {
    status = statSync(absolute);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "ENOENT") throw fileError("file-unwritable", doing, path, error);
  }
  if (status?.isDirectory()) throw fileError("file-unwritable", doing, path, "is a directory");
  try {
    accessSync(dirname(absolute), constants.W_OK | constants.X_OK);
  } catch (error) {
    throw fileError("file-unwritable", doing, dirname(absolute), error);
  }
  return absolute;
}

function isFolder(path: string): boolean {
  try {
    return statSync(path).isDirectory();
  } catch {
    return false;
  }
}

/** Checks where files are to be copied out to, before anything starts. Throws BelljarError `file-unwritable` or `usage`. */
export function checkFilesOut(requests: readonly FileOutRequest[], maxBytes: number): RunRequest["filesOut"] {
  refuseTooMany(requests.length, "copying out");
  const files = requests.map(({ source, hostPath }) => {
    const inside = workPath(source, "copying out");
    const wanted = hostPath ?? basename(inside);
    const place = isFolder(wanted) && hostPath !== null ? join(wanted, basename(inside)) : wanted;
    return { source: inside, hostPath: checkDestination(place, "copying out"), maxBytes };
  });
  refuseClashes(
    files.map((file) => file.hostPath),
    "copying out",
  );
  return files;
}

/** Checks that there is something to mount. Throws BelljarError `file-unreadable`. Returns the absolute source. */
export function checkVolumeSource(volume: Pick<VolumeRequest, "source">): string {
  const absolute = absoluteHostPath(volume.source);
  try {
    statSync(absolute);
  } catch (error) {
    throw fileError("file-unreadable", "mounting", volume.source, error);
  }
  return absolute;
}
