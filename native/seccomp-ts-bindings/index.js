// The typed face of the addon: plain numbers of libseccomp in, typed results and one error class out.
import { createRequire } from "node:module";
import { constants } from "node:os";

const native = createRequire(import.meta.url)("./build/seccomp.node");

/** Tokens of libseccomp (seccomp.h: SCMP_ARCH_*). */
export const arches = Object.freeze({
  native: 0,
  x86: 0x40000003,
  x86_64: 0xc000003e,
  x32: 0x4000003e,
  arm: 0x40000028,
  aarch64: 0xc00000b7,
  riscv64: 0xc00000f3,
  ppc64le: 0xc0000015,
  s390x: 0x80000016,
});

/** Return values of a filter (seccomp.h: SCMP_ACT_*). */
export const actions = Object.freeze({
  killProcess: 0x80000000,
  killThread: 0x00000000,
  trap: 0x00030000,
  notify: 0x7fc00000,
  log: 0x7ffc0000,
  allow: 0x7fff0000,
  errno: (number) => (0x00050000 | word(number, "errno")) >>> 0,
  trace: (message) => (0x7ff00000 | word(message, "message")) >>> 0,
});

/** Filter attributes (seccomp.h: SCMP_FLTATR_*). */
export const attributes = Object.freeze({
  defaultAction: 1,
  badArchAction: 2,
  noNewPrivs: 3,
  threadSync: 4,
  allowSkipRules: 5,
  log: 6,
  disableSsbMitigation: 7,
  optimize: 8,
  rawReturnCodes: 9,
});

/** Comparison operators (seccomp.h: SCMP_CMP_*). */
export const operators = Object.freeze({ ne: 1, lt: 2, le: 3, eq: 4, ge: 5, gt: 6, maskedEq: 7 });

const errnoNames = new Map(Object.entries(constants.errno).map(([name, number]) => [number, name]));

export class SeccompError extends Error {
  constructor(operation, errno) {
    const code = errnoNames.get(errno) ?? `E${errno}`;
    super(`${operation}: ${code}`);
    this.name = "SeccompError";
    this.operation = operation;
    this.errno = errno;
    this.code = code;
  }
}

function word(number, name) {
  if (!Number.isInteger(number) || number < 0 || number > 0xffff) throw new TypeError(`${name} must be an integer from 0 to 65535`);
  return number;
}

function datum(value, name) {
  if (typeof value === "bigint" && value >= 0n && value <= 0xffffffffffffffffn) return value;
  if (typeof value === "number" && Number.isSafeInteger(value) && value >= 0) return BigInt(value);
  throw new TypeError(`${name} must be an unsigned 64-bit integer (number or bigint)`);
}

function check(operation, status) {
  if (status < 0) throw new SeccompError(operation, -status);
}

function flatten(conditions) {
  if (!Array.isArray(conditions) || conditions.length > 6) throw new TypeError("conditions must be an array of at most 6");
  const words = new BigUint64Array(conditions.length * 4);
  conditions.forEach((condition, i) => {
    if (typeof condition !== "object" || condition === null) throw new TypeError(`conditions[${i}] must be an object`);
    const { index, op, value, mask } = condition;
    if (!Number.isInteger(index) || index < 0 || index > 5) throw new TypeError(`conditions[${i}].index must be an integer from 0 to 5`);
    if (typeof op !== "string" || !Object.hasOwn(operators, op)) throw new TypeError(`conditions[${i}].op is unknown`);
    const masked = op === "maskedEq";
    if (masked !== (mask !== undefined)) throw new TypeError(`conditions[${i}].mask belongs to maskedEq, and only to it`);
    const first = datum(masked ? mask : value, `conditions[${i}].${masked ? "mask" : "value"}`);
    // libseccomp takes the mask as the first datum and the value as the second.
    words.set([BigInt(index), BigInt(operators[op]), first, masked ? datum(value, `conditions[${i}].value`) : 0n], i * 4);
  });
  return words;
}

/** One filter under construction. Its memory goes with the object, or earlier by release(). */
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
    check("seccomp_attr_set", this.#native.setAttribute(attribute, value));
  }
  getAttribute(attribute) {
    const [status, value] = this.#native.getAttribute(attribute);
    check("seccomp_attr_get", status);
    return value;
  }
  setPriority(syscall, priority) {
    check("seccomp_syscall_priority", this.#native.setPriority(syscall, priority));
  }
  addRule(action, syscall, conditions = [], { exact = false } = {}) {
    check(exact ? "seccomp_rule_add_exact" : "seccomp_rule_add", this.#native.addRule(action, syscall, flatten(conditions), exact));
  }
  exportBpf() {
    const result = this.#native.exportBpf();
    if (typeof result === "number") throw new SeccompError("seccomp_export_bpf", -result);
    return new Uint8Array(result);
  }
  exportPfc() {
    const result = this.#native.exportPfc();
    if (typeof result === "number") throw new SeccompError("seccomp_export_pfc", -result);
    return new TextDecoder().decode(result);
  }
}

export function version() {
  const [major, minor, micro] = native.version();
  return { major, minor, micro };
}

export function apiLevel() {
  return native.apiLevel();
}

export function nativeArch() {
  return native.nativeArch();
}

export function syscallNumber(arch, name) {
  return native.syscallNumber(arch, name);
}

export function syscallName(arch, number) {
  return native.syscallName(arch, number);
}
