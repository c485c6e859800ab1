import { join } from "node:path";

/** native/spawn/spawn.c. */
export interface SpawnAddon {
  /** Starts the launcher with these as its 0, 1 and 2; returns its process id and our end of its control socket. */
  readonly start: (path: string, stdin: number, stdout: number, stderr: number) => readonly [pid: number, control: number];
  /** A socket, connected to whoever listens at that path; throws where nobody does, or has room. */
  readonly connect: (path: string) => number;
  /** The status of wait(2); -1 where the process was not ours to wait for. */
  readonly ended: (pid: number) => Promise<number>;
  /** Whoever reads at either end of the socket comes to its end. */
  readonly hangUp: (control: number) => void;
  readonly isTerminal: (descriptor: number) => boolean;
  /** Ends this process at once. */
  readonly exit: (status: number) => void;
}

let known: SpawnAddon | null | undefined;

/** The addon that a short run is started with; null where it is missing, or this Node refuses it: Node's own ways do the same, only slower. */
export function spawnAddon(): SpawnAddon | null {
  if (known !== undefined) return known;
  known = null;
  // Beside the bundle, or beside the sources.
  for (const place of ["../native/build/spawn.node", "../../native/build/spawn.node"]) {
    const module = { exports: {} };
    try {
      process.dlopen(module, join(import.meta.dirname, place));
      known = module.exports as SpawnAddon;
      break;
    } catch {
      // told by nobody: only time is lost
    }
  }
  return known;
}

/** Whether something of Node's is to be written when it ends: a profile, its coverage, what a hook keeps. */
const isWatched = ({ NODE_OPTIONS: options = "", NODE_V8_COVERAGE: coverage = "" }: NodeJS.ProcessEnv): boolean =>
  process.execArgv.length > 0 || options !== "" || coverage !== "";

let isNodes = false;

/** Node has something of the caller's to put back when it ends. */
export function leaveToNode(): void {
  isNodes = true;
}

/** Whether the end will be at once, whatever Node's threads wait for. */
export const leavesAtOnce = (): boolean => spawnAddon() !== null && !isNodes && !isWatched(process.env);

/** Ends the command where the addon is in use: all that it had to say has been handed over, so nothing of Node's needs to be waited for. Else returns. */
export function leaveAtOnce(status: number): void {
  if (!known || isNodes || isWatched(process.env)) return;
  process.emit("exit", status);
  known.exit(status);
}
