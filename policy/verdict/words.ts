/** Sentences for people: what a failure of ours, of the start, or of an output file means. */

import type { LaunchPlan } from "../compile/types.ts";
import { errnoName } from "../seccomp/errno.ts";
import { formatSize } from "../units.ts";
import type { FileOut, FsEntry, OutputFailure, OutputRecord, RunRecord } from "../wire/wire.gen.ts";
import { steps } from "../wire/wire.gen.ts";

/** strerror(3) for the errors that a launch meets; others have their name alone. */
const errnoTexts: Readonly<Record<string, string>> = {
  EPERM: "operation not permitted",
  ENOENT: "no such file or directory",
  EIO: "input/output error",
  E2BIG: "argument list too long",
  ENOEXEC: "not an executable format",
  EBADF: "bad file descriptor",
  EAGAIN: "resource temporarily unavailable",
  ENOMEM: "out of memory",
  EACCES: "permission denied",
  EBUSY: "busy",
  EEXIST: "file exists",
  EXDEV: "crosses a mount",
  ENODEV: "no such device or file system type",
  ENOTDIR: "not a directory",
  EISDIR: "is a directory",
  EINVAL: "invalid argument",
  EMFILE: "too many open files",
  ENFILE: "too many open files on this host",
  EFBIG: "file too large",
  ENOSPC: "no space left, or a limit of the kernel reached",
  EROFS: "read-only file system",
  EPIPE: "the other side is gone",
  ENAMETOOLONG: "name too long",
  ENOSYS: "not implemented by this kernel, or hidden by a filter",
  ELOOP: "a symbolic link is in the way",
  EBADMSG: "malformed",
  EOPNOTSUPP: "not supported",
  ETIMEDOUT: "timed out",
  EUSERS: "too many",
};

/** "ENOENT (no such file or directory)"; accepts the kernel's negative numbers too. */
export function errnoWords(errno: number): string {
  const name = errnoName(Math.abs(errno));
  if (name === null) return `error ${Math.abs(errno)}`;
  const text = errnoTexts[name];
  return text === undefined ? name : `${name} (${text})`;
}

export interface Explained {
  readonly message: string;
  readonly hint: string | null;
}

/** As it stands between quotes in a message. */
const shown = (text: string): string => `'${text.replaceAll("\r", "\\r").replaceAll("\n", "\\n")}'`;

/** Why the program could not be started. */
export function startFailureWords(record: RunRecord, { exec }: LaunchPlan): Explained {
  const text = record.errorText;
  const { reason, hint = null } = startReason(record, text);
  const what = record.startFailure === "workdirMissing" ? `in ${shown(exec.cwd)}` : shown(exec.argv[0] ?? "");
  return { message: `could not start ${what}: ${reason}`, hint };
}

function startReason({ startFailure, errorErrno }: RunRecord, text: string): { readonly reason: string; readonly hint?: string } {
  switch (startFailure) {
    case "notFound":
      return { reason: "command not found in the sandbox" };
    case "notExecutable":
      return {
        reason: `${shown(text)} is not executable`,
        hint: "make it executable (chmod +x), or name its interpreter before it",
      };
    case "isDirectory":
      return { reason: `${shown(text)} is a directory` };
    case "interpreterMissing":
      return { reason: `its interpreter ${shown(text)} does not exist in the sandbox`, hint: 'check the first line of the script ("#!…")' };
    case "loaderMissing":
      return {
        reason: `the loader ${shown(text)} that it needs does not exist in the sandbox`,
        hint: "link the program statically, or run it on a root file system that has its libraries (--rootfs DIR)",
      };
    case "wrongFormat":
      return {
        reason: 'neither a program of this system nor a script with "#!" in its first line',
        hint: "name its interpreter before it",
      };
    case "wrongArchitecture":
      return { reason: `${shown(text)} was built for another kind of processor` };
    case "crlfShebang":
      return {
        reason: `its first line ends in CRLF, so its interpreter is taken to be ${shown(text)}`,
        hint: "convert the line ends: sed -i 's/\\r$//' FILE",
      };
    case "argumentsTooLong":
      return { reason: "its arguments and environment are longer than the kernel takes", hint: "pass large data through stdin or a file" };
    case "workdirMissing":
      return { reason: `cannot make it the working directory: ${errnoWords(errorErrno)}` };
    case "denied":
      return { reason: `${shown(text)}: it, or what it needs to start, may not be executed here (${errnoWords(errorErrno)})` };
    case "none":
    case "other":
      return { reason: `${text === "" ? "" : `${shown(text)}: `}${errnoWords(errorErrno)}` };
  }
}

export const outOfMemory: Explained = {
  message:
    "the kernel killed the program for want of memory outside its limit, which it had not reached: of the host, or of a cgroup above the run's",
  hint: "give the host, or that cgroup, more memory; or run fewer programs at once",
};

