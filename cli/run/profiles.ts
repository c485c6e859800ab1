import { closeSync, constants, fstatSync, openSync, readdirSync, readSync } from "node:fs";
import { dirname, join, resolve } from "node:path";
import { BelljarError } from "../../policy/errors.ts";
import { builtinProfiles } from "../../policy/profile/builtin.gen.ts";
import { builtinPrefix, type LoadedProfile, loadBuiltin } from "../../policy/profile/builtin.ts";
import { nearestName } from "../../policy/profile/problems.ts";
import { configHome } from "../host/config.ts";
import { validText } from "../output/json.ts";
import { quoted } from "../output/terminal.ts";
import { reasonOf } from "./files.ts";
import { absoluteHostPath } from "./paths.ts";

/** Larger profiles are refused by the parser anyway; this much is read to find out. */
const maxProfileBytes = 1024 * 1024 + 1;
const loading = "loading profile";

/** `$XDG_CONFIG_HOME/belljar/profiles`, or null where the user has no such place. */
export function userProfileFolder(): string | null {
  const home = configHome(process.env);
  return home === null ? null : join(home, "belljar", "profiles");
}

/** A word with a slash or the ending .json is a file; anything else is a name. */
export function namesFile(reference: string): boolean {
  return reference.includes("/") || reference.endsWith(".json");
}

/** Names of the user's own profiles, sorted. */
export function userProfileNames(): readonly string[] {
  const folder = userProfileFolder();
  if (folder === null) return [];
  try {
    return readdirSync(folder)
      .filter((name) => name.endsWith(".json") && !name.startsWith("."))
      .map((name) => name.slice(0, -".json".length))
      .sort();
  } catch {
    return [];
  }
}

/** Where the user's profile of that name lies; for names of {@link userProfileNames}. */
export const userProfilePath = (name: string): string => join(userProfileFolder() ?? "", `${name}.json`);

/** Bounded, and without waiting for a fifo; "" for an empty file. */
function readProfile(path: string): string {
  const descriptor = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK);
  try {
    const status = fstatSync(descriptor);
    if (status.isDirectory()) throw new Error("is a directory");
    if (!status.isFile()) throw new Error("is no regular file");
    const buffer = Buffer.alloc(Math.min(status.size + 1, maxProfileBytes));
    let length = 0;
    for (let got = -1; got !== 0 && length < buffer.length; length += got)
      got = readSync(descriptor, buffer, length, buffer.length - length, null);
    const text = validText(buffer.subarray(0, length));
    if (text === null) throw new Error("is not valid UTF-8");
    return text;
  } finally {
    closeSync(descriptor);
  }
}

/**
 * Finds a profile: a built-in name, a name in the user's folder, or a file (relative to the file that extends it, else to
 * the current folder). Throws BelljarError `profile-not-found` or `profile-unreadable`.
 */
export function loadProfile(reference: string, fromFile: string | null): LoadedProfile {
  const isFile = namesFile(reference);
  const builtin = isFile ? null : loadBuiltin(reference);
  if (builtin !== null) return builtin;
  const folder = userProfileFolder();
  if (!isFile && (folder === null || !/^[A-Za-z0-9_][A-Za-z0-9._-]*$/.test(reference))) throw notFound(reference, fromFile);
  const beside = fromFile === null || fromFile.startsWith(builtinPrefix) ? null : dirname(fromFile);
  const fromFolder = () => (beside === null ? absoluteHostPath(reference) : resolve(beside, reference));
  const path = isFile ? fromFolder() : userProfilePath(reference);
  try {
    return { file: path, text: readProfile(path) };
  } catch (error) {
    const missing = (error as NodeJS.ErrnoException).code === "ENOENT";
    if (missing && !isFile) throw notFound(reference, fromFile);
    throw new BelljarError(
      missing ? "profile-not-found" : "profile-unreadable",
      `${loading}: ${quoted(reference)}: ${reasonOf(error)}${extendedBy(fromFile)}`,
      {
        cause: error,
      },
    );
  }
}

const extendedBy = (fromFile: string | null): string => (fromFile === null ? "" : ` (extended by ${quoted(fromFile)})`);

function notFound(reference: string, fromFile: string | null): BelljarError {
  const names = [...Object.keys(builtinProfiles), ...userProfileNames()];
  const guess = nearestName(reference, names);
  return new BelljarError(
    "profile-not-found",
    `${loading}: ${quoted(reference)}: no built-in profile and none in ${userProfileFolder() ?? "a profile folder"}${extendedBy(fromFile)}`,
    {
      hint: guess === null ? `known profiles: ${names.join(", ")}; a file is named with a slash or .json` : `did you mean '${guess}'?`,
    },
  );
}
