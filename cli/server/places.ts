import { lstatSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { wireTable } from "../../policy/wire/wire.gen.ts";
import { startTimeOf } from "../host/process-info.ts";
import { isPrivate, runtimeCandidates, runtimeDirectory } from "../host/runtime-dir.ts";
import { launcherPath } from "../run/launcher.ts";
import { decodePool, type Pool } from "./record.ts";

type Environment = Readonly<Record<string, string | undefined>>;

/** `pool-PID-START-XXXXXX`: who serves it, and when that process started, so that a reused id is noticed. */
export const poolPattern = /^pool-(\d+)-(\d+)-[A-Za-z0-9]{6}$/;
const poolsFolder = "pools";

/** A pool's folder. */
export interface PoolPlace {
  readonly path: string;
  readonly pid: number;
}

export const socketOf = (path: string): string => join(path, "socket");
export const planOf = (path: string): string => join(path, "plan");
export const recordOf = (path: string): string => join(path, "pool");

/** Where the pools lie in a folder for what lives as long as a run. */
export const poolsIn = (runtimeFolder: string): string => join(runtimeFolder, poolsFolder);

function poolNames(dir: string): readonly string[] {
  try {
    return readdirSync(dir);
  } catch {
    return []; // most often there are none
  }
}

/** Pools of this user's whose server lives, in the order of their names. Looks at one folder where there are none. */
export function livePools(environment: Environment): readonly PoolPlace[] {
  const uid = process.getuid?.() ?? 0;
  return runtimeCandidates(environment, uid)
    .map(poolsIn)
    .flatMap((dir) => {
      const found = poolNames(dir).toSorted();
      if (found.length === 0 || !isPrivate(dir, uid)) return [];
      return found.flatMap((name) => {
        const [, pid, startTime] = poolPattern.exec(name) ?? [];
        return pid !== undefined && startTimeOf(Number(pid)) === Number(startTime) ? [{ path: join(dir, name), pid: Number(pid) }] : [];
      });
    });
}

/** Makes the folder of a pool that this process serves; the caller removes it, and `belljar gc` does when the caller died. */
export function makePoolFolder(environment: Environment): string {
  const home = poolsIn(runtimeDirectory(environment));
  mkdirSync(home, { recursive: true, mode: 0o700 });
  return mkdtempSync(join(home, `pool-${process.pid}-${startTimeOf(process.pid) ?? 0}-`));
}

/** Of what lies in a pool's file. */
const form = 1;

/** What whoever plans for a pool has to have in common with its server: that both make the same plans of the same wishes, their bytes tell. */
export function buildName(launcher: string = launcherPath()): string {
  const status = statSync(launcher, { bigint: true, throwIfNoEntry: false });
  const file = status === undefined ? launcher : [status.dev, status.ino, status.size, status.mtimeNs].join(" ");
  return [form, wireTable, file].join(" ");
}

/** null for one that is another build's, somebody else's, or going. */
export function readPool({ path }: Pick<PoolPlace, "path">, build: string): Pool | null {
  try {
    const file = recordOf(path);
    const status = lstatSync(file);
    if (!status.isFile() || status.uid !== process.getuid?.()) return null;
    return decodePool(readFileSync(file), build);
  } catch {
    return null;
  }
}
