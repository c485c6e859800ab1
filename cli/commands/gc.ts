import { lstatSync, readdirSync, rmdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import { becomeOrdinary } from "../host/account.ts";
import { cacheHome } from "../host/cache-home.ts";
import { loadConfig } from "../host/config.ts";
import { hostFiles } from "../host/host-files.ts";
import { startTimeOf } from "../host/process-info.ts";
import { findRunCgroups, removeRunCgroup, whyStale } from "../host/run-cgroups.ts";
import { isPrivate, runFolderPattern, runtimeCandidates, runtimeFallbacks } from "../host/runtime-dir.ts";
import { ownRemovalIds, scratchHome } from "../host/scratch-folder.ts";
import { removeUnpacked } from "../image/layer/helper.ts";
import { factsDocument } from "../output/json.ts";
import { writeStdout } from "../output/streams.ts";
import { printable } from "../output/terminal.ts";
import { poolPattern, poolsIn } from "../server/places.ts";

export interface Removed {
  readonly kind: "cgroup" | "run-folder" | "pool" | "scratch-folder" | "temporary-file" | "store-session";
  readonly path: string;
  readonly why: string;
  /** Processes that were still in it. */
  readonly killed: number;
  /** null when it is gone; else why it stays. */
  readonly error: string | null;
}

const names = (dir: string): readonly string[] => {
  try {
    return readdirSync(dir);
  } catch {
    return [];
  }
};

function attempt(kind: Removed["kind"], path: string, why: string, action: () => void): Removed {
  try {
    action();
    return { kind, path, why, killed: 0, error: null };
  } catch (error) {
    return { kind, path, why, killed: 0, error: (error as NodeJS.ErrnoException).code ?? String(error) };
  }
}

async function staleCgroups(uid: number): Promise<readonly Removed[]> {
  const stale = findRunCgroups(hostFiles(), uid).flatMap((one) => {
    const why = whyStale(one, uid, Date.now());
    return why === null ? [] : [{ path: one.path, why }];
  });
  return Promise.all(stale.map(async ({ path, why }): Promise<Removed> => ({ kind: "cgroup", why, ...(await removeRunCgroup(path)) })));
}

/** Folders that runs made in `dir` and whose maker is gone; a process of the same number that started at another time is another one. */
function foldersLeftIn(dir: string, uid: number, pattern = runFolderPattern): readonly { readonly path: string; readonly why: string }[] {
  return names(dir).flatMap((name) => {
    const [, pid, startTime] = pattern.exec(name) ?? [];
    const path = join(dir, name);
    if (pid === undefined || startTimeOf(Number(pid)) === Number(startTime) || !isPrivate(path, uid)) return [];
    return [{ path, why: `process ${pid} is gone` }];
  });
}

/** Also those that are not looked at any more, since the usual name is free again. */
const runtimeHomes = (uid: number): readonly string[] => [...new Set([...runtimeCandidates(process.env, uid), ...runtimeFallbacks(uid)])];

function staleRunFolders(uid: number): readonly Removed[] {
  const places = runtimeHomes(uid).filter((dir) => isPrivate(dir, uid));
  return places.flatMap((dir) =>
    foldersLeftIn(dir, uid).map(({ path, why }) => attempt("run-folder", path, why, () => rmSync(path, { recursive: true }))),
  );
}

/** Folders of pools that nobody serves any more. */
function stalePools(uid: number): readonly Removed[] {
  return runtimeHomes(uid)
    .map(poolsIn)
    .flatMap((home) =>
      (isPrivate(home, uid) ? foldersLeftIn(home, uid, poolPattern) : []).map(({ path, why }) =>
        attempt("pool", path, why, () => rmSync(path, { recursive: true })),
      ),
    );
}

/** What was made for want of the usual name, once it is empty. */
function dropFallbacks(uid: number): void {
  for (const dir of runtimeFallbacks(uid))
    for (const path of [poolsIn(dir), dir])
      try {
        rmdirSync(path);
      } catch {
        // in use, or not there
      }
}

/** Scratch folders on disk, with what other ids than ours may own in them. */
async function staleScratchFolders(uid: number): Promise<readonly Removed[]> {
  const home = scratchHome(process.env);
  const stale = home === null || !isPrivate(home, uid) ? [] : foldersLeftIn(home, uid);
  if (stale.length === 0) return [];
  const ids = ownRemovalIds();
  return Promise.all(
    stale.map(async ({ path, why }): Promise<Removed> => {
      const error = await removeUnpacked(path, ids).then(
        () => null,
        (cause: Error) => cause.message,
      );
      return { kind: "scratch-folder", path, why, killed: 0, error };
    }),
  );
}

/** Half-written files of caches: `<name>.<pid>` of a process that is gone. */
function staleParts(uid: number): readonly Removed[] {
  const home = cacheHome(process.env);
  if (home === null) return [];
  return [home, join(home, "filters"), join(home, "profiles")].flatMap((dir) =>
    names(dir).flatMap((name) => {
      const pid = /\.(\d+)$/.exec(name)?.[1];
      const path = join(dir, name);
      const status = lstatSync(path, { throwIfNoEntry: false });
      if (pid === undefined || startTimeOf(Number(pid)) !== null || status?.isFile() !== true || status.uid !== uid) return [];
      return [attempt("temporary-file", path, `process ${pid} is gone`, () => rmSync(path))];
    }),
  );
}

/** What killed processes were doing in the image store: layers of runs that they held, images that were not finished. */
async function staleStoreSessions(): Promise<readonly Removed[]> {
  const { sweepStore } = await import("../image/store-sweep.ts");
  const removed = await sweepStore();
  return removed.map(({ path, problem }) => ({ kind: "store-session", path, why: "its process is gone", killed: 0, error: problem }));
}

const plural = (count: number): string => (count === 1 ? "process" : "processes");

function lineOf({ kind, path, why, killed, error }: Removed): string {
  const what = `${kind.replace("-", " ")} ${path} (${why}${killed > 0 ? `; ended ${killed} ${plural(killed)} in it` : ""})`;
  return printable(error === null ? `removed ${what}` : `could not remove ${what}: ${error}`);
}

/**
 * `belljar gc`: removes what killed runs of this user have left, and tells of each thing. Live runs are never touched.
 * Returns 0, or 1 when something could not be removed. Throws BelljarError `root-refused`.
 */
export async function gcCommand({ json, runAs }: { readonly json: boolean; readonly runAs?: string }): Promise<number> {
  becomeOrdinary({ runAs, configured: loadConfig().runAs, workingDirectory: "any" });
  const uid = process.getuid?.() ?? 0;
  const removed = [
    ...(await staleCgroups(uid)),
    ...staleRunFolders(uid),
    ...stalePools(uid),
    ...(await staleScratchFolders(uid)),
    ...staleParts(uid),
    ...(await staleStoreSessions()),
  ];
  dropFallbacks(uid);
  if (json) await writeStdout(factsDocument({ schemaVersion: 1, removed }));
  else await writeStdout(removed.length === 0 ? "nothing was left\n" : `${removed.map(lineOf).join("\n")}\n`);
  return removed.every((one) => one.error === null) ? 0 : 1;
}
