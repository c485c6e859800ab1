/** Where profiles come from: the built-in ones are text in the program. */
import { builtinProfiles } from "./builtin.gen.ts";

export const builtinPrefix = "built-in:";

export interface LoadedProfile {
  /** "built-in:judge", or the path of the file: named in errors and provenance, and what tells a cycle. */
  readonly file: string;
  readonly text: string;
}
/** Finds a profile, or reads the file of `seccomp.file`; `fromFile` is the file that extends it, or null. Throws its own BelljarError. */
export type LoadProfile = (ref: string, fromFile: string | null) => LoadedProfile;

/** A built-in profile, or null. */
export function loadBuiltin(name: string): LoadedProfile | null {
  const text = Object.hasOwn(builtinProfiles, name) ? builtinProfiles[name] : undefined;
  return text === undefined ? null : { file: `${builtinPrefix}${name}`, text };
}
