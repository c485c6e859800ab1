import { basename, dirname, relative, resolve } from "node:path";
import { BelljarError } from "../../policy/errors.ts";
import { parseProfile } from "../../policy/profile/index.ts";
import type { Profile, ResolvedPolicy, SeccompRuleSpec } from "../../policy/profile/types.ts";
import { learntDefaultAction, mergeRules } from "../../policy/seccomp/learn.ts";
import { quoted } from "../output/terminal.ts";
import { loadProfile, namesFile } from "./profiles.ts";

/** The file that is written, and what it builds on. */
export interface LearntPlace {
  /** Absolute. */
  readonly path: string;
  /** As `extends` of that file names the base. */
  readonly base: string;
  /** As options name it. */
  readonly baseReference: string;
  /** What earlier runs have left there. */
  readonly older: Profile | null;
}

const reading = "reading options";

function baseFrom(path: string, reference: string): string {
  if (!namesFile(reference)) return reference;
  const from = relative(dirname(path), resolve(reference));
  if (resolve(reference) === path)
    throw new BelljarError("usage", `${reading}: '-o' ${quoted(path)}: is the profile that it would build on`, {
      hint: "--merge adds to a learnt profile",
    });
  return from.startsWith(".") || from.startsWith("/") ? from : `./${from}`;
}

/** Where to, and upon what. Throws BelljarError `usage`, and what loading a profile throws. */
export function learntPlace(file: string, { profile, merge }: { readonly profile: string | null; readonly merge: boolean }): LearntPlace {
  const path = resolve(file);
  if (!merge) return { path, base: baseFrom(path, profile ?? "default"), baseReference: profile ?? "default", older: null };
  const older = parseProfile(loadProfile(path.endsWith(".json") ? path : `${dirname(path)}/${basename(path)}`, null).text, path);
  const base = older.extends;
  if (typeof base !== "string" || older.seccomp?.syscalls === undefined)
    throw new BelljarError("usage", `${reading}: '--merge': ${quoted(file)}: is no profile that \`belljar learn\` has written`);
  if (profile !== null && baseFrom(path, profile) !== base)
    throw new BelljarError("usage", `${reading}: '--profile' ${quoted(profile)}: ${quoted(file)} builds on ${quoted(base)}`, {
      hint: "with --merge the base is that of the file: leave out -p",
    });
  return { path, base, baseReference: namesFile(base) ? resolve(dirname(path), base) : base, older };
}

interface LearntContext {
  readonly place: LearntPlace;
  readonly policy: ResolvedPolicy;
  readonly command: readonly string[];
}

const nameOf = (path: string): string =>
  basename(path)
    .replace(/\.json$/, "")
    .replace(/[^A-Za-z0-9._-]/g, "-")
    .replace(/^[^A-Za-z0-9]+/, "") || "learnt";

/** Without what a terminal would act on, and short. */
function commandWords(command: readonly string[]): string {
  const text = command.join(" ").replace(/[^\x20-\x7e]+/g, " ");
  return text.length > 80 ? `${text.slice(0, 77)}...` : text;
}

/** The profile with new rules in it; everything that a person changed in an older one stays. */
export function learntProfile(rules: readonly SeccompRuleSpec[], { place, policy, command }: LearntContext): Profile {
  const { older } = place;
  if (older !== null) return { ...older, seccomp: { ...older.seccomp, syscalls: mergeRules(older.seccomp?.syscalls ?? [], rules) } };
  return {
    schemaVersion: 1,
    name: nameOf(place.path),
    description: `learnt from: ${commandWords(command)}`,
    extends: place.base,
    seccomp: {
      extends: [],
      defaultAction: learntDefaultAction,
      ...(policy.seccomp.file === null ? {} : { file: null }),
      syscalls: rules,
    },
    comments: { "seccomp.syscalls": "by belljar learn: what the program was seen to call, and nothing else of what the base allows" },
  };
}

const widest = 120;

/** JSON as people write it: what fits a line is on one. */
export function profileText(profile: Profile): string {
  return `${layOut(profile, "")}\n`;
}

function layOut(value: unknown, indent: string): string {
  const flat = flatText(value);
  const isLeaf = typeof value !== "object" || value === null;
  if (isLeaf || indent.length + flat.length <= widest - 20) return indent === "" && !isLeaf ? spread(value as object, indent) : flat;
  return spread(value as object, indent);
}

function flatText(value: unknown): string {
  if (typeof value !== "object" || value === null) return JSON.stringify(value);
  if (Array.isArray(value)) return `[${value.map(flatText).join(", ")}]`;
  const fields = Object.entries(value).map(([key, inner]) => `${JSON.stringify(key)}: ${flatText(inner)}`);
  return fields.length === 0 ? "{}" : `{ ${fields.join(", ")} }`;
}

function spread(value: object, indent: string): string {
  const inner = `${indent}  `;
  if (!Array.isArray(value)) {
    const fields = Object.entries(value).map(([key, one]) => `${inner}${JSON.stringify(key)}: ${layOut(one, inner)}`);
    return `{\n${fields.join(",\n")}\n${indent}}`;
  }
  if (value.every((one) => typeof one === "string")) return `[\n${filled(value, inner)}\n${indent}]`;
  return `[\n${value.map((one) => `${inner}${layOut(one, inner)}`).join(",\n")}\n${indent}]`;
}

/** Words in lines, as many as fit. */
function filled(words: readonly string[], indent: string): string {
  const lines: string[] = [];
  for (const [index, word] of words.entries()) {
    const text = `${JSON.stringify(word)}${index === words.length - 1 ? "" : ","}`;
    const last = lines.at(-1);
    if (last !== undefined && last.length + text.length + 1 <= widest) lines[lines.length - 1] = `${last} ${text}`;
    else lines.push(`${indent}${text}`);
  }
  return lines.join("\n");
}
