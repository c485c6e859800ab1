/** How values are written on a command line; `overrides.ts` puts them into a profile. */
import { BelljarError } from "../errors.ts";
import { quoteValue } from "../units.ts";
import { readJson } from "./json.ts";
import { limitKinds } from "./limits.ts";
import { parsePath } from "./path.ts";
import { formatProblem } from "./problems.ts";
import { limitNames } from "./types.ts";

/** Fields whose value is always text, however much it looks like a number. */
const textFields =
  /^(process\.(env[.[].*|umask|workdir|hostname)|comments[.[].*|rootfs\.(path|reference)|mounts\[\d+\]\.(mode|source|target))$/;
const usage = (message: string): BelljarError => new BelljarError("usage", message);

/**
 * Refuses a duration without a unit on a command line: whoever writes 5 there means seconds as often as milliseconds. In a
 * profile a number is in milliseconds, as documented. Throws BelljarError "usage" that names `option`.
 */
export function refuseBareDuration(path: string, written: string, option: string): void {
  const limit = limitNames.find((name) => path === `limits.${name}`);
  const number = /^\s*"?\s*(\d+(?:\.\d+)?)\s*"?\s*$/.exec(written)?.[1];
  const isDuration = path === "process.stopTimeout" || (limit !== undefined && limitKinds[limit].unit === "duration");
  if (!isDuration || number === undefined || Number(number) === 0) return;
  throw new BelljarError("usage", `${option}: ${path}: must have a unit (got ${quoteValue(written)})`, {
    hint: `${number}s for seconds or ${number}ms for milliseconds`,
  });
}

/**
 * "PATH=VALUE" of `--set`. VALUE is JSON where it parses as JSON, else text. Throws BelljarError "usage".
 */
export function parseSet(text: string): { readonly path: string; readonly value: unknown } {
  const equals = text.indexOf("=");
  const path = equals === -1 ? text : text.slice(0, equals);
  const example = "such as limits.memory=1G";
  if (equals === -1) throw usage(`--set ${quoteValue(text)}: must be PATH=VALUE ${example}`);
  const segments = parsePath(path);
  if (segments === null) throw usage(`--set ${quoteValue(path)}: is not a path ${example} or mounts[+]={…}`);
  const written = text.slice(equals + 1);
  // However the path is spelt: limits["wallTime"] too.
  refuseBareDuration(segments.join("."), written, "--set");
  if (textFields.test(path)) return { path, value: written };
  const json = readJson(written);
  if (!json.ok) {
    // Text that sets out to be a list or an object and fails is a slip, not a string.
    if (/^\s*[[{"]/.test(written)) throw usage(`--set ${path}: ${json.problems.map(formatProblem).join("; ")}`);
    return { path, value: written };
  }
  const [problem] = json.problems;
  if (problem !== undefined) throw usage(`--set ${path}: ${formatProblem(problem)}`);
  return { path, value: json.value };
}
