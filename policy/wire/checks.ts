/** Rules of the wire's texts, shared by the encoder and the decoder; the launcher's checker has the same ones. */

const nulFree = (text: string): boolean => !text.includes("\0");

/** No empty, "." or ".." component, so that one place has one spelling. */
function componentsOk(path: string): boolean {
  return path.split("/").every((part) => part !== "" && part !== "." && part !== "..");
}

/** Absolute and normalised: one leading slash, none doubled or trailing, no "." or "..". */
export function isAbsolutePath(path: string): boolean {
  return nulFree(path) && path.startsWith("/") && (path === "/" || componentsOk(path.slice(1)));
}

/** Relative and normalised: names a place beneath a folder and nothing else. */
export function isRelativePath(path: string): boolean {
  return nulFree(path) && componentsOk(path);
}

const textRules: Readonly<Record<string, { readonly test: (text: string) => boolean; readonly must: string }>> = {
  abs: { test: isAbsolutePath, must: "must be an absolute path without empty, '.' or '..' parts" },
  relative: { test: isRelativePath, must: "must be a relative path without empty, '.' or '..' parts" },
  name: { test: (text) => /^[a-z0-9-]{1,64}$/.test(text), must: "must be 1 to 64 of a-z, 0-9 and '-'" },
  file: { test: (text) => /^(?!\.)[a-z0-9._]{1,64}$/.test(text), must: "must be 1 to 64 of a-z, 0-9, '.' and '_', not starting with '.'" },
};

/** ES2024, in Node since 20; the type library of this project is a year behind. */
type WellFormedText = string & { isWellFormed(): boolean };

/** What is wrong with a text field, or null. */
export function textProblem(check: string | undefined, text: string): string | null {
  if (!nulFree(text)) return "must not contain NUL";
  // A lone surrogate has no UTF-8 form; TextEncoder would silently write another character.
  if (!(text as WellFormedText).isWellFormed()) return "must be well-formed Unicode";
  if (check === undefined) return null;
  const rule = textRules[check];
  if (rule === undefined) return `has an unknown check '${check}'`;
  return rule.test(text) ? null : rule.must;
}

const typeParts = new Map<string, readonly [head: string, argument: string]>();

/** "list:FsEntry" -> ["list", "FsEntry"]; of "array:u32:15" the count is the field's size / 4. Kept, for it is asked a thousand times a plan. */
export function splitType(type: string): readonly [head: string, argument: string] {
  const known = typeParts.get(type);
  if (known !== undefined) return known;
  const [head = "", argument = ""] = type.split(":");
  const parts = [head, argument] as const;
  typeParts.set(type, parts);
  return parts;
}

/** The one `array` field whose elements are an enum in disguise (Mechanism). */
export const mechanismsField = "mechanisms";

/** Bytes of the header before the root record: magic, kind, version, total size, root offset, reserved. */
export const headerBytes = 32;
