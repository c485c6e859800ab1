/** JSON paths as people read and write them: `limits.memory`, `mounts[0].target`, `process.env["odd name"]`, `mounts[+]`. */
import { quoteValue } from "../units.ts";

export type PathSegment = string | number;
/** `append` stands for `[+]`: one element behind the last. */
export type SetSegment = PathSegment | { readonly append: true };

const plainKey = /^[A-Za-z_$][A-Za-z0-9_$-]*$/;

export function formatPath(segments: readonly PathSegment[]): string {
  return segments
    .map((segment, index) => {
      if (typeof segment === "number") return `[${segment}]`;
      if (!plainKey.test(segment)) return `[${quoteValue(segment)}]`;
      return index === 0 ? segment : `.${segment}`;
    })
    .join("");
}

const pathToken = /(?:^|\.)([A-Za-z_$][A-Za-z0-9_$-]*)|\[(\d{1,6})\]|\["((?:[^"\\]|\\.)*)"\]|\[(\+)\]/y;

/** The segments of a path, or null where it is malformed. */
export function parsePath(text: string): readonly SetSegment[] | null {
  if (text.startsWith(".")) return null;
  const segments: SetSegment[] = [];
  pathToken.lastIndex = 0;
  while (pathToken.lastIndex < text.length) {
    const match = pathToken.exec(text);
    if (match === null) return null;
    const [, key, index, quoted, append] = match;
    if (key !== undefined) segments.push(key);
    else if (index !== undefined) segments.push(Number(index));
    else if (append !== undefined) segments.push({ append: true });
    else {
      try {
        segments.push(JSON.parse(`"${quoted}"`) as string);
      } catch {
        return null;
      }
    }
  }
  return segments.length === 0 || typeof segments[0] !== "string" ? null : segments;
}

/** `a.b` covers `a.b`, `a.b.c` and `a.b[0]`, but not `a.bc`. */
export function coversPath(outer: string, inner: string): boolean {
  return inner === outer || inner.startsWith(`${outer}.`) || inner.startsWith(`${outer}[`);
}
