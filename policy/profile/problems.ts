/** Mistakes in a profile: collected, then told together. */
import { BelljarError } from "../errors.ts";

export interface Problem {
  /** JSON path; "" for the file as a whole. */
  readonly path: string;
  readonly message: string;
}

const maxListed = 20;

/** One problem a path, the first: a key that is both unknown and given twice is told once. */
export function firstByPath(problems: readonly Problem[]): readonly Problem[] {
  const byPath = new Map<string, Problem>();
  for (const problem of problems) if (!byPath.has(problem.path)) byPath.set(problem.path, problem);
  return [...byPath.values()];
}

/** "limits.memory: must be …", or the message alone where it is about the whole file. */
export function formatProblem({ path, message }: Problem): string {
  return path === "" ? message : `${path}: ${message}`;
}

/** "profile 'judge.json'", or the option that set the value ("--memory"). */
export function formatOrigin(origin: string): string {
  return origin.startsWith("option ") ? origin.slice("option ".length) : `profile '${origin}'`;
}

/** An option that sets one thing needs no path of it: `--volume /a:b: must be …`. */
function formatFor(origin: string): (problem: Problem) => string {
  return origin.startsWith("option --volume ") ? ({ message }) => message : formatProblem;
}

/**
 * The error for these problems: one line with the first and their number, then the others, one a line. Its cause carries
 * the list. Code "usage" where an option is to blame, else "profile-invalid".
 */
export function profileError(origin: string, problems: readonly Problem[]): BelljarError {
  const format = formatFor(origin);
  const [first = { path: "", message: "is invalid" }] = problems;
  let message = `${formatOrigin(origin)}: ${format(first)}`;
  if (problems.length > 1) {
    message += ` (the first of ${problems.length} problems)`;
    for (const problem of problems.slice(1, maxListed)) message += `\n  ${format(problem)}`;
    if (problems.length > maxListed) message += `\n  and ${problems.length - maxListed} more`;
  }
  const code = origin.startsWith("option ") ? "usage" : "profile-invalid";
  return new BelljarError(code, message, { cause: { origin, problems } });
}

/** The problems that an error of {@link profileError} carries; none for any other. */
export function problemsOf(error: unknown): readonly Problem[] {
  const cause = error instanceof BelljarError ? error.cause : undefined;
  return typeof cause === "object" && cause !== null && "problems" in cause ? (cause as { problems: readonly Problem[] }).problems : [];
}

/** Edit distance with swaps of neighbours (optimal string alignment). */
function distance(a: string, b: string): number {
  const rows = Array.from({ length: a.length + 1 }, (_, i) =>
    Array.from({ length: b.length + 1 }, (_, j) => (i === 0 ? j : j === 0 ? i : 0)),
  );
  const at = (i: number, j: number): number => rows[i]?.[j] ?? 0;
  for (let i = 1; i <= a.length; i += 1) {
    for (let j = 1; j <= b.length; j += 1) {
      let best = Math.min(at(i - 1, j) + 1, at(i, j - 1) + 1, at(i - 1, j - 1) + (a[i - 1] === b[j - 1] ? 0 : 1));
      if (i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1]) best = Math.min(best, at(i - 2, j - 2) + 1);
      (rows[i] as number[])[j] = best;
    }
  }
  return at(a.length, b.length);
}

/** The known name that was probably meant, or null. Compares without case, hyphens and underscores, so "cpu-time" finds cpuTime. */
export function nearestName(name: string, known: readonly string[]): string | null {
  if (name.length > 64) return null;
  const plain = (text: string): string => text.toLowerCase().replace(/[-_ ]/g, "");
  // "NET_RAW" for CAP_NET_RAW: the whole name behind a prefix, of one candidate only.
  const tails = name.length < 4 ? [] : known.filter((candidate) => plain(candidate).endsWith(plain(name)));
  if (tails.length === 1) return tails[0] ?? null;
  let best: string | null = null;
  let bestDistance = Number.POSITIVE_INFINITY;
  for (const candidate of known) {
    const d = distance(plain(name), plain(candidate));
    if (d < bestDistance) [best, bestDistance] = [candidate, d];
  }
  return bestDistance <= Math.max(1, Math.floor(name.length / 3)) ? best : null;
}

/** ` (did you mean "memory"?)` or "". */
export function didYouMean(name: string, known: readonly string[]): string {
  const nearest = nearestName(name, known);
  return nearest === null ? "" : ` (did you mean "${nearest}"?)`;
}
