import type { Arch } from "../../policy/compile/types.ts";
import { BelljarError } from "../../policy/errors.ts";
import { builtinProfiles, parseProfile, parseSet, type ResolveResult, resolveProfile } from "../../policy/profile/index.ts";
import { warningText } from "../output/human.ts";
import { factsDocument } from "../output/json.ts";
import { writeStderr, writeStdout } from "../output/streams.ts";
import { table } from "../output/table.ts";
import { printable, printableLines, quoted } from "../output/terminal.ts";
import { filterInputOf } from "../run/filters.ts";
import { loadProfile, namesFile, userProfileNames, userProfilePath } from "../run/profiles.ts";

export const arch: Arch = process.arch === "arm64" ? "aarch64" : "x86_64";

export const overridesFrom = (set: readonly string[]) => set.map((text) => ({ ...parseSet(text), origin: `option --set ${text}` }));

/** A profile by name or file with the values of `--set` over it. Throws BelljarError. */
export const resolveFrom = (reference: string, set: readonly string[] = []): ResolveResult =>
  resolveProfile(reference, { load: loadProfile, overrides: overridesFrom(set) });

/** A user's profile of a built-in name can only be reached as a file: the name means the built-in one. null where there is none. */
function shadowed(name: string): string | null {
  if (!Object.hasOwn(builtinProfiles, name) || !userProfileNames().includes(name)) return null;
  const path = userProfilePath(name);
  return `${quoted(name)} is the built-in profile; your own of that name is only used as a file: ${quoted(path)}`;
}

interface Listed {
  readonly name: string;
  readonly kind: "built-in" | "user" | "shadowed";
  readonly description: string | null;
  readonly error: string | null;
}

function listed(name: string, kind: Listed["kind"]): Listed {
  try {
    const { file, text } = loadProfile(kind === "shadowed" ? userProfilePath(name) : name, null);
    return { name, kind, description: parseProfile(text, file).description ?? "", error: null };
  } catch (error) {
    return { name, kind, description: null, error: (error as Error).message };
  }
}

/** `belljar profile ls`. */
export async function list(json: boolean): Promise<number> {
  const builtin = Object.keys(builtinProfiles);
  const own = userProfileNames();
  const rows = [
    ...builtin.map((name) => listed(name, "built-in")),
    ...own.map((name) => listed(name, builtin.includes(name) ? "shadowed" : "user")),
  ];
  // A list has one line for each; `profile check` tells all.
  const firstLine = (text: string) => text.split("\n")[0] ?? "";
  if (json) await writeStdout(factsDocument(rows));
  else await writeStdout(table(rows.map(({ name, kind, description, error }) => [name, kind, firstLine(error ?? description ?? "")])));
  for (const name of own) {
    const warning = shadowed(name);
    if (warning !== null) writeStderr(warningText(warning));
  }
  return 0;
}

interface Checked {
  readonly reference: string;
  readonly ok: boolean;
  readonly digest: string | null;
  readonly warnings: readonly string[];
  readonly error: { readonly code: string; readonly message: string; readonly hint: string | null } | null;
}

/** As far as a run goes without a host: fields, contradictions, and the filter. */
async function checkOne(reference: string): Promise<Checked> {
  try {
    const { policy, warnings, digest } = resolveFrom(reference);
    const { compileFilter } = await import("../../policy/seccomp/compile.ts");
    const filter = compileFilter(filterInputOf(policy, arch));
    const shadow = namesFile(reference) ? null : shadowed(reference);
    return { reference, ok: true, digest, warnings: [...(shadow === null ? [] : [shadow]), ...warnings, ...filter.warnings], error: null };
  } catch (error) {
    if (!(error instanceof BelljarError)) throw error;
    return { reference, ok: false, digest: null, warnings: [], error: { code: error.code, message: error.message, hint: error.hint } };
  }
}

function checkedText({ reference, warnings, error }: Checked): string {
  const name = printable(reference);
  const lines = [
    `${name}: ${error === null ? "ok" : printableLines(error.message)}`,
    ...warnings.map((warning) => `${name}: warning: ${printable(warning)}`),
    ...(error?.hint ? [`${name}: hint: ${printable(error.hint)}`] : []),
  ];
  return `${lines.join("\n")}\n`;
}

/** `belljar profile check`: returns 1 when one is invalid. */
export async function check(references: readonly string[], json: boolean): Promise<number> {
  const rows: Checked[] = [];
  for (const reference of references) rows.push(await checkOne(reference));
  await writeStdout(json ? factsDocument(rows) : rows.map(checkedText).join(""));
  return rows.every(({ ok }) => ok) ? 0 : 1;
}
