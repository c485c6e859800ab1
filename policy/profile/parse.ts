import { posix } from "node:path";
import { checkProfile } from "./check.ts";
import { readJson } from "./json.ts";
import { missingComments } from "./loosening.ts";
import { type Problem, profileError } from "./problems.ts";
import type { Profile } from "./types.ts";

/**
 * Reads one profile as written. Throws BelljarError "profile-invalid" that names the file and, for every mistake (unknown and
 * duplicate keys, wrong types and values, loosenings without a comment), its JSON path; {@link problemsOf} gives the list.
 */
export function parseProfile(text: string, file: string): Profile {
  const json = readJson(text);
  if (!json.ok) throw profileError(file, json.problems);
  const { problems, rest } = checkProfile(json.value);
  const all = [...json.problems, ...problems, ...missingComments(rest)];
  // A key that is both unknown and given twice is told once.
  const first = all.filter((problem, index) => all.findIndex((other) => other.path === problem.path) === index);
  if (first.length > 0) throw profileError(file, first);
  return json.value as Profile;
}

/** Host paths of a profile made absolute from the folder of its file. Throws where that folder is unknown (built-in profiles, text). */
export function withAbsolutePaths(profile: Profile, file: string): Profile {
  const problems: Problem[] = [];
  const absolute = (path: string, at: string): string => {
    if (posix.isAbsolute(path)) return posix.normalize(path);
    if (posix.isAbsolute(file)) return posix.resolve(posix.dirname(file), path);
    problems.push({ path: at, message: "must be absolute: this profile has no folder of its own" });
    return path;
  };
  const { rootfs, mounts, seccomp } = profile;
  const result: Profile = {
    ...profile,
    ...(rootfs?.kind === "directory" ? { rootfs: { ...rootfs, path: absolute(rootfs.path, "rootfs.path") } } : {}),
    ...(mounts === undefined
      ? {}
      : {
          mounts: mounts.map((mount, index) =>
            mount.kind === "bind" ? { ...mount, source: absolute(mount.source, `mounts[${index}].source`) } : mount,
          ),
        }),
    ...(typeof seccomp?.file === "string" ? { seccomp: { ...seccomp, file: absolute(seccomp.file, "seccomp.file") } } : {}),
  };
  if (problems.length > 0) throw profileError(file, problems);
  return result;
}
