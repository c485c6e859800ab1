import { isUtf8 } from "node:buffer";
import { readFileSync } from "node:fs";
import { BelljarError } from "../../policy/errors.ts";
import { quoted } from "../output/terminal.ts";

/**
 * Node turns bytes that are not UTF-8 into U+FFFD, so that a file name or an argument silently becomes another one. The bytes
 * themselves are looked at only where that character has come up.
 */
const replacement = "\ufffd";

const split = (file: Buffer): readonly Buffer[] => {
  const texts: Buffer[] = [];
  for (let start = 0; start < file.length; ) {
    const end = file.indexOf(0, start);
    texts.push(file.subarray(start, end === -1 ? file.length : end));
    start = end === -1 ? file.length : end + 1;
  }
  return texts;
};

/** The text with each byte beyond ASCII as `\xNN`. */
const spelled = (bytes: Buffer): string =>
  bytes.toString("latin1").replace(/[\u0080-\u00ff]/g, (c) => `\\x${c.charCodeAt(0).toString(16)}`);

/** The first that is no UTF-8, for people; null when all are. `file` as in /proc/PID/cmdline (proc_pid_cmdline(5)). */
export function firstInvalid(file: Buffer): string | null {
  const bytes = split(file).find((text) => !isUtf8(text));
  return bytes === undefined ? null : spelled(bytes);
}

/** Throws BelljarError `usage` for an argument of the command line that is not UTF-8. */
export function checkArgumentBytes(args: readonly string[]): void {
  if (!args.some((word) => word.includes(replacement))) return;
  const invalid = firstInvalid(readFileSync("/proc/self/cmdline"));
  if (invalid === null) return;
  throw new BelljarError("usage", `reading options: ${quoted(invalid)}: is not valid UTF-8`, {
    hint: "only text in UTF-8 can be passed on; rename a file that has such a name",
  });
}

/** Throws BelljarError `usage` where the value of this variable of ours is not UTF-8, or cannot be told from one that is not. */
export function checkVariableBytes(name: string, value: string): void {
  if (!value.includes(replacement)) return;
  const wanted = Buffer.from(`${name}=`);
  try {
    const found = split(readFileSync("/proc/self/environ")).find((text) => text.subarray(0, wanted.length).equals(wanted));
    if (found !== undefined && isUtf8(found)) return;
  } catch {
    // After a change of the user the file is root's.
  }
  throw new BelljarError("usage", `reading the environment: ${quoted(name)}: its value is not valid UTF-8`, {
    hint: "only text in UTF-8 can be passed on",
  });
}
