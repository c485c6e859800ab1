import { execFileSync } from "node:child_process";
import { accessSync, constants, readFileSync, statSync } from "node:fs";
import { BelljarError } from "../../policy/errors.ts";
import { quoted } from "../output/terminal.ts";

export interface Account {
  readonly name: string;
  readonly uid: number;
  readonly gid: number;
  readonly home: string;
}

/** Entry of passwd(5) by name or number; the first that matches wins, as in getpwnam(3). */
export function findAccount(passwd: string, nameOrUid: string): Account | null {
  for (const line of passwd.split("\n")) {
    const [name = "", , uid = "", gid = "", , home = ""] = line.split(":");
    if (name === "" || !/^\d+$/.test(uid) || !/^\d+$/.test(gid)) continue;
    if (name === nameOrUid || uid === nameOrUid) return { name, uid: Number(uid), gid: Number(gid), home: home === "" ? "/" : home };
  }
  return null;
}

/** Local accounts from the file; those of a directory service by getent(1), where that is installed. */
function lookUp(nameOrUid: string): Account | null {
  const local = findAccount(readFileSync("/etc/passwd", "utf8"), nameOrUid);
  if (local !== null || !/^[A-Za-z0-9_][A-Za-z0-9_.@-]*$/.test(nameOrUid)) return local;
  try {
    const line = execFileSync("getent", ["passwd", nameOrUid], { encoding: "utf8", timeout: 5000, stdio: ["ignore", "pipe", "ignore"] });
    return findAccount(line, nameOrUid);
  } catch {
    return null;
  }
}

/**
 * Whether uid 0 here is but another name of one ordinary user: a user namespace that maps a single id, not root's
 * (`unshare -r`). There is no other account to become there, and no privilege over the host to give up.
 */
export function isRootInNameOnly(uidMap: string): boolean {
  const entries = uidMap
    .trim()
    .split("\n")
    .map((line) => line.trim().split(/\s+/).map(Number));
  const [only] = entries;
  return entries.length === 1 && only?.[0] === 0 && only[1] !== 0 && only[2] === 1;
}

const hint = 'name an ordinary account: --run-as USER, or {"runAs": "USER"} in /etc/belljar/config.json';

function refuse(reason: string, advice = hint, cause?: unknown): never {
  throw new BelljarError("root-refused", `becoming an ordinary user: ${reason}`, { hint: advice, cause });
}

/** Where the account's own files live; what root's environment says would point into root's. */
function resetEnvironment(account: Account, environment: NodeJS.ProcessEnv): void {
  for (const name of Object.keys(environment))
    if (/^(XDG_.*|SUDO_.*|MAIL|DBUS_SESSION_BUS_ADDRESS|TMPDIR)$/.test(name)) delete environment[name];
  Object.assign(environment, { HOME: account.home, USER: account.name, LOGNAME: account.name });
  const runtime = `/run/user/${account.uid}`;
  try {
    const status = statSync(runtime);
    if (status.uid === account.uid && (status.mode & 0o077) === 0) environment["XDG_RUNTIME_DIR"] = runtime;
  } catch {
    // no session of that user: the caller uses a private folder under the temporary directory
  }
}

export interface BecomeOptions {
  /** An account named on the command line, before the one of the configuration. */
  readonly runAs?: string | undefined;
  /** The account of the configuration. */
  readonly configured?: string | undefined;
  /** `required`: the working directory must stay usable, since relative paths mean it. `any`: go to / where it is not. */
  readonly workingDirectory?: "required" | "any";
}

/**
 * Started by root: becomes an ordinary account for good (groups, gid, uid, HOME, USER, XDG_*), before anything is read or
 * written on its behalf. Started by anybody else: does nothing, unless another account was named.
 * Throws BelljarError `root-refused`.
 */
export function becomeOrdinary(options: BecomeOptions = {}): Account | null {
  const { runAs, configured, workingDirectory = "required" } = options;
  const uid = process.getuid?.();
  if (uid !== 0 && process.geteuid?.() !== 0) {
    if (runAs === undefined || runAs === String(uid) || lookUp(runAs)?.uid === uid) return null;
    refuse(`only root can run as ${quoted(runAs)}`, "leave out --run-as");
  }
  const wanted = runAs ?? configured;
  if (wanted === undefined) {
    if (isRootInNameOnly(readFileSync("/proc/self/uid_map", "utf8"))) return null;
    refuse("belljar does not run programs as root");
  }
  const account = lookUp(wanted);
  if (account === null) refuse(`${quoted(wanted)}: there is no such account`);
  if (account.uid === 0) refuse(`${quoted(wanted)}: is root`);
  try {
    // @types/node does not know of it.
    (process as unknown as { initgroups(user: string, extraGroup: number): void }).initgroups(account.name, account.gid);
    process.setgid?.(account.gid);
    process.setuid?.(account.uid);
  } catch (error) {
    refuse(`${quoted(account.name)}: ${(error as Error).message}`, hint, error);
  }
  if ([process.getuid?.(), process.geteuid?.(), process.getgid?.(), process.getegid?.()].includes(0)) {
    refuse(`${quoted(account.name)}: is still root's user or group`);
  }
  resetEnvironment(account, process.env);
  checkWorkingDirectory(account, workingDirectory);
  return account;
}

function currentFolder(): string {
  try {
    return process.cwd();
  } catch {
    return "."; // deleted, or beneath a folder that may not be read
  }
}

function checkWorkingDirectory(account: Account, wanted: "required" | "any"): void {
  try {
    accessSync(".", constants.X_OK);
    return;
  } catch (error) {
    if (wanted === "any") {
      process.chdir("/");
      return;
    }
    refuse(
      `${quoted(account.name)} cannot enter the working directory ${quoted(currentFolder())}`,
      `change to a folder that ${account.name} can enter`,
      error,
    );
  }
}
