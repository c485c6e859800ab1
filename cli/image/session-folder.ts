// The folder of one process at work in the store, or of a run that uses its layers. Synchronous, and free of what costs time to load: every run has one.
import { closeSync, constants, mkdirSync, openSync, renameSync, rmdirSync, unlinkSync, writeFileSync } from "node:fs";
import { connect, createServer, type Server } from "node:net";
import { join } from "node:path";
import type { StorePaths } from "./store-paths.ts";

/** Names of content, relative to the store's root, that must stay while the session lives. */
export type Pins = readonly string[];

export interface SessionFolder {
  readonly path: string;
  /** From now on it counts as a dead process's. */
  stop(): Promise<void>;
}

const socketName = "alive";
export const pinsName = "pins.json";
const attempts = 5;

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
export async function isAlive(path: string): Promise<boolean> {
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

/** Unique among the processes of this machine: no two are at the same clock tick under one id; a name of an earlier boot that is still there is refused by mkdir. */
const freshName = (): string => `${process.hrtime.bigint().toString(16)}-${process.pid.toString(16)}`;

/** Removes what a session without content consists of; what else may lie there stays. */
export function removeEmptySession(path: string): boolean {
  try {
    for (const name of [socketName, pinsName])
      try {
        unlinkSync(join(path, name));
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code !== "ENOENT") throw error;
      }
    rmdirSync(path);
    return true;
  } catch {
    return false;
  }
}

async function makeOnce(paths: StorePaths, pins: Pins): Promise<SessionFolder> {
  const path = join(paths.sessions, freshName());
  const unfinished = `${path}.new`;
  mkdirSync(unfinished, { mode: 0o700 });
  const folder = openSync(unfinished, constants.O_RDONLY | constants.O_DIRECTORY);
  let server: Server | null = null;
  const stop = async (): Promise<void> => {
    await new Promise((resolve) => (server === null ? resolve(null) : server.close(resolve)));
    closeSync(folder);
  };
  try {
    server = await listen(folder);
    if (pins.length > 0) writeFileSync(join(unfinished, pinsName), JSON.stringify(pins));
    // With this it is there whole: alive, and with its pins.
    renameSync(unfinished, path);
    return { path, stop };
  } catch (error) {
    await stop();
    removeEmptySession(unfinished);
    throw error;
  }
}

/** Makes the folder of a session. Throws what the file system says. */
export async function makeSessionFolder(paths: StorePaths, pins: Pins): Promise<SessionFolder> {
  for (let attempt = 1; ; attempt++) {
    try {
      return await makeOnce(paths, pins);
    } catch (error) {
      // Somebody took the unfinished folder for a dead process's, or the name was there.
      const again = ["ENOENT", "EEXIST"].includes((error as NodeJS.ErrnoException).code ?? "");
      if (attempt === attempts || !again) throw error;
    }
  }
}
