/** The words that a rule uses for what happens to a call, and what the kernel calls them (linux/seccomp.h). */
import { BelljarError } from "../errors.ts";
import { errnoName, errnoNumbers, largestErrno } from "./errno.ts";

/** A filter's return value: the action in the upper half, its data in the lower. */
export type ReturnValue = number;

export const returnValues = {
  killProcess: 0x80000000,
  killThread: 0x00000000,
  trap: 0x00030000,
  errno: 0x00050000,
  notify: 0x7fc00000,
  trace: 0x7ff00000,
  log: 0x7ffc0000,
  allow: 0x7fff0000,
} as const satisfies Readonly<Record<string, ReturnValue>>;

export type ActionName = "allow" | "errno" | "kill_process" | "kill_thread" | "trap" | "log" | "notify" | "trace";

const namesByValue: ReadonlyMap<number, ActionName> = new Map([
  [returnValues.killProcess, "kill_process"],
  [returnValues.killThread, "kill_thread"],
  [returnValues.trap, "trap"],
  [returnValues.errno, "errno"],
  [returnValues.notify, "notify"],
  [returnValues.trace, "trace"],
  [returnValues.log, "log"],
  [returnValues.allow, "allow"],
]);

export function errnoReturn(number: number): ReturnValue {
  return returnValues.errno + number;
}

/** Takes a return value apart as the kernel does: an unknown action counts as kill_process (kernel/seccomp.c, since 4.14). */
export function splitReturnValue(value: ReturnValue): { readonly action: ActionName; readonly data: number } {
  const action = namesByValue.get((value & 0xffff0000) >>> 0) ?? "kill_process";
  return { action, data: value & 0xffff };
}

/** From strictest to mildest, as the kernel ranks what several filters answer (linux/seccomp.h). */
const precedence: readonly ActionName[] = ["kill_process", "kill_thread", "trap", "errno", "notify", "trace", "log", "allow"];

/** 0 for the strictest. */
export function actionRank(value: ReturnValue): number {
  return precedence.indexOf(splitReturnValue(value).action);
}

export function isStricter(a: ActionName, than: ActionName): boolean {
  return precedence.indexOf(a) < precedence.indexOf(than);
}

/**
 * Parses `allow`, `kill` (the whole process), `log`, `trap` and `errno:NAME` or `errno:NUMBER`; and two that the schema of
 * profiles does not know: `pretend`, which says success without doing anything (the base rule set), and `kill-thread` (files in
 * Docker's format).
 * @param where JSON path for the message.
 * @throws BelljarError profile-invalid
 */
export function parseAction(text: string, where: string): ReturnValue {
  switch (text) {
    case "allow":
      return returnValues.allow;
    case "kill":
      return returnValues.killProcess;
    case "kill-thread":
      return returnValues.killThread;
    case "log":
      return returnValues.log;
    case "trap":
      return returnValues.trap;
    case "pretend":
      return errnoReturn(0);
    default:
      return errnoReturn(parseErrno(text, where));
  }
}

function parseErrno(text: string, where: string): number {
  if (!text.startsWith("errno:")) {
    const isErrno = Object.hasOwn(errnoNumbers, text);
    throw new BelljarError("profile-invalid", `${where}: '${text}': no such action`, {
      hint: isErrno ? `write errno:${text}` : "actions are allow, errno:NAME, errno:NUMBER, kill, log and trap",
    });
  }
  const word = text.slice("errno:".length);
  if (Object.hasOwn(errnoNumbers, word)) return errnoNumbers[word as keyof typeof errnoNumbers];
  if (!/^-?\d+$/.test(word)) throw new BelljarError("profile-invalid", `${where}: '${text}': no errno of that name`);
  const number = Number(word);
  if (number === 0) {
    throw new BelljarError("profile-invalid", `${where}: '${text}': errno 0 would tell the program that a call succeeded which never ran`);
  }
  if (number < 1 || number > largestErrno) {
    throw new BelljarError("profile-invalid", `${where}: '${text}': an errno lies between 1 and ${largestErrno}`);
  }
  return number;
}

/** The profile's word for a return value: the inverse of parseAction. */
export function formatAction(value: ReturnValue): string {
  return formatAnswer(splitReturnValue(value));
}

/** The same of one that was taken apart. */
export function formatAnswer({ action, data }: { readonly action: ActionName; readonly data: number }): string {
  switch (action) {
    case "errno":
      return data === 0 ? "pretend" : `errno:${errnoName(data) ?? data}`;
    case "kill_process":
      return "kill";
    case "kill_thread":
      return "kill-thread";
    case "allow":
    case "log":
    case "trap":
    case "notify":
    case "trace":
      return action;
  }
}
