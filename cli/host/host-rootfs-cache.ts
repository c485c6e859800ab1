import { join } from "node:path";
import type { HostRootfsFacts } from "../../policy/compile/types.ts";
import { cacheHome, readOwnFile, replaceFile } from "./cache-home.ts";
import type { HostFiles } from "./host-files.ts";
import { scanHostRootfs } from "./host-rootfs.ts";

/** To be raised when a scan of the same host would give another result. */
const scanVersion = 1;

/** Changed by every package manager, or by hand where links and folders come and go. */
const alwaysWatched = [
  "/",
  "/etc",
  "/usr",
  "/usr/bin",
  "/usr/lib",
  "/usr/lib/jvm",
  "/usr/share",
  "/usr/local/lib",
  "/var/lib/dpkg/status",
  "/var/lib/rpm/rpmdb.sqlite",
  "/usr/lib/sysimage/rpm/rpmdb.sqlite",
  "/lib/apk/db/installed",
  "/var/lib/pacman/local",
];

interface CacheFile {
  readonly version: number;
  readonly stamps: Readonly<Record<string, string>>;
  readonly facts: HostRootfsFacts;
}

function stampOf(files: HostFiles, path: string): string {
  const status = files.lstat(path);
  return status === null ? "absent" : `${status.dev}:${status.ino}:${status.mode}:${status.uid}:${status.mtimeMs}:${status.ctimeMs}`;
}

const isAbsolute = (value: unknown): boolean => typeof value === "string" && value.startsWith("/");
const isList = (value: unknown, ok: (item: Readonly<Record<string, unknown>>) => boolean): boolean =>
  Array.isArray(value) && value.every((item) => typeof item === "object" && item !== null && ok(item));

function parseCache(text: string): CacheFile | null {
  let value: Partial<CacheFile> | null;
  try {
    value = JSON.parse(text);
  } catch {
    return null;
  }
  const facts: Partial<HostRootfsFacts> = value?.facts ?? {};
  const link = (item: Readonly<Record<string, unknown>>): boolean => isAbsolute(item["path"]) && typeof item["target"] === "string";
  const whole =
    value?.version === scanVersion &&
    typeof value.stamps === "object" &&
    isList(facts.links, link) &&
    isList(facts.etcLinks, link) &&
    isList(facts.etc, (item) => isAbsolute(item["path"]) && (item["kind"] === "file" || item["kind"] === "directory")) &&
    Array.isArray(facts.directories) &&
    facts.directories.every(isAbsolute);
  return whole ? (value as CacheFile) : null;
}

/**
 * Facts of the host's /usr and /etc, from the cache while nothing that they were found in has changed. A cache that is
 * absent, corrupted, somebody else's or unwritable only costs the time of a scan.
 */
export function hostRootfsFacts(files: HostFiles, environment: Readonly<Record<string, string | undefined>>): HostRootfsFacts {
  const home = cacheHome(environment);
  const path = home === null ? null : join(home, "host-rootfs.json");
  const cached = path === null ? null : parseCache(readOwnFile(path) ?? "");
  if (cached !== null) {
    const stamps = Object.entries(cached.stamps);
    if (stamps.length > 0 && stamps.every(([watched, stamp]) => stampOf(files, watched) === stamp)) return cached.facts;
  }
  // Stamps before the scan: what changes meanwhile makes the next run scan again.
  const before = new Map(alwaysWatched.map((watched) => [watched, stampOf(files, watched)]));
  const { facts, watched } = scanHostRootfs(files);
  for (const directory of watched) if (!before.has(directory)) before.set(directory, stampOf(files, directory));
  const content: CacheFile = { version: scanVersion, stamps: Object.fromEntries(before), facts };
  if (path !== null) replaceFile(path, JSON.stringify(content));
  return facts;
}
