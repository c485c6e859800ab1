import { posix } from "node:path";
import { quoteValue } from "../units.ts";
import { checkProfile } from "./check.ts";
import { readJson } from "./json.ts";
import { missingComments } from "./loosening.ts";
import { firstByPath, type Problem, profileError } from "./problems.ts";
import type { MountSpec, Profile } from "./types.ts";

/**
 * Reads one profile as written. Throws BelljarError "profile-invalid" that names the file and, for every mistake (unknown and
 * duplicate keys, wrong types and values, loosenings without a comment), its JSON path; {@link problemsOf} gives the list.
 */
export function parseProfile(text: string, file: string): Profile {
  const json = readJson(text);
  if (!json.ok) throw profileError(file, json.problems);
  const { problems, rest } = checkProfile(json.value);
  const all = [...json.problems, ...problems, ...missingComments(rest)];
  if (all.length > 0) throw profileError(file, firstByPath(all));
  return json.value as Profile;
}

/**
 * Host paths of a profile made absolute from `folder`; where that is null (built-in profiles, options), a relative one is a
 * problem.
 */
export function withAbsolutePaths(
  profile: Profile,
  folder: string | null,
): { readonly profile: Profile; readonly problems: readonly Problem[] } {
  const problems: Problem[] = [];
  const absolute = (path: string, at: string): string => {
    if (posix.isAbsolute(path)) return posix.normalize(path);
    if (folder === null) problems.push({ path: at, message: `must be an absolute path (got ${quoteValue(path)})` });
    return posix.resolve(folder ?? "/", path);
  };
  const { rootfs, mounts, seccomp } = profile;
  const withSource = (mount: MountSpec, index: number): MountSpec =>
    mount.kind === "bind" ? { ...mount, source: absolute(mount.source, `mounts[${index}].source`) } : mount;
  return {
    profile: {
      ...profile,
      ...(rootfs?.kind === "directory" ? { rootfs: { ...rootfs, path: absolute(rootfs.path, "rootfs.path") } } : {}),
      ...(mounts === undefined ? {} : { mounts: mounts.map(withSource) }),
      ...(typeof seccomp?.file === "string" ? { seccomp: { ...seccomp, file: absolute(seccomp.file, "seccomp.file") } } : {}),
    },
    problems,
  };
}
