// One class for whatever libseccomp refuses, with a subclass for what the installed one does not have.
import { constants } from "node:os";

const errnoNames = new Map(Object.entries(constants.errno).map(([name, number]) => [number, name]));
const nameOf = (errno) => errnoNames.get(errno) ?? `E${errno}`;

/** What these answers mean where the errno alone would not say it. */
const reasons = {
  "seccomp_init EINVAL": "no action that this library and kernel know",
  "seccomp_reset EINVAL": "no action that this library and kernel know",
  "seccomp_merge EINVAL": "both filters must have the same default action and noNewPrivs",
  "seccomp_merge EEXIST": "the filters have an architecture in common",
  "seccomp_merge EDOM": "the architectures of one filter must have the same byte order",
  "seccomp_arch_add EINVAL": "no architecture that this library knows",
  "seccomp_arch_add EEXIST": "the filter has this architecture already",
  "seccomp_arch_add EDOM": "the architectures of one filter must have the same byte order",
  "seccomp_arch_remove EEXIST": "the filter does not have this architecture",
  "seccomp_attr_set EACCES": "the attribute can only be read",
  "seccomp_attr_set EOPNOTSUPP": "not supported by this kernel",
  "seccomp_rule_add EACCES": "the action is the filter's default action",
  "seccomp_rule_add EINVAL": "no such action, call or comparison, or two conditions on one argument",
  "seccomp_rule_add_exact EACCES": "the action is the filter's default action",
  "seccomp_rule_add_exact EINVAL": "no such action, call or comparison, or two conditions on one argument",
  "seccomp_rule_add_exact EOPNOTSUPP": "an exact rule needs a filter of one architecture",
  "seccomp_rule_add_exact EDOM": "this architecture can only approximate the rule",
  "seccomp_notify_receive EPIPE": "no program is left under the filter",
};

export class SeccompError extends Error {
  constructor(operation, errno, systemErrno = 0) {
    const code = nameOf(errno);
    const systemCode = systemErrno === 0 ? null : nameOf(systemErrno);
    const reason = systemCode === null ? reasons[`${operation} ${code}`] : `the kernel says ${systemCode}`;
    super(`${operation}: ${code}${reason === undefined ? "" : ` (${reason})`}`);
    this.name = "SeccompError";
    this.operation = operation;
    this.errno = errno;
    this.code = code;
    this.systemCode = systemCode;
  }
}

export class SeccompUnsupportedError extends SeccompError {
  constructor(operation, since) {
    super(operation, constants.errno.EOPNOTSUPP);
    this.name = "SeccompUnsupportedError";
    this.message = `${operation}: needs libseccomp ${since} or later`;
    this.since = since;
  }
}

/** Throws for a negative status of libseccomp. */
export function check(operation, status) {
  if (status < 0) throw new SeccompError(operation, -status);
}

/** The same for a pair of status and the kernel's errno; libseccomp stands for the kernel with ECANCELED. */
export function checkSystem(operation, [status, systemErrno]) {
  if (status < 0) throw new SeccompError(operation, -status, -status === constants.errno.ECANCELED ? systemErrno : 0);
}
