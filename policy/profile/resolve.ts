import { posix } from "node:path";
import { BelljarError } from "../errors.ts";
import { builtinProfiles } from "./builtin.gen.ts";
import { builtinPrefix, type LoadedProfile, type LoadProfile, loadBuiltin } from "./builtin.ts";
import { checkProfile } from "./check.ts";
import { contradictionsOf, warningsOf } from "./contradictions.ts";
import { policyDigest, sha256 } from "./digest.ts";
import { readLimit } from "./limits.ts";
import { emptyMerge, type Json, type Merged, mergeLayer } from "./merge.ts";
import { type AppliedOverride, applyOverride, blame, type Override } from "./overrides.ts";
import { parseProfile, withAbsolutePaths } from "./parse.ts";
import { formatPath } from "./path.ts";
import { formatOrigin, type Problem, profileError } from "./problems.ts";
import { toPolicy } from "./resolved.ts";
import { valueAt } from "./shape.ts";
import { limitNames, type Profile, type Provenance, type ResolvedPolicy } from "./types.ts";

/** Files that one profile may build on, directly or not. */
const maxFiles = 64;

export interface ResolveOptions {
  readonly load: LoadProfile;
  /** In order; later wins. */
  readonly overrides?: readonly Override[];
}

export interface ResolveResult {
  readonly policy: ResolvedPolicy;
  readonly provenance: Provenance;
  /** Comments in force, by path. */
  readonly comments: Readonly<Record<string, string>>;
  /** Every file that took part, lowest first; the one of `seccomp.file` last. */
  readonly sources: readonly { readonly file: string; readonly sha256: string }[];
  readonly warnings: readonly string[];
  /** "sha256:…" of what the program meets. */
  readonly digest: string;
}

interface Layer extends LoadedProfile {
  readonly profile: Profile;
}

/** Built-in profiles are checked by the tests, not by every run. */
function readLayer({ file, text }: LoadedProfile): Profile {
  const builtin = file.startsWith(builtinPrefix) && builtinProfiles[file.slice(builtinPrefix.length)] === text;
  if (builtin) return JSON.parse(text) as Profile;
  const { profile, problems } = withAbsolutePaths(parseProfile(text, file), posix.isAbsolute(file) ? posix.dirname(file) : null);
  if (problems.length > 0) throw profileError(file, problems);
  return profile;
}

/** Every profile once, each behind all that it builds on. What two profiles share therefore never undoes one of them. */
function collectLayers(top: LoadedProfile, load: LoadProfile): readonly Layer[] {
  const layers = new Map<string, Layer>();
  const visit = (loaded: LoadedProfile, chain: readonly string[]): void => {
    if (chain.includes(loaded.file)) {
      const cycle = [...chain.slice(chain.indexOf(loaded.file)), loaded.file].join(" -> ");
      throw profileError(chain.at(-1) ?? loaded.file, [{ path: "extends", message: `makes a cycle: ${cycle}` }]);
    }
    if (layers.has(loaded.file)) return;
    if (layers.size + chain.length >= maxFiles)
      throw profileError(chain[0] ?? loaded.file, [{ path: "extends", message: `leads to more than ${maxFiles} files` }]);
    const profile = readLayer(loaded);
    const refs = typeof profile.extends === "string" ? [profile.extends] : (profile.extends ?? []);
    for (const next of refs) {
      // Built-in profiles mean each other, whatever a user's folder holds under the same name.
      const builtin = loaded.file.startsWith(builtinPrefix) ? loadBuiltin(next) : null;
      visit(builtin ?? load(next, loaded.file), [...chain, loaded.file]);
    }
    layers.set(loaded.file, { ...loaded, profile });
  };
  const base = loadBuiltin("default");
  if (base === null) throw new BelljarError("internal", "the built-in profile 'default' is missing");
  visit(base, []);
  visit(top, []);
  return [...layers.values()];
}

function mergeLayers(layers: readonly Layer[]): Merged {
  return layers.reduce((merged, { profile, file }) => {
    const { $schema: _schema, name: _name, description: _description, extends: _extends, ...fields } = profile;
    return mergeLayer(merged, fields as Json, file);
  }, emptyMerge);
}

