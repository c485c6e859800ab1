import { accessSync, constants, lstatSync, readdirSync, readFileSync, readlinkSync, realpathSync, type Stats, statSync } from "node:fs";

/** How the host probes look at the host; tests give them another root. A failure is a value: most of these files may be absent. */
export interface HostFiles {
  /** The text of a small file, or null when it cannot be read. */
  text(path: string): string | null;
  /** null when writing is allowed, else the error code ("EACCES", "EROFS", "ENOENT"). */
  writeRefusal(path: string): string | null;
  /** What a path leads to, links followed; null when there is nothing. */
  stat(path: string): Stats | null;
  /** The path itself, links not followed. */
  lstat(path: string): Stats | null;
  /** Names in a directory, sorted; empty when it cannot be read. */
  names(path: string): readonly string[];
  /** The same with what each name is, for walks. */
  entries(path: string): readonly { readonly name: string; readonly kind: "directory" | "file" | "symlink" | "other" }[];
  /** The text of a symbolic link; null when it is none. */
  link(path: string): string | null;
  /** The path with every link resolved, or null. */
  real(path: string): string | null;
}

function orNull<T>(action: () => T): T | null {
  try {
    return action();
  } catch {
    return null;
  }
}

/** The files beneath `root` ("" = the host's own). Links are resolved by the kernel, so a test's tree holds relative links only. */
export function hostFiles(root = ""): HostFiles {
  return {
    text: (path) => orNull(() => readFileSync(root + path, "utf8")),
    writeRefusal: (path) => {
      try {
        accessSync(root + path, constants.W_OK);
        return null;
      } catch (error) {
        return (error as NodeJS.ErrnoException).code ?? "EIO";
      }
    },
    // Many of these paths are absent, and an error takes twenty times as long to make as the answer.
    stat: (path) => orNull(() => statSync(root + path, { throwIfNoEntry: false }) ?? null),
    lstat: (path) => orNull(() => lstatSync(root + path, { throwIfNoEntry: false }) ?? null),
    names: (path) => orNull(() => readdirSync(root + path).sort()) ?? [],
    entries: (path) =>
      (orNull(() => readdirSync(root + path, { withFileTypes: true })) ?? []).map((entry) => ({
        name: entry.name,
        kind: entry.isDirectory() ? "directory" : entry.isSymbolicLink() ? "symlink" : entry.isFile() ? "file" : "other",
      })),
    link: (path) => orNull(() => readlinkSync(root + path)),
    real: (path) => orNull(() => realpathSync(root + path).slice(root.length)),
  };
}

/** A file that holds one whole number, such as most of /proc/sys; null when absent or something else. */
export function readNumber(files: HostFiles, path: string): number | null {
  const text = files.text(path)?.trim();
  return text !== undefined && /^-?\d+$/.test(text) ? Number(text) : null;
}
