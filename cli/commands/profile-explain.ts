/** `belljar profile explain`: fields, or what happens to a system call. */
import { BelljarError } from "../../policy/errors.ts";
import { explainProfile } from "../../policy/profile/index.ts";
import type { SyscallExplanation } from "../../policy/seccomp/explain.ts";
import { factsDocument } from "../output/json.ts";
import { writeStdout } from "../output/streams.ts";
import { table } from "../output/table.ts";
import { quoted } from "../output/terminal.ts";
import { filterInputOf } from "../run/filters.ts";
import { loadProfile } from "../run/profiles.ts";
import { arch, resolveFrom } from "./profile-check.ts";

export interface ExplainOptions {
  readonly syscall: string | null;
  /** `N=VALUE`, as given. */
  readonly args: readonly string[];
  readonly set: readonly string[];
  readonly json: boolean;
}

export async function explain(reference: string, options: ExplainOptions): Promise<number> {
  if (options.syscall === null && options.args.length > 0) throw new BelljarError("usage", "reading options: '--arg': needs --syscall");
  const resolved = resolveFrom(reference, options.set);
  if (options.syscall !== null) return explainCall(options.syscall, filterInputOf(resolved.policy, arch), options);
  const rows = explainProfile(resolved);
  if (options.json) await writeStdout(factsDocument(rows));
  else await writeStdout(table(rows.map(({ path, value, origin, comment }) => [path, value, origin, comment ?? ""])));
  return 0;
}

async function explainCall(
  syscall: string,
  input: ReturnType<typeof filterInputOf>,
  { args, json }: Pick<ExplainOptions, "args" | "json">,
): Promise<number> {
  const { explainSyscall } = await import("../../policy/seccomp/explain.ts");
  const { lineOf } = await import("../../policy/profile/json.ts");
  const entries = explainSyscall(input, syscall, givenArguments(args)).map((entry) => ({ ...entry, ...placeOf(entry, lineOf) }));
  if (json) {
    await writeStdout(factsDocument(entries));
    return 0;
  }
  const words = (conditions: readonly string[]) => (conditions.length === 0 ? "always" : `if ${conditions.join(" and ")}`);
  const place = ({ file, line, path, origin }: (typeof entries)[number]) => (line === null ? origin : `${file}:${line} ${path}`);
  await writeStdout(table(entries.map((entry) => [entry.action, words(entry.conditions), place(entry), entry.comment ?? ""])));
  return 0;
}

/** `0=16`, `1=0x5412`, `0=-1`; registers have 64 bits. */
function givenArguments(args: readonly string[]): ReadonlyMap<number, bigint> {
  const given = new Map<number, bigint>();
  for (const text of args) {
    const [, index, value] = /^([0-5])=(-?\d{1,20}|0[xX][0-9a-fA-F]{1,16})$/.exec(text) ?? [];
    const number = value === undefined ? null : BigInt(value);
    if (index === undefined || number === null || number >= 1n << 64n || number < -(1n << 63n))
      throw new BelljarError("usage", `reading options: '--arg': ${quoted(text)}: is no argument and its value`, {
        hint: "arguments count from 0, values have 64 bits: --arg 0=16 --arg 1=0x5412",
      });
    if (given.has(Number(index))) throw new BelljarError("usage", `reading options: '--arg': argument ${index} is given twice`);
    given.set(Number(index), BigInt.asUintN(64, number));
  }
  return given;
}

interface Place {
  readonly file: string | null;
  /** JSON path in that file. */
  readonly path: string | null;
  /** From 1; null where the rule is in no file of the user's. */
  readonly line: number | null;
}

/** An origin is a file and a JSON path in it, or names a rule set and its group. */
function placeOf({ origin }: SyscallExplanation, lineOf: (text: string, path: string) => number | null): Place {
  const split = origin.lastIndexOf("#");
  if (!origin.startsWith("/") || split < 0) return { file: null, path: null, line: null };
  const [file, path] = [origin.slice(0, split), origin.slice(split + 1)];
  return { file, path, line: lineOf(loadProfile(file, null).text, path) };
}