/** A limit stands alone: the commonest option needs no look at the whole. */
function isGoodLimit(path: string, merged: Json): boolean {
  const name = limitNames.find((limit) => path === `limits.${limit}`);
  return name !== undefined && readLimit(name, valueAt(merged, ["limits", name])).ok;
}

/** Throws for the first origin among `problems`, with all that is its fault. */
function throwBlamed(problems: readonly Problem[], originOf: (path: string) => string): void {
  const [first] = problems;
  if (first === undefined) return;
  const origin = originOf(first.path);
  throw profileError(
    origin,
    problems.filter((problem) => originOf(problem.path) === origin),
  );
}

/**
 * Comments in force, by path: from `comments` and from the fields themselves. A comment goes with the value that it was written
 * for, so it ends where a later file or option sets the field anew.
 */
function commentsOf(
  { namespaces, network, comments }: Profile,
  provenance: Provenance,
  files: readonly string[],
): Readonly<Record<string, string>> {
  const rank = (origin: string | undefined): number =>
    origin === undefined ? -1 : files.includes(origin) ? files.indexOf(origin) : files.length;
  const written = [
    ["namespaces.user", namespaces?.comment, "namespaces.comment"] as const,
    ["network.mode", network?.comment, "network.comment"] as const,
    ...Object.entries(comments ?? {}).map(([path, comment]) => [path, comment, formatPath(["comments", path])] as const),
  ];
  const inForce = written.flatMap(([path, comment, place]) =>
    comment !== undefined && rank(provenance[place]) >= rank(provenance[path]) ? [[path, comment] as const] : [],
  );
  return Object.fromEntries(inForce);
}

/**
 * Resolves a profile: what it extends, in order, over the built-in "default", then the overrides. Throws BelljarError
 * "profile-invalid" (bad file, cycle, contradiction), "usage" (bad override) or what `load` throws.
 */
export function resolveProfile(ref: string, { load, overrides = [] }: ResolveOptions): ResolveResult {
  const loaded = load(ref, null);
  const topFile = loaded.file;
  const layers = collectLayers(loaded, load);
  const top = layers.find(({ file }) => file === topFile) as Layer;
  let merged = mergeLayers(layers);
  const applied: AppliedOverride[] = [];
  for (const override of overrides) {
    const step = applyOverride(merged, override);
    merged = step.merged;
    applied.push(step.applied);
  }
  // Overrides are checked on the whole, so that two of them may need each other (rootfs.kind and rootfs.path).
  if (!applied.every(({ path }) => isGoodLimit(path, merged.value)))
    throwBlamed(checkProfile(merged.value).problems, (path) => blame(path, applied) ?? topFile);
  const { provenance } = merged;
  const { profile, problems } = withAbsolutePaths(merged.value as unknown as Profile, null);
  throwBlamed(problems, (path) => blame(path, applied) ?? topFile);
  // Its path is absolute by now, so it is relative to no file.
  const seccompFile = typeof profile.seccomp?.file === "string" ? load(profile.seccomp.file, null) : null;
  const policy = toPolicy(profile as unknown as Json, {
    name: top.profile.name ?? nameOf(topFile),
    description: top.profile.description ?? "",
    seccompFile: seccompFile === null ? null : { path: seccompFile.file, text: seccompFile.text },
    ruleOrigin: (index) =>
      `${provenance[`seccomp.syscalls[${index}]`] ?? provenance["seccomp.syscalls"] ?? topFile}#seccomp.syscalls[${index}]`,
  });
  throwBlamed(contradictionsOf(policy), (path) => blame(path, applied) ?? provenance[path] ?? topFile);
  return {
    policy,
    provenance,
    comments: commentsOf(
      profile,
      provenance,
      layers.map(({ file }) => file),
    ),
    sources: [...layers, ...(seccompFile === null ? [] : [seccompFile])].map(({ file, text }) => ({ file, sha256: sha256(text) })),
    warnings: warningsOf(policy, (name) => !(provenance[`limits.${name}`] ?? builtinPrefix).startsWith(builtinPrefix)),
    digest: policyDigest(policy),
  };
}

/** A file without a name of its own is called after itself. */
function nameOf(file: string): string {
  const base = file.slice(file.lastIndexOf("/") + 1).replace(/\.json$/, "");
  return base.replace(/[^A-Za-z0-9._-]/g, "-") || formatOrigin(file);
}
