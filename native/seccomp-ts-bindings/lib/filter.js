// One filter under construction.
import { writeSync } from "node:fs";
import { constants } from "node:os";
import { attributes } from "./constants.js";
import { check, checkSystem, SeccompError, SeccompUnsupportedError } from "./errors.js";
import { version } from "./library.js";
import { native } from "./native.js";
import { packConditions } from "./values.js";

/** Attributes that the library may be too old for; an old one calls them unknown. */
const newerAttributes = new Map([[attributes.waitKillable, { since: "2.6", minor: 6 }]]);

function checkAttribute(operation, attribute) {
  const newer = newerAttributes.get(attribute);
  if (newer !== undefined && version().minor < newer.minor) throw new SeccompUnsupportedError(operation, newer.since);
}

/** For functions that came with 2.6: null stands for their absence. */
function checkNewer(operation, status) {
  if (status === null) throw new SeccompUnsupportedError(operation, "2.6");
  check(operation, status);
}

function exported(operation, result) {
  if (typeof result === "number") throw new SeccompError(operation, -result);
  return new Uint8Array(result);
}

/** libseccomp's own export to a descriptor takes a short write for success. */
function writeAll(fd, bytes) {
  if (!Number.isInteger(fd) || fd < 0 || fd > 0x7fffffff) throw new TypeError("the descriptor must be an integer from 0 to 2147483647");
  try {
    for (let done = 0; done < bytes.length; ) done += writeSync(fd, bytes, done);
  } catch (error) {
    throw new SeccompError("write", -error.errno || constants.errno.EIO);
  }
}

export class Filter {
  #native;

  constructor(defaultAction) {
    this.#native = new native.NativeFilter(defaultAction);
    if (!this.#native.valid()) throw new SeccompError("seccomp_init", constants.errno.EINVAL);
  }
  get released() {
    return !this.#native.valid();
  }
  release() {
    this.#native.release();
  }
  reset(defaultAction) {
    check("seccomp_reset", this.#native.reset(defaultAction));
  }
  merge(other) {
    if (!(other instanceof Filter)) throw new TypeError("other must be a Filter");
    check("seccomp_merge", this.#native.merge(other.#native));
  }
  addArch(arch) {
    check("seccomp_arch_add", this.#native.addArch(arch));
  }
  removeArch(arch) {
    check("seccomp_arch_remove", this.#native.removeArch(arch));
  }
  hasArch(arch) {
    const status = this.#native.hasArch(arch);
    if (status === -constants.errno.EEXIST) return false;
    check("seccomp_arch_exist", status);
    return true;
  }
  setAttribute(attribute, value) {
    checkAttribute("seccomp_attr_set", attribute);
    check("seccomp_attr_set", this.#native.setAttribute(attribute, value));
  }
  getAttribute(attribute) {
    checkAttribute("seccomp_attr_get", attribute);
    const [status, value] = this.#native.getAttribute(attribute);
    check("seccomp_attr_get", status);
    return value;
  }
  setPriority(syscall, priority) {
    check("seccomp_syscall_priority", this.#native.setPriority(syscall, priority));
  }
  addRule(action, syscall, conditions = [], { exact = false } = {}) {
    check(exact ? "seccomp_rule_add_exact" : "seccomp_rule_add", this.#native.addRule(action, syscall, packConditions(conditions), exact));
  }
  startTransaction() {
    checkNewer("seccomp_transaction_start", this.#native.startTransaction());
  }
  commitTransaction() {
    checkNewer("seccomp_transaction_commit", this.#native.commitTransaction());
  }
  rejectTransaction() {
    checkNewer("seccomp_transaction_reject", this.#native.rejectTransaction());
  }
  precompute() {
    checkNewer("seccomp_precompute", this.#native.precompute());
  }
  exportBpf() {
    return exported("seccomp_export_bpf", this.#native.exportBpf());
  }
  exportPfc() {
    return new TextDecoder().decode(exported("seccomp_export_pfc", this.#native.exportPfc()));
  }
  writeBpf(fd) {
    writeAll(fd, this.exportBpf());
  }
  writePfc(fd) {
    writeAll(fd, exported("seccomp_export_pfc", this.#native.exportPfc()));
  }
  load() {
    checkSystem("seccomp_load", this.#native.load());
  }
  notifyFd() {
    const fd = this.#native.notifyFd();
    return fd < 0 ? null : fd;
  }
}
