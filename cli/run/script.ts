import { closeSync, constants, fstatSync, openSync, readSync } from "node:fs";
import { basename, extname, isAbsolute } from "node:path";
import { BelljarError } from "../../policy/errors.ts";
import { quoted } from "../output/terminal.ts";

/** How a host file is started: the words before its path in the sandbox; none: the file itself. */
export interface ScriptKind {
  readonly interpreter: readonly string[];
  readonly from: "shebang" | "format" | "extension";
}

/** The kernel reads this much of a `#!` line (BINPRM_BUF_SIZE, 256 since Linux 5.1). */
const shebangBytes = 256;

/** Looked up by PATH in the sandbox, where the host's own PATH means nothing. */
export const interpreters: Readonly<Record<string, string>> = {
  ".py": "python3",
  ".js": "node",
  ".mjs": "node",
  ".sh": "sh",
  ".rb": "ruby",
  ".pl": "perl",
  ".lua": "lua",
};

const starting = "starting";

function refuse(path: string, reason: string, hint?: string): BelljarError {
  return new BelljarError("start-failed", `${starting}: ${quoted(path)}: ${reason}`, { hint });
}

/**
 * Parses a `#!` line as the kernel does (fs/binfmt_script.c): the interpreter, then all the rest as one argument.
 * Throws BelljarError `start-failed` for CRLF line ends, a line without interpreter or one that the kernel would cut.
 */
export function parseShebang(head: Uint8Array, path: string): readonly string[] {
  const text = Buffer.from(head).toString("utf8");
  const end = text.indexOf("\n");
  if (end === -1 && head.length >= shebangBytes) {
    throw refuse(path, `its #! line is longer than the ${shebangBytes} bytes that the kernel reads`);
  }
  const line = end === -1 ? text : text.slice(0, end);
  if (line.endsWith("\r")) {
    throw refuse(
      path,
      "its #! line ends in CRLF, so the kernel would look for an interpreter whose name ends in a carriage return",
      `sed -i 's/\\r$//' ${path}`,
    );
  }
  const [, interpreter, argument] = /^#![ \t]*([^ \t]*)[ \t]*(.*?)[ \t]*$/s.exec(line) ?? [];
  if (!interpreter) throw refuse(path, "its #! line names no interpreter");
  return argument ? [interpreter, argument] : [interpreter];
}

/** `env NAME` searches PATH, as we do anyway: without it in between, a missing interpreter is told apart from a program's own 127. */
function withoutEnv(words: readonly string[]): readonly string[] {
  const [interpreter, name = ""] = words;
  return interpreter === "/usr/bin/env" && /^[A-Za-z0-9_.+][A-Za-z0-9_.+-]*$/.test(name) ? [name] : words;
}

/** How to start a file of that name and first bytes. Throws BelljarError `start-failed` when there is no way to tell. */
export function scriptKind(path: string, head: Uint8Array): ScriptKind {
  if (head[0] === 0x23 && head[1] === 0x21) return { interpreter: withoutEnv(parseShebang(head, path)), from: "shebang" };
  if (Buffer.from(head.subarray(0, 4)).equals(Buffer.from("\u007fELF", "latin1"))) return { interpreter: [], from: "format" };
  const byExtension = interpreters[extname(path).toLowerCase()];
  if (byExtension !== undefined) return { interpreter: [byExtension], from: "extension" };
  const reason =
    head.length === 0
      ? "it is empty"
      : `it has no #! line, is no ELF program and has none of the endings ${Object.keys(interpreters).join(" ")}`;
  throw refuse(
    path,
    `cannot tell how to run it: ${reason}`,
    "begin it with a line such as #!/bin/sh, or name the interpreter: belljar run --in FILE -- sh FILE",
  );
}

/**
 * Reads the beginning of a host file that is to be run. null when there is no such file (the word is then a path in the
 * sandbox). Throws BelljarError `start-failed` for a folder, something that is no regular file, and one that cannot be read.
 */
export function readScriptHead(path: string): Uint8Array | null {
  let descriptor: number;
  try {
    // Non-blocking: opening a fifo must not wait for a writer.
    descriptor = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === "ENOENT" || code === "ENOTDIR") return null;
    throw refuse(path, code === "EACCES" ? "permission denied" : String(code));
  }
  try {
    const status = fstatSync(descriptor);
    if (status.isDirectory()) throw refuse(path, "is a directory");
    if (!status.isFile()) throw refuse(path, "is no regular file");
    const head = new Uint8Array(shebangBytes);
    return head.subarray(0, readSync(descriptor, head, 0, shebangBytes, 0));
  } finally {
    closeSync(descriptor);
  }
}

/** A relative path with a slash may name a host file; an absolute path is always one in the sandbox, a bare word is searched in PATH. */
export function mayNameHostFile(word: string): boolean {
  return !isAbsolute(word) && word.includes("/");
}

/** The name under which a script appears in the work folder. */
export function scriptName(path: string): string {
  return basename(path);
}
