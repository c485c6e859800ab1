import { spawn } from "node:child_process";
import { closeSync, constants, openSync } from "node:fs";
import { BelljarError } from "../../policy/errors.ts";
import { quoted } from "../output/terminal.ts";
import { launcherPath } from "../run/launcher.ts";

export type LockMode = "shared" | "exclusive";

export interface LockOptions {
  readonly mode: LockMode;
  /** false: give up at once when somebody else holds it. Default: wait. */
  readonly wait?: boolean;
  /** Ends the waiting with `cancelled`. */
  readonly signal?: AbortSignal | undefined;
}

/** Held until released; also until this process ends, however it ends. */
export interface Lock {
  release(): void;
}

/** Exit status of the helper (native/launcher/lock.c). */
const busy = 1;

function helper(
  mode: string,
  file: number,
  options: { readonly what: string; readonly signal?: AbortSignal | undefined },
): Promise<number> {
  const { what, signal } = options;
  return new Promise((resolve, reject) => {
    const child = spawn(launcherPath(), [mode], { stdio: ["ignore", "ignore", "pipe", file], env: {}, cwd: "/" });
    let words = "";
    const stop = () => child.kill("SIGKILL");
    signal?.addEventListener("abort", stop, { once: true });
    child.stderr?.setEncoding("utf8").on("data", (text: string) => {
      words += text;
    });
    child.once("error", (error) =>
      reject(new BelljarError("launcher-failed", `${what}: starting the launcher: ${error.message}`, { cause: error })),
    );
    child.once("close", (code, killedBy) => {
      signal?.removeEventListener("abort", stop);
      if (code === 0 || code === busy) resolve(code);
      else if (signal?.aborted) reject(new BelljarError("cancelled", `${what}: cancelled`));
      else reject(new BelljarError("store-failed", `${what}: ${words.trim() || `the launcher ended with ${killedBy ?? code}`}`));
    });
  });
}

/**
 * Takes a lock on a file, which is made when absent; null when `wait` is false and somebody else holds it.
 * It is the kernel's flock(2): a helper takes it on a descriptor that this process keeps, so it dies with this process and can
 * never be stale. Two calls exclude each other within one process too.
 * Throws BelljarError `store-failed`, `launcher-failed` or `cancelled`.
 */
export async function acquireLock(path: string, options: LockOptions & { readonly wait: false }): Promise<Lock | null>;
export async function acquireLock(path: string, options: LockOptions): Promise<Lock>;
export async function acquireLock(path: string, options: LockOptions): Promise<Lock | null> {
  const { mode, wait = true, signal } = options;
  const what = `locking ${quoted(path)}`;
  if (signal?.aborted) throw new BelljarError("cancelled", `${what}: cancelled`);
  let file: number;
  try {
    // A plain number: a FileHandle would be closed, and the lock lost, when nobody refers to it any more.
    file = openSync(path, constants.O_RDWR | constants.O_CREAT | constants.O_NOFOLLOW, 0o600);
  } catch (error) {
    throw new BelljarError("store-failed", `${what}: ${(error as NodeJS.ErrnoException).code ?? error}`, { cause: error });
  }
  try {
    const status = await helper(`${wait ? "" : "try-"}lock-${mode}`, file, { what, signal });
    if (status === 0) return { release: () => closeSync(file) };
  } catch (error) {
    closeSync(file);
    throw error;
  }
  closeSync(file);
  return null;
}

/** Runs an action under a lock. */
export async function withLock<T>(path: string, options: LockOptions, action: () => Promise<T>): Promise<T> {
  const lock = await acquireLock(path, options);
  try {
    return await action();
  } finally {
    lock.release();
  }
}

/** Writes everything of the file system that holds this folder to the disk: syncfs(2). Throws BelljarError `store-failed`. */
export async function syncFileSystem(folder: string): Promise<void> {
  const file = openSync(folder, constants.O_RDONLY | constants.O_DIRECTORY);
  try {
    await helper("sync", file, { what: `writing ${quoted(folder)} to the disk` });
  } finally {
    closeSync(file);
  }
}
