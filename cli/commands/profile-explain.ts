/** `belljar profile explain`: fields, or what happens to a system call. */
import { BelljarError } from "../../policy/errors.ts";
import { explainProfile } from "../../policy/profile/index.ts";
import type { ResolvedPolicy } from "../../policy/profile/types.ts";
import { factsDocument } from "../output/json.ts";
import { writeStdout } from "../output/streams.ts";
import { table } from "../output/table.ts";
import { quoted } from "../output/terminal.ts";
import { filterInputOf, namingProfile } from "../run/filters.ts";
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
  if (options.syscall !== null) return explainCall(options.syscall, resolved.policy, options);
  const rows = explainProfile(resolved);
  if (options.json) await writeStdout(factsDocument(rows));
  else await writeStdout(table(rows.map(({ path, value, origin, comment }) => [path, value, origin, comment ?? ""])));
  return 0;
}

async function explainCall(
  syscall: string,
  policy: ResolvedPolicy,
  { args, json }: Pick<ExplainOptions, "args" | "json">,
): Promise<number> {
  const { explainSyscall } = await import("../../policy/seccomp/explain.ts");
  const given = givenArguments(args);
  const explained = await namingProfile(policy, () => explainSyscall(filterInputOf(policy, arch), syscall, given));
  const places = await placesOf(explained.map(({ origin }) => origin));
  const entries = explained.map((entry) => ({ ...entry, ...(places.get(entry.origin) ?? nowhere) }));
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

const nowhere: Place = { file: null, path: null, line: null };

/** Origins that are a file and a JSON path in it, and not a rule set and its group. Each file is read once, whatever the number of its rules. */
async function placesOf(origins: readonly string[]): Promise<ReadonlyMap<string, Place>> {
  const { linesOf } = await import("../../policy/profile/json.ts");
  const pathsByFile = new Map<string, Set<string>>();
  for (const origin of origins.filter((one) => one.startsWith("/") && one.includes("#"))) {
    const { file, path } = splitOrigin(origin);
    pathsByFile.set(file, (pathsByFile.get(file) ?? new Set()).add(path));
  }
  const places = [...pathsByFile].flatMap(([file, paths]) => {
    const lines = linesOf(loadProfile(file, null).text, paths);
    return [...paths].map((path) => [`${file}#${path}`, { file, path, line: lines.get(path) ?? null }] as const);
  });
  return new Map(places);
}

function splitOrigin(origin: string): { readonly file: string; readonly path: string } {
  const at = origin.lastIndexOf("#");
  return { file: origin.slice(0, at), path: origin.slice(at + 1) };
}
