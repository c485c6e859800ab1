import { accessSync, constants, statSync } from "node:fs";
import { join } from "node:path";
import type { HostFacts, IdRange } from "../../policy/compile/types.ts";
import type { HostFiles } from "./host-files.ts";

/** Ranges of subuid(5) or subgid(5) that belong to a user by name or by number, in the order of the file. */
export function parseSubordinateIds(text: string, user: { readonly name: string; readonly uid: number }): readonly IdRange[] {
  return text.split("\n").flatMap((line) => {
    const [owner = "", start = "", count = ""] = line.trim().split(":");
    if ((owner !== user.name && owner !== String(user.uid)) || !/^\d+$/.test(start) || !/^\d+$/.test(count) || Number(count) === 0)
      return [];
    return [{ start: Number(start), count: Number(count) }];
  });
}

/** Ids end here; the last is the kernel's "no id". */
const maxId = 0xffff_fffe;

/** The first range of 65536 ids, from 100000 on, that no line of the text (subuid(5), subgid(5)) touches; null where none is left. */
export function freeRange(text: string): IdRange | null {
  const count = 65536;
  const taken = text.split("\n").flatMap((line) => {
    const [, start, size] = line.split(":").map(Number);
    return start !== undefined && size !== undefined && Number.isFinite(start + size) ? [{ start, end: start + size }] : [];
  });
  const starts = [100_000, ...taken.map(({ end }) => end)].filter((start) => start >= 100_000).sort((a, b) => a - b);
  const start = starts.find((from) => from + count - 1 <= maxId && taken.every((one) => one.end <= from || one.start >= from + count));
  return start === undefined ? null : { start, count };
}

/** What a remedy proposes as both: free in /etc/subuid and in /etc/subgid. */
export function freeSubordinateIds(files: HostFiles): IdRange | null {
  return freeRange(`${files.text("/etc/subuid") ?? ""}\n${files.text("/etc/subgid") ?? ""}`);
}

/** Where a command is on PATH, the system's folders included even where PATH leaves them out. */
export function findCommand(name: string, pathVariable: string | undefined): string | null {
  const folders = [...(pathVariable ?? "").split(":").filter((dir) => dir.startsWith("/")), "/usr/bin", "/bin", "/usr/sbin", "/sbin"];
  for (const dir of folders) {
    const path = join(dir, name);
    try {
      accessSync(path, constants.X_OK);
      if (statSync(path).isFile()) return path;
    } catch {
      // not here
    }
  }
  return null;
}

/** What /etc/subuid and /etc/subgid grant this user, and the helpers that may write it into a map. */
export function subordinateFacts(files: HostFiles, user: { readonly name: string; readonly uid: number }): HostFacts["subordinate"] {
  const ranges = (path: string) => parseSubordinateIds(files.text(path) ?? "", user);
  // Not by the caller's PATH: these run with privileges, so the system's own are meant.
  return {
    uids: ranges("/etc/subuid"),
    gids: ranges("/etc/subgid"),
    newuidmap: findCommand("newuidmap", ""),
    newgidmap: findCommand("newgidmap", ""),
  };
}
