import { randomBytes } from "node:crypto";
import { closeSync, constants, fstatSync, fsyncSync, openSync, renameSync, rmSync, type Stats, statSync, writeSync } from "node:fs";
import { basename, dirname } from "node:path";
import type { RunReport } from "../../policy/verdict/report-types.ts";
import { factsDocument } from "../output/json.ts";
import { checkDestination, fileError } from "./files.ts";

/** A place for a text, or bytes, fixed before the run: whatever the program does to paths meanwhile, it is still that place. */
export interface TextFile {
  /** Throws BelljarError `file-unwritable`. */
  readonly write: (content: string | Uint8Array) => void;
  readonly close: () => void;
}

export interface ReportFile {
  /** Throws BelljarError `file-unwritable`. */
  readonly write: (report: RunReport) => void;
  readonly close: () => void;
}

const retryMs = 5;

function writeAll(descriptor: number, content: string | Uint8Array): void {
  for (let rest = Buffer.from(content as Uint8Array); rest.length > 0; ) {
    try {
      rest = rest.subarray(writeSync(descriptor, rest));
    } catch (error) {
      // Somebody made a pipe of the caller's non-blocking; wait for its reader, as a blocking one would.
      if ((error as NodeJS.ErrnoException).code !== "EAGAIN") throw error;
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, retryMs);
    }
  }
}

/** /dev/stdout and its like: the caller's descriptor itself, for opened anew a file would be written from its beginning. */
function namedDescriptor(path: string): number | null {
  const named: Readonly<Record<string, number>> = { "/dev/stdout": 1, "/dev/stderr": 2 };
  const number = /^\/(?:dev|proc\/self)\/fd\/(\d{1,6})$/.exec(path)?.[1];
  return named[path] ?? (number === undefined ? null : Number(number));
}

function statusOf(path: string, doing: string): Stats | null {
  try {
    return statSync(path);
  } catch (error) {
    if (["ENOENT", "ENOTDIR"].includes((error as NodeJS.ErrnoException).code ?? "")) return null; // left to the check of its folder
    throw fileError("file-unwritable", doing, path, error);
  }
}

/** A pipe or a device is written as it is. As in a shell, a fifo waits for its reader. */
function specialFile(path: string, descriptor: number, { doing, ours }: { readonly doing: string; readonly ours: boolean }): TextFile {
  return {
    write: (content) => {
      try {
        writeAll(descriptor, content);
      } catch (error) {
        throw fileError("file-unwritable", doing, path, error);
      }
    },
    close: () => {
      if (ours) closeSync(descriptor);
    },
  };
}

/** Whole or not at all: temporary name, fsync, rename, both names beneath the folder that was opened before the run. */
function regularFile(path: string, absolute: string, { doing, mode }: { readonly doing: string; readonly mode: number }): TextFile {
  const folder = openSync(dirname(absolute), constants.O_RDONLY | constants.O_DIRECTORY);
  const beneath = (name: string) => `/proc/self/fd/${folder}/${name}`;
  const write = (content: string | Uint8Array) => {
    const part = beneath(`.belljar-part.${randomBytes(6).toString("hex")}`);
    let made = false;
    try {
      const descriptor = openSync(part, constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL | constants.O_NOFOLLOW, mode);
      made = true;
      try {
        writeAll(descriptor, content);
        fsyncSync(descriptor);
      } finally {
        closeSync(descriptor);
      }
      renameSync(part, beneath(basename(absolute)));
    } catch (error) {
      if (made) rmSync(part, { force: true });
      throw fileError("file-unwritable", doing, path, error);
    }
  };
  return { write, close: () => closeSync(folder) };
}

/** Opens the place for a text before the run; `doing` is for messages. Throws BelljarError `file-unwritable`. */
export function openTextFile(path: string, doing: string, mode = 0o666): TextFile {
  const named = namedDescriptor(path);
  const status = named === null ? statusOf(path, doing) : null;
  try {
    if (named !== null) {
      fstatSync(named);
      return specialFile(path, named, { doing, ours: false });
    }
    if (status !== null && !status.isFile() && !status.isDirectory()) {
      return specialFile(path, openSync(path, constants.O_WRONLY | constants.O_NOCTTY), { doing, ours: true });
    }
    return regularFile(path, checkDestination(path, doing), { doing, mode });
  } catch (error) {
    throw (error as { readonly code?: string }).code === "file-unwritable" ? error : fileError("file-unwritable", doing, path, error);
  }
}

export function openReportFile(path: string): ReportFile {
  const { write, close } = openTextFile(path, "writing the report");
  return { write: (report) => write(factsDocument(report)), close };
}
