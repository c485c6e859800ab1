/** One line of proc_pid_mountinfo(5). */
export interface Mount {
  /** The part of the file system that is mounted: "/" unless it is a bind mount or lies in a cgroup namespace. */
  readonly root: string;
  readonly path: string;
  readonly readOnly: boolean;
  readonly fsType: string;
  readonly superOptions: readonly string[];
}

const unescapeOctal = (text: string): string =>
  text.replace(/\\([0-7]{3})/g, (_, octal: string) => String.fromCharCode(Number.parseInt(octal, 8)));

/** Parses /proc/self/mountinfo; lines that are none are left out. */
export function parseMountInfo(text: string): readonly Mount[] {
  return text.split("\n").flatMap((line) => {
    const [before = "", after = ""] = line.split(" - ");
    const [, , , root, path, options] = before.split(" ");
    const [fsType, , superOptions = ""] = after.split(" ");
    if (root === undefined || path === undefined || options === undefined || fsType === undefined) return [];
    return [
      {
        root: unescapeOctal(root),
        path: unescapeOctal(path),
        readOnly: options.split(",").includes("ro"),
        fsType,
        superOptions: superOptions.split(","),
      },
    ];
  });
}

/** Where a path of a file system (as /proc/self/cgroup gives it) is seen through one mount of it; null when that shows another part. */
export function pathThroughMount(mount: Mount, path: string): string | null {
  if (path.startsWith("/..")) return null; // outside the root of our cgroup namespace
  if (mount.root === "/") return path === "/" ? mount.path : mount.path + path;
  if (path !== mount.root && !path.startsWith(`${mount.root}/`)) return null;
  return mount.path + path.slice(mount.root.length);
}
