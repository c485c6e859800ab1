import { writeSync } from "node:fs";

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

/** Writes to standard output and waits until all of it has been handed over; a closed pipe ends quietly. */
export async function writeStdout(text: string): Promise<void> {
  await new Promise<void>((resolve) => {
    process.stdout.on("error", () => resolve());
    process.stdout.write(text, () => resolve());
  });
}
