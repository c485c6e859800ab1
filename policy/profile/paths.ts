/** Rules for paths and names in a profile. Each returns what is wrong, or null. */
import { posix } from "node:path";
import { quoteValue } from "../units.ts";

// biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what it looks for
const control = /[\u0000-\u001f\u007f]/;
/** Places that belljar itself provides; only `mask` and `read-only` may stand beneath them. */
const reserved = ["/proc", "/sys", "/dev"];
const maxPathBytes = 4095; // PATH_MAX without its NUL
const maxNameBytes = 255; // NAME_MAX

export function sandboxPathProblem(path: string): string | null {
  const got = `(got ${quoteValue(path)})`;
  if (!path.startsWith("/")) return `must be an absolute path in the sandbox ${got}`;
  if (control.test(path)) return `must not hold control characters ${got}`;
  if (path.split("/").includes("..")) return `must not hold ".." ${got}`;
  const normal = posix.normalize(path);
  const plain = normal === "/" ? normal : normal.replace(/\/$/, "");
  if (plain !== path) return `must be written plainly: ${quoteValue(plain)} ${got}`;
  if (Buffer.byteLength(path) > maxPathBytes) return `must be at most ${maxPathBytes} bytes long`;
  if (path.split("/").some((name) => Buffer.byteLength(name) > maxNameBytes)) return `must have names of at most ${maxNameBytes} bytes`;
  return null;
}

export function mountTargetProblem(path: string, kind: string): string | null {
  const problem = sandboxPathProblem(path);
  if (problem !== null) return problem;
  if (path === "/") return 'must not be "/" (the rootfs is set by "rootfs")';
  const place = reserved.find((name) => path === name || path.startsWith(`${name}/`));
  const covers = kind === "mask" || kind === "read-only";
  if (place !== undefined && (!covers || path === place))
    return `must not be in ${place}, which belljar provides (got ${quoteValue(path)})`;
  return null;
}

export function hostPathProblem(path: string): string | null {
  if (path === "") return "must not be empty";
  if (control.test(path)) return `must not hold control characters (got ${quoteValue(path)})`;
  if (path === "~" || path.startsWith("~/")) return `must be written out: "~" is not expanded (got ${quoteValue(path)})`;
  if (Buffer.byteLength(path) > maxPathBytes) return `must be at most ${maxPathBytes} bytes long`;
  return null;
}

export function envNameProblem(name: string): string | null {
  if (name === "") return "the name of a variable must not be empty";
  if (name.includes("=")) return `the name of a variable must not hold "=" (got ${quoteValue(name)})`;
  return control.test(name) ? `the name of a variable must not hold control characters (got ${quoteValue(name)})` : null;
}

export function hostnameProblem(name: string): string | null {
  const label = /^[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?$/;
  if (name.length >= 1 && name.length <= 64 && name.split(".").every((part) => label.test(part))) return null;
  return `must be 1 to 64 letters, digits, hyphens and dots, such as "belljar" (got ${quoteValue(name)})`;
}

export function profileNameProblem(name: string): string | null {
  if (/^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/.test(name)) return null;
  return `must be 1 to 64 letters, digits, ".", "_" and "-", such as "judge" (got ${quoteValue(name)})`;
}
