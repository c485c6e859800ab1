import { closeSync, constants, fstatSync, openSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { BelljarError } from "../../policy/errors.ts";
import type { ResolvedPolicy } from "../../policy/profile/types.ts";
import { quoted } from "../output/terminal.ts";

export interface UserIds {
  readonly uid: number;
  readonly gid: number | null;
}

/** 2^32-1 is "no id" to the kernel. */
const maxId = 2 ** 32 - 2;
const maxPasswdBytes = 1024 * 1024;

function usage(text: string, reason: string, hint?: string): BelljarError {
  return new BelljarError("usage", `reading options: '--user' ${quoted(text)}: ${reason}`, { hint });
}

/** Name -> ids of a passwd file (passwd(5)); lines that are none are passed over. */
export function parsePasswd(text: string): ReadonlyMap<string, UserIds> {
  const users = new Map<string, UserIds>();
  for (const line of text.split("\n")) {
    const [name, , uid, gid] = line.split(":");
    if (!name || !uid || !gid || !/^\d+$/.test(uid) || !/^\d+$/.test(gid) || users.has(name)) continue;
    users.set(name, { uid: Number(uid), gid: Number(gid) });
  }
  return users;
}

/** The users of a root file system that somebody else made: a link in place of the file is not followed. */
function usersOfDirectory(path: string): ReadonlyMap<string, UserIds> {
  let descriptor: number | null = null;
  try {
    descriptor = openSync(join(path, "etc/passwd"), constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
    const status = fstatSync(descriptor);
    if (!status.isFile() || status.size > maxPasswdBytes) return new Map();
    return parsePasswd(readFileSync(descriptor, "utf8"));
  } catch {
    return new Map();
  } finally {
    if (descriptor !== null) closeSync(descriptor);
  }
}

/** The users that programs in the sandbox see: our own passwd on the host's /usr, else that of the rootfs. */
function usersOf({ rootfs, user }: ResolvedPolicy): ReadonlyMap<string, UserIds> {
  if (rootfs.kind === "directory") return usersOfDirectory(rootfs.path);
  return new Map<string, UserIds>([
    ["root", { uid: 0, gid: 0 }],
    ["belljar", { uid: user.uid, gid: user.gid }],
    ["nobody", { uid: 65534, gid: 65534 }],
  ]);
}

/** The group of a user that is given by number, as container tools take it: that of its entry in passwd. */
function groupOf(uid: number, policy: ResolvedPolicy): number | null {
  const known = [...usersOf(policy).values()].find((user) => user.uid === uid)?.gid;
  return known ?? (uid === 0 ? 0 : null);
}

/** `UID`, `UID:GID` or a name that the sandbox knows. Throws BelljarError `usage`. */
export function parseUser(text: string, policy: ResolvedPolicy): UserIds {
  const numeric = /^(\d{1,10})(?::(\d{1,10}))?$/.exec(text);
  if (numeric !== null) {
    const uid = Number(numeric[1]);
    const ids = { uid, gid: numeric[2] === undefined ? groupOf(uid, policy) : Number(numeric[2]) };
    if (ids.uid > maxId || (ids.gid ?? 0) > maxId) throw usage(text, `ids go up to ${maxId}`);
    return ids;
  }
  if (!/^[A-Za-z_][A-Za-z0-9_.-]*\$?$/.test(text)) throw usage(text, "is not UID, UID:GID or a user name");
  const users = usersOf(policy);
  const found = users.get(text);
  if (found !== undefined) return found;
  const names = [...users.keys()].slice(0, 20).join(", ");
  throw usage(
    text,
    "no such user in the sandbox",
    names === "" ? "this root file system has no readable /etc/passwd: give UID:GID" : `known there: ${names}; any UID:GID works`,
  );
}
