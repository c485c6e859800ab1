// What libseccomp says of itself, of architectures and of system calls.
import { check } from "./errors.js";
import { native } from "./native.js";

export function version() {
  const [major, minor, micro] = native.version();
  return { major, minor, micro };
}

export function apiLevel() {
  return native.apiLevel();
}

export function setApiLevel(level) {
  check("seccomp_api_set", native.setApiLevel(level));
}

export function resetState() {
  check("seccomp_reset", native.resetState());
}

export function nativeArch() {
  return native.nativeArch();
}

export function archByName(name) {
  return native.archOf(name);
}

export function syscallNumber(arch, name) {
  return native.syscallNumber(arch, name);
}

export function syscallNumberRewritten(arch, name) {
  return native.syscallNumberRewritten(arch, name);
}

export function syscallName(arch, number) {
  return native.syscallName(arch, number);
}
