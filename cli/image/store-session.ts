import { randomBytes } from "node:crypto";
import { closeSync, constants, openSync } from "node:fs";
import { lstat, mkdir, readdir, readFile, rename, writeFile } from "node:fs/promises";
import { connect, createServer, type Server } from "node:net";
import { join } from "node:path";
import { inStore, type StorePaths } from "./layout.ts";
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

const socketName = "alive";
const pinsName = "pins.json";
/** One that has not become a session for so long most likely never will; if its process was only stopped meanwhile, it starts anew. */
const unfinishedMs = 10_000;
const attempts = 5;
/** Of a blob that a later attempt may continue. */
export const partPrefix = "part-";

/** Names of content, relative to the store's root, that must stay while the session lives. */
export type Pins = readonly string[];

/** Paths of sockets end at 108 bytes: an open folder gives a short one to any place. */
const socketPath = (folder: number): string => `/proc/self/fd/${folder}/${socketName}`;

function listen(folder: number): Promise<Server> {
  return new Promise((resolve, reject) => {
    const server = createServer((socket) => socket.destroy());
    server.once("error", reject);
    server.listen(socketPath(folder), () => {
      server.unref();
      resolve(server);
    });
  });
}

/** Whether the process of a session lives. In doubt it does. */
async function isAlive(path: string): Promise<boolean> {
  let folder: number;
  try {
    folder = openSync(path, constants.O_RDONLY | constants.O_DIRECTORY | constants.O_NOFOLLOW);
  } catch (error) {
    return (error as NodeJS.ErrnoException).code !== "ENOENT";
  }
  try {
    return await new Promise<boolean>((resolve) => {
      const socket = connect(socketPath(folder));
      socket.once("connect", () => {
        socket.destroy();
        resolve(true);
      });
      socket.once("error", ({ code }: NodeJS.ErrnoException) => resolve(code !== "ECONNREFUSED" && code !== "ENOENT"));
    });
  } finally {
    closeSync(folder);
  }
}

async function startOnce(paths: StorePaths, pins: Pins): Promise<Session> {
  const path = join(paths.sessions, randomBytes(8).toString("hex"));
  const unfinished = `${path}.new`;
  await mkdir(unfinished, { mode: 0o700 });
  const folder = openSync(unfinished, constants.O_RDONLY | constants.O_DIRECTORY);
  let server: Server | null = null;
  const stop = async (): Promise<void> => {
    await new Promise((resolve) => (server === null ? resolve(null) : server.close(resolve)));
    closeSync(folder);
  };
  try {
    server = await listen(folder);
    if (pins.length > 0) await writeFile(join(unfinished, pinsName), JSON.stringify(pins));
    await rename(unfinished, path);
  } catch (error) {
    await stop();
    await discard(paths, unfinished);
    throw error;
  }
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

/** Starts a session. With the last step, a rename, it is there whole: alive, and with its pins. Throws BelljarError `store-failed`. */
export async function startSession(paths: StorePaths, pins: Pins = []): Promise<Session> {
  return inStore("using the image store", paths.sessions, async () => {
    for (let attempt = 1; ; attempt++) {
      try {
        return await startOnce(paths, pins);
      } catch (error) {
        // Somebody took the unfinished folder for a dead process's.
        if (attempt === attempts || (error as NodeJS.ErrnoException).code !== "ENOENT") throw error;
      }
    }
  });
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
