import { closeSync, constants, fstatSync, ftruncateSync, openSync } from "node:fs";
import type { Stream } from "node:stream";
import { BelljarError } from "../../policy/errors.ts";
import { fileError } from "./files.ts";

/** For each of 0, 1 and 2: the caller's own, a pipe to us, an open file, or our end of another launcher's pipe. */
export type StreamTarget = "inherit" | "pipe" | "ignore" | number | Stream;

export interface Streams {
  readonly targets: readonly [StreamTarget, StreamTarget, StreamTarget];
  /** Closes our copies of the files; the launcher has its own. */
  readonly close: () => void;
}

export interface StreamFiles {
  readonly stdin: string | null;
  readonly stdout: string | null;
  readonly stderr: string | null;
}

function openInput(path: string): number {
  let descriptor: number;
  try {
    // As in a shell, a fifo waits for its writer.
    descriptor = openSync(path, constants.O_RDONLY | constants.O_NOCTTY);
  } catch (error) {
    throw fileError("file-unreadable", "opening stdin", path, error);
  }
  if (!fstatSync(descriptor).isDirectory()) return descriptor;
  closeSync(descriptor);
  throw fileError("file-unreadable", "opening stdin", path, "is a directory");
}

/** What was in a regular file goes only now, when nothing can be refused any more. */
function truncate(descriptor: number): void {
  if (fstatSync(descriptor).isFile()) ftruncateSync(descriptor);
}

/**
 * Opens the files of --stdin, --stdout and --stderr as a shell would. The launcher gets these descriptors, the program
 * never does. One file for both outputs is opened once, so that neither overwrites the other.
 * Throws BelljarError `file-unreadable`, `file-unwritable`, and `usage` where an output file is also the input.
 */
export function openStreams(files: StreamFiles, capture: boolean): Streams {
  const open: number[] = [];
  const close = () => {
    for (const descriptor of open.splice(0)) closeSync(descriptor);
  };
  const keep = (descriptor: number) => {
    open.push(descriptor);
    return descriptor;
  };
  const same = (left: number, right: number) => {
    const [a, b] = [fstatSync(left, { bigint: true }), fstatSync(right, { bigint: true })];
    return a.isFile() && a.dev === b.dev && a.ino === b.ino;
  };
  const openOut = (path: string, option: string, input: number | null) => {
    let descriptor: number;
    try {
      // Truncated only after the comparison with the input.
      descriptor = keep(openSync(path, constants.O_WRONLY | constants.O_CREAT | constants.O_NOCTTY, 0o666));
    } catch (error) {
      throw fileError("file-unwritable", `opening ${option}`, path, error);
    }
    if (input !== null && same(input, descriptor)) {
      throw new BelljarError("usage", `reading options: '--${option}': is the file that --stdin reads`);
    }
    return descriptor;
  };
  try {
    const input = files.stdin === null ? null : keep(openInput(files.stdin));
    const output = files.stdout === null ? null : openOut(files.stdout, "stdout", input);
    let errors = files.stderr === null ? null : openOut(files.stderr, "stderr", input);
    if (output !== null && errors !== null && same(output, errors)) errors = output;
    for (const descriptor of new Set([output, errors])) if (descriptor !== null) truncate(descriptor);
    const other = capture ? "pipe" : "inherit";
    return { targets: [input ?? "inherit", output ?? other, errors ?? other], close };
  } catch (error) {
    close();
    throw error;
  }
}
