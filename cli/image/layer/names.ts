import type { LayerLimits } from "./limits.ts";
import { LayerProblem, shownPath } from "./problem.ts";

/** What a name in an archive asks for (image specification, "Layer Filesystem Changeset", Whiteouts). Paths are relative to the root, clean. */
export type Named =
  | { readonly kind: "entry"; readonly path: string }
  /** Hides `path` of the layers below. */
  | { readonly kind: "whiteout"; readonly path: string }
  /** Hides everything that the layers below have in the directory `path`. */
  | { readonly kind: "opaque"; readonly path: string }
  /** What AUFS keeps for itself. */
  | { readonly kind: "ignored" };

export type NameLimits = Pick<LayerLimits, "maxPathBytes" | "maxDepth">;

/** NAME_MAX of Linux's file systems. */
const maxNameBytes = 255;
const prefix = ".wh.";
const metaPrefix = ".wh..wh.";
const opaqueName = ".wh..wh..opq";

/**
 * A path without empty, "." and ".." components, as if the root were the root of the file system: "../x" and "/x" are "x". Which
 * links lie on the way is for the kernel to see, when the path is walked.
 */
export function cleanPath(unsafePath: string, limits: NameLimits): readonly string[] {
  if (unsafePath.includes("\0")) throw new LayerProblem(`${shownPath(unsafePath)}: a name with a NUL byte`);
  if (unsafePath.length > limits.maxPathBytes)
    throw new LayerProblem(`${shownPath(`${unsafePath.slice(0, 64)}…`)}: a path of more than ${limits.maxPathBytes} bytes`);
  const parts: string[] = [];
  for (const part of unsafePath.split("/")) {
    if (part === "" || part === ".") continue;
    if (part.length > maxNameBytes)
      throw new LayerProblem(`${shownPath(`${part.slice(0, 64)}…`)}: a name of more than ${maxNameBytes} bytes`);
    if (part === "..") parts.pop();
    else parts.push(part);
  }
  if (parts.length > limits.maxDepth)
    throw new LayerProblem(`${shownPath(`${unsafePath.slice(0, 64)}…`)}: a path of more than ${limits.maxDepth} components`);
  return parts;
}

/** Reads the name of an entry. Throws LayerProblem for one that no layer may have. */
export function readName(unsafePath: string, limits: NameLimits): Named {
  const parts = cleanPath(unsafePath, limits);
  const name = parts.at(-1);
  if (!unsafePath.includes(prefix) || name === undefined) return { kind: "entry", path: parts.join("/") };
  if (parts.some((part) => part.startsWith(metaPrefix) && part !== opaqueName)) return { kind: "ignored" };
  const above = parts.slice(0, -1);
  if (above.some((part) => part.startsWith(prefix))) throw new LayerProblem(`${shownPath(unsafePath)}: something inside a whiteout`);
  if (name === opaqueName) return { kind: "opaque", path: above.join("/") };
  if (!name.startsWith(prefix)) return { kind: "entry", path: parts.join("/") };
  const target = name.slice(prefix.length);
  if (target === "" || target === "." || target === "..") throw new LayerProblem(`${shownPath(unsafePath)}: a whiteout of no name`);
  return { kind: "whiteout", path: [...above, target].join("/") };
}