export const stepMessage = (step: string, stage: string, rest: string): string => `step ${step} (${stage}) failed${rest}`;
export const initDiedMessage = (rest: string): string => `the sandbox's first process died unasked${rest} (step initDied)`;

/** Which step of ours failed, on what, and why. */
export function stepFailureWords(record: RunRecord, plan: LaunchPlan): Explained {
  const { errorStep, errorErrno, errorText, errorStage } = record;
  const doc = steps.find(({ name }) => name === errorStep)?.doc ?? "";
  const subject = stepSubject(record, plan);
  const about = errorText === "" || subject.includes(errorText) ? "" : `: ${shown(errorText)}`;
  const reason = errorErrno === 0 ? "" : `: ${errnoWords(errorErrno)}`;
  if (errorStep === "supervise" && errorText === "memory") return outOfMemory;
  if (errorStep === "initDied") return { message: initDiedMessage(`${about}${reason}`), hint: null };
  return {
    message: stepMessage(errorStep, errorStage, `${subject === "" ? ` (${doc})` : `: ${subject}`}${about}${reason}`),
    hint: errorStep === "filesystem" ? mountHint(plan.sandbox, record) : null,
  };
}

export function stepSubject({ errorStep, errorIndex, errorText }: RunRecord, { sandbox, exec }: LaunchPlan): string {
  switch (errorStep) {
    case "filesystem":
      return entryWords(sandbox.filesystem[errorIndex]);
    case "landlock":
      return sandbox.landlock[errorIndex] === undefined ? "" : `Landlock rule for ${shown(sandbox.landlock[errorIndex].path)}`;
    case "rlimits":
      return exec.rlimits[errorIndex] === undefined ? "" : `resource limit number ${exec.rlimits[errorIndex].resource}`;
    case "supervise":
      return errorText.startsWith("/") ? "the run's cgroup was removed or can no longer be written" : "";
    case "deliver":
      return `writing the program's ${errorText} to where it was to go`;
    case "filesIn":
      return exec.filesIn[errorIndex] === undefined
        ? ""
        : `copying ${shown(exec.filesIn[errorIndex].hostPath)} to ${shown(`${sandbox.workPath}/${exec.filesIn[errorIndex].target}`)}`;
    default:
      return "";
  }
}

export function entryWords(entry: FsEntry | undefined): string {
  if (entry === undefined) return "";
  switch (entry.kind) {
    case "bind":
      return `mounting ${shown(entry.source)} on ${shown(entry.target)}`;
    case "directory":
    case "file":
    case "symlink":
      return `making the ${entry.kind} ${shown(entry.target)}`;
    case "mask":
      return `hiding ${shown(entry.target)}`;
    case "readOnly":
      return `making ${shown(entry.target)} read-only`;
    default:
      return `mounting ${entry.kind} on ${shown(entry.target)}`;
  }
}

export const mountHints = {
  noMountPoint: "no mount point can be made in a folder of the host: choose a target such as /mnt/x, or one that exists",
  sourceMissing: "the source must exist on the host and be reachable for this user",
  imageInTheWay: "the image has something else there or above: a file, a folder, or a link that leads nowhere or to itself",
} as const;

/** The launcher makes mount points only in its own skeleton and in the throw-away top of an image, never in a tree of the host's: EROFS says just that. */
function mountHint({ filesystem, rootKind }: LaunchPlan["sandbox"], { errorIndex, errorErrno, errorText }: RunRecord): string | null {
  const errno = errnoName(Math.abs(errorErrno));
  const entry = filesystem[errorIndex];
  if (entry === undefined) return null;
  if (errno === "EROFS") return mountHints.noMountPoint;
  if (errno === "ENOENT" && entry.kind === "bind" && errorText === entry.source) return mountHints.sourceMissing;
  if (rootKind !== "skeleton" && ["ENOTDIR", "EISDIR", "EEXIST", "ELOOP"].includes(errno ?? "")) return mountHints.imageInTheWay;
  return null;
}

const outputReasons: Readonly<Record<OutputFailure, string>> = {
  none: "",
  missing: "no such file",
  notRegular: "not a regular file",
  link: "a symbolic link is in its path",
  tooBig: "larger than its size limit",
  unreadable: "cannot be read",
  destination: "cannot be written",
  notBeneath: "not beneath the work folder",
};

/** Why a file was not copied out, naming its destination where that is the cause; null where it was copied. */
export function outputError({ failure, error }: OutputRecord, { hostPath, maxBytes }: FileOut): string | null {
  if (failure === "none") return null;
  if (failure === "tooBig") return `${outputReasons.tooBig} of ${formatSize(Number(maxBytes))}`;
  const errno = error === 0 || !["unreadable", "destination"].includes(failure) ? "" : `: ${errnoWords(error)}`;
  return `${failure === "destination" ? `${shown(hostPath)} ` : ""}${outputReasons[failure]}${errno}`;
}
