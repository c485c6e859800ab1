// Answers for calls that a loaded filter leaves to a supervisor (actions.notify).
import { constants } from "node:os";
import { check, checkSystem } from "./errors.js";
import { native } from "./native.js";
import { object, signed64 } from "./values.js";

const continueFlag = 1; // SECCOMP_USER_NOTIF_FLAG_CONTINUE
const maxErrno = 4095;

export function receiveNotification(fd, { timeoutMs = 0 } = {}) {
  const [status, words] = native.notifyReceive(fd, timeoutMs);
  checkSystem("seccomp_notify_receive", status);
  if (words === null) return null;
  const [id, pid, flags, syscall, arch, instructionPointer, ...args] = words;
  return { id, pid, flags, syscall, arch, instructionPointer, args };
}

export function respondNotification(fd, response) {
  const { id, value, errno, continue: goOn } = object(response, "the response");
  if ([value, errno, goOn].filter((answer) => answer !== undefined).length !== 1)
    throw new TypeError("the response must have exactly one of value, errno and continue");
  if (errno !== undefined && !(Number.isInteger(errno) && errno >= 1 && errno <= maxErrno))
    throw new TypeError(`errno must be an integer from 1 to ${maxErrno}`);
  if (goOn !== undefined && goOn !== true) throw new TypeError("continue must be true");
  const result = value === undefined ? 0n : signed64(value, "value");
  checkSystem("seccomp_notify_respond", native.notifyRespond(fd, id, result, -(errno ?? 0), goOn ? continueFlag : 0));
}

export function isNotificationValid(fd, id) {
  const status = native.notifyIdValid(fd, id);
  if (status === -constants.errno.ENOENT) return false;
  check("seccomp_notify_id_valid", status);
  return true;
}
