import { writeSync } from "node:fs";
import { BelljarError } from "../../policy/errors.ts";

const retryMs = 5;
const retries = 200;

/**
 * Writes to standard error at once, without waking the stream machinery of Node. A reader that has gone away is no
 * reason to fail: the exit status still tells.
 */
export function writeStderr(text: string): void {
  let rest = Buffer.from(text, "utf8");
  for (let attempt = 0; rest.length > 0 && attempt < retries; ) {
    try {
      rest = rest.subarray(writeSync(2, rest));
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== "EAGAIN") return;
      // Somebody made the descriptor non-blocking; wait a moment for its reader.
      attempt++;
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, retryMs);
    }
  }
}

/** Errors of a reader that has closed its end: the command ends as SIGPIPE would end it, and says nothing. */
const readerGone = new WeakSet<object>();
export const isReaderGone = (error: unknown): boolean => typeof error === "object" && error !== null && readerGone.has(error);

/** `file-unwritable`: what was written to standard output did not arrive. */
export function lost(cause: NodeJS.ErrnoException): BelljarError {
  const reason = cause.code === "ENOSPC" ? "no space left on the device" : (cause.code ?? cause.message);
  const error = new BelljarError("file-unwritable", `writing to standard output: ${reason}`, { cause });
  if (cause.code === "EPIPE") readerGone.add(error);
  return error;
}

/**
 * Writes to standard output and waits until all of it has been handed over. Throws BelljarError `file-unwritable` when it is
 * lost: no status may say that all went well then.
 */
export async function writeStdout(text: string): Promise<void> {
  const { stdout } = process;
  let onError: (error: Error) => void = () => undefined;
  try {
    await new Promise<void>((resolve, reject) => {
      onError = reject;
      stdout.on("error", onError);
      stdout.write(text, (error) => (error ? reject(error) : resolve()));
    });
  } catch (error) {
    // The stream may speak of the same failure again, later.
    stdout.on("error", () => undefined);
    throw lost(error as NodeJS.ErrnoException);
  } finally {
    stdout.off("error", onError);
  }
}
