import { randomBytes } from "node:crypto";
import { constants } from "node:fs";
import { type FileHandle, open, rename, rm, stat } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import type { Writable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { isatty } from "node:tty";
import { BelljarError } from "../../../policy/errors.ts";
import { lost } from "../../output/streams.ts";
import { fileError } from "../../run/files.ts";
import { syncFolder } from "../layout.ts";
import type { Store } from "../store.ts";
import { type ArchiveFormat, archiveFormats, type SavedImage } from "./formats.ts";
import { tarBytes } from "./tar-writer.ts";

export interface SaveOptions {
  readonly store: Store;
  readonly images: readonly SavedImage[];
  readonly format: ArchiveFormat;
  /** A file, or "-" for standard output. */
  readonly output: string;
  readonly signal?: AbortSignal | undefined;
}

const doing = "saving images";

/** What is no regular file (a fifo, /dev/null) is written to as it is; a file is replaced whole, when all has gone well. */
async function isReplaceable(path: string): Promise<boolean> {
  try {
    const status = await stat(path);
    if (status.isDirectory()) throw fileError("file-unwritable", doing, path, "is a directory");
    return status.isFile();
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return true;
    throw error instanceof BelljarError ? error : fileError("file-unwritable", doing, path, error);
  }
}

async function writeInto(path: string, flags: number, write: (target: Writable) => Promise<void>): Promise<void> {
  let file: FileHandle;
  try {
    file = await open(path, flags, 0o666);
  } catch (error) {
    throw fileError("file-unwritable", doing, path, error);
  }
  // The stream closes the file; a FileHandle that closes itself would wait for a stream that does not.
  const target = file.createWriteStream({ highWaterMark: 1024 * 1024, flush: (flags & constants.O_EXCL) !== 0 });
  try {
    await write(target);
  } catch (error) {
    const isWrite = (error as NodeJS.ErrnoException).syscall === "write";
    throw isWrite ? fileError("file-unwritable", doing, path, error) : error;
  } finally {
    target.destroy();
  }
}

async function toFile(path: string, write: (target: Writable) => Promise<void>): Promise<void> {
  if (!(await isReplaceable(path))) return writeInto(path, constants.O_WRONLY, write);
  const part = join(dirname(path), `.${basename(path)}.${randomBytes(6).toString("hex")}.part`);
  try {
    await writeInto(part, constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL, write);
    await rename(part, path);
    await syncFolder(dirname(path));
  } finally {
    await rm(part, { force: true });
  }
}

/**
 * Writes images as one archive. Every blob is verified on the way; when one is damaged, no file appears.
 * Throws BelljarError `image-invalid`, `file-unwritable`, `usage`, `cancelled`.
 */
export async function saveImages({ store, images, format, output, signal }: SaveOptions): Promise<void> {
  if (output === "-" && isatty(1))
    throw new BelljarError("usage", `${doing}: standard output is a terminal`, { hint: "name a file with -o, or redirect the output" });
  await store.hold(signal);
  const write = async (target: Writable): Promise<void> => {
    try {
      await pipeline(tarBytes(archiveFormats[format](store, images)), target, {
        ...(signal === undefined ? {} : { signal }),
        end: output !== "-",
      });
    } catch (error) {
      if (signal?.aborted) throw new BelljarError("cancelled", `${doing}: cancelled`);
      const isWrite = (error as NodeJS.ErrnoException).syscall === "write";
      throw output === "-" && isWrite ? lost(error as NodeJS.ErrnoException) : error;
    }
  };
  if (output === "-") await write(process.stdout);
  else await toFile(output, write);
}
