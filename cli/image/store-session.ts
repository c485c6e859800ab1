import { lstat, readdir, readFile, rename } from "node:fs/promises";
import { join } from "node:path";
import { inStore, type StorePaths } from "./layout.ts";
import { isAlive, makeSessionFolder, type Pins, pinsName } from "./session-folder.ts";
import { discard } from "./store-remove.ts";

/**
 * A folder of one process at work in the store: for what is not finished yet, and to say which content is in use.
 * Whether its process still lives is asked of the kernel: it listens on a socket in the folder, and a connection to the socket of
 * a dead process is refused. Process ids could not tell that: they are reused, and mean nothing in another pid namespace.
 */
export interface Session {
  readonly path: string;
  /** A name within the folder that nobody else uses. */
  newPath(prefix: string): string;
  /** Ends it and removes the folder with all that is still in it, but for parts of blobs. */
  close(): Promise<void>;
}

/** One that has not become a session for so long most likely never will; if its process was only stopped meanwhile, it starts anew. */
const unfinishedMs = 10_000;
/** Of a blob that a later attempt may continue. */
export const partPrefix = "part-";

/** Starts a session. Throws BelljarError `store-failed`. */
export async function startSession(paths: StorePaths): Promise<Session> {
  const { path, stop } = await inStore("using the image store", paths.sessions, () => makeSessionFolder(paths, []));
  let count = 0;
  let closing: Promise<void> | null = null;
  const end = async (): Promise<void> => {
    await stop();
    await salvageParts(paths, path);
    await discard(paths, path);
  };
  return {
    path,
    newPath: (prefix) => join(path, `${prefix}${count++}`),
    close: () => {
      closing ??= end();
      return closing;
    },
  };
}

async function isOld(path: string): Promise<boolean> {
  const status = await lstat(path).catch(() => null);
  return status !== null && Date.now() - status.mtimeMs > unfinishedMs;
}

/** The sessions of dead processes. */
async function deadSessions(paths: StorePaths): Promise<readonly string[]> {
  const dead: string[] = [];
  for (const name of await readdir(paths.sessions)) {
    const path = join(paths.sessions, name);
    if (name.endsWith(".new") && !(await isOld(path))) continue;
    if (!(await isAlive(path))) dead.push(path);
  }
  return dead;
}

/** Moves unfinished blobs to where the next attempt looks for them. */
async function salvageParts(paths: StorePaths, session: string): Promise<void> {
  for (const name of await readdir(session).catch(() => [])) {
    const blob = /^part-(sha256-[0-9a-f]{64}|sha512-[0-9a-f]{128})\.\d+$/.exec(name)?.[1];
    // Gone already: another process does the same.
    if (blob !== undefined) await rename(join(session, name), join(paths.partial, blob)).catch(() => undefined);
  }
}

export interface Swept {
  /** Of dead processes. */
  readonly sessions: number;
  /** Each session, and each thing that somebody before could not remove, with the reason why it is still on the disk. */
  readonly removed: readonly { readonly path: string; readonly problem: string | null }[];
  /** The reasons, each once. */
  readonly problems: readonly string[];
}

/** Removes what dead processes have left, but for parts of blobs. */
export async function sweepSessions(paths: StorePaths): Promise<Swept> {
  const dead = await deadSessions(paths);
  const removed: Swept["removed"][number][] = [];
  for (const path of dead) {
    await salvageParts(paths, path);
    removed.push({ path, problem: await discard(paths, path) });
  }
  for (const name of await readdir(paths.trash)) {
    const path = join(paths.trash, name);
    removed.push({ path, problem: await discard(paths, path) });
  }
  const problems = removed.flatMap(({ problem }) => (problem === null ? [] : [problem]));
  return { sessions: dead.length, removed, problems: [...new Set(problems)] };
}

/** What live sessions hold. Only while `pruning` is there does this say anything about sessions to come. */
export async function livePins(paths: StorePaths): Promise<ReadonlySet<string>> {
  const pins = new Set<string>();
  for (const name of await readdir(paths.sessions)) {
    const path = join(paths.sessions, name);
    if (name.endsWith(".new") || !(await isAlive(path))) continue;
    for (const pin of await readPins(path)) pins.add(pin);
  }
  return pins;
}

async function readPins(session: string): Promise<Pins> {
  try {
    return JSON.parse(await readFile(join(session, pinsName), "utf8")) as Pins;
  } catch (error) {
    // No pins, or the session has just ended. Anything else must not count as "holds nothing".
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return [];
    throw error;
  }
}
