import { lstatSync, mkdirSync, mkdtempSync, readdirSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { startTimeOf } from "./process-info.ts";

type Environment = Readonly<Record<string, string | undefined>>;

/** Folder of this user's that nobody else can enter: a directory, no link, ours, 0700. */
export function isPrivate(path: string, uid: number): boolean {
  const status = lstatSync(path, { throwIfNoEntry: false });
  return status?.isDirectory() === true && status.uid === uid && (status.mode & 0o077) === 0;
}

function makePrivate(path: string, uid: number): boolean {
  try {
    mkdirSync(path, { mode: 0o700 });
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "EEXIST") return false;
  }
  return isPrivate(path, uid);
}

/** What was made where a stranger had the usual name under the temporary directory: named so that nobody could foresee it. */
export function runtimeFallbacks(uid: number): readonly string[] {
  const pattern = new RegExp(`^belljar-${uid}-[A-Za-z0-9]{6}$`);
  try {
    const found = readdirSync(tmpdir()).filter((name) => pattern.test(name));
    return found
      .toSorted()
      .map((name) => join(tmpdir(), name))
      .filter((path) => isPrivate(path, uid));
  } catch {
    return []; // where nobody can read it, nobody of us has found a place in it
  }
}

const isStrangers = (path: string, uid: number): boolean =>
  lstatSync(path, { throwIfNoEntry: false }) !== undefined && !isPrivate(path, uid);

/** The places that may hold folders of runs and pools, best first. */
export function runtimeCandidates(environment: Environment, uid: number): readonly string[] {
  const session = environment["XDG_RUNTIME_DIR"];
  const temporary = join(tmpdir(), `belljar-${uid}`);
  const ofSession = session?.startsWith("/") && isPrivate(session, uid) ? [join(session, "belljar")] : [];
  return [...ofSession, temporary, ...(isStrangers(temporary, uid) ? runtimeFallbacks(uid) : [])];
}

/**
 * The folder for what lives as long as a run: $XDG_RUNTIME_DIR/belljar, else <tmp>/belljar-<uid>. Made when absent.
 * A candidate that is not private (a stranger may have made the one under /tmp first) is passed over for a fresh one, which then serves all runs: who serves a pool and who looks for one have to meet.
 */
export function runtimeDirectory(environment: Environment = process.env): string {
  const uid = process.getuid?.() ?? 0;
  for (const path of runtimeCandidates(environment, uid)) if (makePrivate(path, uid)) return path;
  return mkdtempSync(join(tmpdir(), `belljar-${uid}-`));
}

/** Name of a folder of one run: who made it, and when that process started (jiffies since boot), so that a reused id is noticed. */
export const runFolderPattern = /^run-(\d+)-(\d+)-[A-Za-z0-9]{6}$/;

/** Makes a private folder for one run; the caller removes it, and `belljar gc` does when the caller died. */
export function makeRunFolder(environment: Environment = process.env): string {
  return mkdtempSync(join(runtimeDirectory(environment), `run-${process.pid}-${startTimeOf(process.pid) ?? 0}-`));
}
