import { constants } from "node:fs";
import { type FileHandle, open, stat } from "node:fs/promises";
import { isatty } from "node:tty";
import { BelljarError } from "../../../policy/errors.ts";
import { fileError } from "../../run/files.ts";

export const readBytes = 1024 * 1024;

/** Standard input, by the name that tools have for it. */
export const standardInput = "-";

/** Whether a path names a folder; standard input is none. Throws BelljarError `file-unreadable`. */
export async function isFolder(path: string, doing: string): Promise<boolean> {
  if (path === standardInput) return false;
  try {
    return (await stat(path)).isDirectory();
  } catch (error) {
    throw fileError("file-unreadable", doing, path, error);
  }
}

/** The bytes of a file, a fifo or standard input. What cannot be read fails with `file-unreadable`. */
export async function* inputBytes(
  path: string,
  options: { readonly doing: string; readonly signal?: AbortSignal | undefined },
): AsyncGenerator<Buffer> {
  const { doing, signal } = options;
  if (path === standardInput && isatty(0)) {
    throw new BelljarError("usage", `${doing}: standard input is a terminal`, { hint: "name a file with -i, or pipe the archive in" });
  }
  let file: FileHandle | null = null;
  try {
    file = path === standardInput ? null : await open(path, constants.O_RDONLY);
    const source = file === null ? process.stdin : file.createReadStream({ highWaterMark: readBytes });
    for await (const chunk of source) {
      if (signal?.aborted) throw new BelljarError("cancelled", `${doing}: cancelled`);
      yield chunk as Buffer;
    }
  } catch (error) {
    throw error instanceof BelljarError ? error : fileError("file-unreadable", doing, path, error);
  } finally {
    await file?.close().catch(() => undefined);
  }
}
