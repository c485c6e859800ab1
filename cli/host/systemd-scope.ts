import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { BelljarError } from "../../policy/errors.ts";
import { quoted } from "../output/terminal.ts";
import { callerCgroup, parseOwnCgroups, scopeSlice } from "./cgroup-delegation.ts";
import { callSerial, converse, type DbusMessage, encodeUnit, messageKinds } from "./dbus.ts";
import { folderUid } from "./facts.ts";
import { hostFiles } from "./host-files.ts";
import { parseMountInfo, pathThroughMount } from "./mountinfo.ts";
import { findUserManager } from "./user-manager.ts";

/** A scope that a run needs: made by the user's manager of systemd, gone when no process is left in it. */
export interface Scope {
  readonly unit: string;
  /** Where its cgroup is expected. */
  readonly path: string;
}

/** A manager that has much to do tells what it has done of that; one that says nothing at all for so long is stuck. */
const silenceMs = 20_000;

const properties = (pid: number) =>
  ({
    Description: { type: "s", value: "belljar: one run" },
    Slice: { type: "s", value: scopeSlice },
    PIDs: { type: "au", value: [pid] },
    // Ours to divide; and an OOM kill in it ends the program, not the scope (OOMPolicy=continue follows from it).
    Delegate: { type: "b", value: true },
    CollectMode: { type: "s", value: "inactive-or-failed" },
    // The limits are the run's own affair.
    TasksMax: { type: "t", value: 0xffff_ffff_ffff_ffffn },
  }) as const;

function refused({ unit }: Scope, reason: string, cause?: unknown): BelljarError {
  return new BelljarError("limit-unenforceable", `making a cgroup: the user's manager of systemd: ${quoted(unit)}: ${reason}`, {
    cause,
    hint: '\'belljar doctor\' tries it; "cgroup": { "use": "none" } in the configuration does without cgroups',
  });
}

/** Listens until the job that starts the unit is over. Throws when it failed. */
function untilStarted(unit: string): (message: DbusMessage) => boolean {
  return ({ kind, member, replySerial, errorName, strings }) => {
    if (kind === messageKinds.error && replySerial === callSerial) throw new Error(strings[0] ?? errorName ?? "refuses");
    if (kind !== messageKinds.signal || member !== "JobRemoved" || strings[1] !== unit) return false;
    if (strings[2] !== "done") throw new Error(`the job that starts it is '${strings[2] ?? ""}'`);
    return true;
  };
}

/** Where a process is, as a directory of the cgroup v2 mount. */
function directoryOf(pid: number): string | null {
  const mount = parseMountInfo(readFileSync("/proc/self/mountinfo", "utf8")).findLast((one) => one.fsType === "cgroup2");
  const own = parseOwnCgroups(readFileSync(`/proc/${pid}/cgroup`, "utf8")).get("");
  return mount === undefined || own === undefined ? null : pathThroughMount(mount, own);
}

/**
 * Asks the user's manager of systemd for the scope with this process in it, and puts the process into a leaf of that, so that controllers can
 * be enabled for others. A process cannot move there by itself: the common ancestor of a session and its user's manager is root's.
 * `signal` ends the wait when nobody needs it any more. Throws BelljarError `limit-unenforceable`.
 */
export async function enterScope(scope: Scope, pid: number, signal?: AbortSignal): Promise<void> {
  const files = hostFiles();
  const uid = folderUid(files, process.getuid?.() ?? 0);
  const manager = findUserManager(files, { mounts: parseMountInfo(files.text("/proc/self/mountinfo") ?? ""), uid });
  if (manager === null) throw refused(scope, "it is gone");
  const call = {
    path: "/org/freedesktop/systemd1",
    interface: "org.freedesktop.systemd1.Manager",
    member: "StartTransientUnit",
    signature: "ssa(sv)a(sa(sv))",
    body: encodeUnit(scope.unit, "fail", properties(pid)),
  };
  try {
    await converse({ socket: manager.socket, uid, call, silenceMs, signal }, untilStarted(scope.unit));
    const found = directoryOf(pid);
    if (found !== scope.path) throw new Error(`process ${pid} is in '${found ?? ""}', not in '${scope.path}'`);
    mkdirSync(`${scope.path}/${callerCgroup}`);
    writeFileSync(`${scope.path}/${callerCgroup}/cgroup.procs`, String(pid));
  } catch (error) {
    throw refused(scope, (error as Error).message, error);
  }
}
