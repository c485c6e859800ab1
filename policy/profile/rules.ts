/** Rules for the system call filter as written: actions, conditions, rule sets. Names of calls are the compiler's business. */
import { quoteValue } from "../units.ts";
import type { Holed, Report } from "./check.ts";
import { hostPathProblem } from "./paths.ts";
import { didYouMean } from "./problems.ts";
import type { Profile, SeccompArgSpec } from "./types.ts";

/** Rule sets that `seccomp.extends` may name, or with "#GROUP" one of their groups, which the compiler looks for. */
export const ruleSetNames = ["default", "strict", "none"] as const;

const actionWords = 'must be "allow", "errno:NAME", "errno:NUMBER", "kill", "log" or "trap"';

/** The kernel cuts an errno to 16 bits and then to 4095, and 0 would fake success: only 1 to 4095 mean what they say. */
export function actionProblem(action: string): string | null {
  if (/^(allow|kill|log|trap)$/.test(action)) return null;
  const errno = /^errno:(?:([A-Z][A-Z0-9]*)|(-?\d+))$/.exec(action);
  if (errno === null) return `${actionWords} (got ${quoteValue(action)})`;
  const number = errno[2] === undefined ? 1 : Number(errno[2]);
  if (number >= 1 && number <= 4095) return null;
  return `must have an errno from 1 to 4095${number === 0 ? ": 0 would tell the program that the call succeeded" : ""} (got ${quoteValue(action)})`;
}

/** An argument of a system call: a whole number, or decimal or 0x text up to 2^64-1. Null where it is neither. */
export function readArgument(value: number | string): bigint | null {
  if (typeof value === "number") return Number.isSafeInteger(value) && value >= 0 ? BigInt(value) : null;
  if (!/^(\d{1,20}|0[xX][0-9a-fA-F]{1,16})$/.test(value)) return null;
  const number = BigInt(value);
  return number < 1n << 64n ? number : null;
}

function checkArgument(arg: Holed<SeccompArgSpec>, report: (key: string, message: string) => void): void {
  const limit = arg.width === 32 ? 1n << 32n : 1n << 64n;
  for (const key of ["value", "mask"] as const) {
    const written = arg[key];
    if (written === undefined) continue;
    const number = readArgument(written);
    if (number === null)
      report(key, `must be a whole number from 0, or text such as "0x5412" for one beyond 2^53 (got ${quoteValue(written)})`);
    else if (number >= limit) report(key, `must fit in 32 bits (got ${quoteValue(written)})`);
  }
  if (arg.op === "masked-eq" && arg.mask === undefined) report("mask", 'is needed by "masked-eq"');
  if (arg.op !== undefined && arg.op !== "masked-eq" && arg.mask !== undefined)
    report("mask", `means nothing to "${arg.op}"; use "masked-eq"`);
  if (arg.op === "masked-eq" && arg.value !== undefined && arg.mask !== undefined) {
    const [value, mask] = [readArgument(arg.value), readArgument(arg.mask)];
    if (value !== null && mask !== null && (value & ~mask) !== 0n)
      report("value", "has bits outside the mask: the condition can never hold");
  }
}

export function checkSeccomp(seccomp: NonNullable<Holed<Profile>["seccomp"]>, report: Report): void {
  const sets = typeof seccomp.extends === "string" ? [seccomp.extends] : (seccomp.extends ?? []);
  for (const [index, name] of sets.entries()) {
    if (name === undefined || (ruleSetNames as readonly string[]).includes(name.replace(/#[a-z0-9-]+$/, ""))) continue;
    const at = typeof seccomp.extends === "string" ? [] : [index];
    const known = ruleSetNames.map((set) => `"${set}"`).join(", ");
    report(["seccomp", "extends", ...at], `must be one of ${known} (got ${quoteValue(name)})${didYouMean(name, ruleSetNames)}`);
  }
  if (seccomp.defaultAction !== undefined) report(["seccomp", "defaultAction"], actionProblem(seccomp.defaultAction));
  if (typeof seccomp.file === "string") report(["seccomp", "file"], hostPathProblem(seccomp.file));
  for (const [index, rule] of (seccomp.syscalls ?? []).entries()) {
    if (rule === undefined) continue;
    const at = ["seccomp", "syscalls", index] as const;
    if (rule.action !== undefined) report([...at, "action"], actionProblem(rule.action));
    for (const [position, name] of (rule.names ?? []).entries()) {
      if (name === undefined || /^[a-z0-9_]{1,64}$/.test(name)) continue;
      report([...at, "names", position], `must be the name of a system call such as "ptrace" (got ${quoteValue(name)})`);
    }
    for (const [position, arg] of (rule.args ?? []).entries()) {
      if (arg !== undefined) checkArgument(arg, (key, message) => report([...at, "args", position, key], message));
    }
  }
}
