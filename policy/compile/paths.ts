import { BelljarError, type ErrorCode } from "../errors.ts";
import { isAbsolutePath } from "../wire/checks.ts";

/** The private writable folder: working directory, home, and where files are copied into and out of. */
export const workPath = "/work";

/** True where `path` is `folder` or lies beneath it. */
export function isWithin(path: string, folder: string): boolean {
  return path === folder || folder === "/" || path.startsWith(`${folder}/`);
}

interface PathUse {
  readonly what: string;
  readonly code: ErrorCode;
}

/** A sandbox path without doubled or trailing slashes and without "." parts. Throws where it is relative or has "..". */
export function sandboxPath(path: string, { what, code }: PathUse): string {
  const parts = path.split("/").filter((part) => part !== "" && part !== ".");
  const normal = `/${parts.join("/")}`;
  if (!path.startsWith("/") || !isAbsolutePath(normal))
    throw new BelljarError(code, `compiling the plan: ${what} '${path}': must be an absolute path without '..'`);
  return normal;
}
