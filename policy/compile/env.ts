/** argv and environment of the program, built from nothing, and checked against what execve(2) can take. */
import { BelljarError } from "../errors.ts";
import type { ResolvedPolicy } from "../profile/types.ts";
import { formatSize } from "../units.ts";
import { workPath } from "./paths.ts";
import type { RunRequest } from "./types.ts";

const defaultPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/**
 * NAME=VALUE texts. Later wins: defaults, the profile's, what the profile lets through from the caller, the options'.
 * Values may be empty and may hold "="; a name may not. Throws BelljarError `usage` for a name or value that no environment can hold.
 */
export function compileEnv(policy: ResolvedPolicy, request: RunRequest): readonly string[] {
  const variables = new Map<string, string>([
    ["PATH", defaultPath],
    ["HOME", workPath],
  ]);
  if (request.terminal) variables.set("TERM", "xterm");
  const wanted = policy.process.inheritEnv.flatMap((name) => {
    const value = Object.hasOwn(request.inherited, name) ? request.inherited[name] : undefined;
    return value === undefined ? [] : [[name, value] as const];
  });
  for (const [name, value] of [...Object.entries(policy.process.env), ...wanted, ...request.env]) {
    if (name === "" || /[=\0]/.test(name)) throw usage(`environment variable '${name}': a name must not be empty or hold '=' or NUL`);
    if (value.includes("\0")) throw usage(`environment variable '${name}': a value must not hold NUL`);
    variables.set(name, value);
  }
  return [...variables].map(([name, value]) => `${name}=${value}`);
}

interface ExecTexts {
  readonly argv: readonly string[];
  readonly env: readonly string[];
  readonly pageSize: number;
  /** Limit of the stack in bytes, null = unlimited: execve takes at most a quarter of it. */
  readonly stackBytes: number | null;
}

const largestTotal = 2 * 1024 * 1024;
/** What the kernel grants whatever the stack limit is (ARG_MAX of linux/limits.h). */
const grantedTotal = 128 * 1024;

/**
 * Refuses what execve(2) would answer with E2BIG, before anything is started: one text of 32 pages or more, or more in all
 * than a quarter of the stack limit, and never more than 2 MiB. Throws BelljarError `usage`.
 */
export function checkExecTexts({ argv, env, pageSize, stackBytes }: ExecTexts): void {
  if (argv[0] === undefined || argv[0] === "") throw usage("no command to run");
  const longest = 32 * pageSize;
  let total = 0;
  for (const [what, texts] of [["argument", argv] as const, ["environment variable", env] as const])
    for (const text of texts) {
      const bytes = Buffer.byteLength(text) + 1;
      const shown = what === "argument" ? text.slice(0, 32) : text.slice(0, text.indexOf("="));
      if (text.includes("\0")) throw usage(`${what} '${shown.replaceAll("\0", "\\0")}': must not hold NUL`);
      if (bytes > longest)
        throw usage(`${what} '${shown}': ${formatSize(bytes)}, more than the ${formatSize(longest)} that Linux takes for one`);
      total += bytes + 8; // and a pointer to it
    }
  const largest = stackBytes === null ? largestTotal : Math.min(largestTotal, Math.max(grantedTotal, Math.floor(stackBytes / 4)));
  if (total > largest)
    throw new BelljarError(
      "usage",
      `compiling the plan: arguments and environment: ${formatSize(total)} in all, more than the ${formatSize(largest)} that a program can be given (E2BIG)`,
      { hint: "pass large data through stdin or a file (--stdin, --in)" },
    );
}

function usage(problem: string): BelljarError {
  return new BelljarError("usage", `compiling the plan: ${problem}`);
}
