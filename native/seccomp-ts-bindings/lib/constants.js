// Numbers of libseccomp (seccomp.h) and of the kernel (linux/audit.h, linux/seccomp.h), which never change.

function word(number, name) {
  if (!Number.isInteger(number) || number < 0 || number > 0xffff) throw new TypeError(`${name} must be an integer from 0 to 65535`);
  return number;
}

export const arches = Object.freeze({
  native: 0,
  x86: 0x40000003,
  x86_64: 0xc000003e,
  x32: 0x4000003e,
  arm: 0x40000028,
  aarch64: 0xc00000b7,
  loongarch64: 0xc0000102,
  m68k: 0x00000004,
  mips: 0x00000008,
  mips64: 0x80000008,
  mips64n32: 0xa0000008,
  mipsel: 0x40000008,
  mipsel64: 0xc0000008,
  mipsel64n32: 0xe0000008,
  parisc: 0x0000000f,
  parisc64: 0x8000000f,
  ppc: 0x00000014,
  ppc64: 0x80000015,
  ppc64le: 0xc0000015,
  riscv64: 0xc00000f3,
  s390: 0x00000016,
  s390x: 0x80000016,
  sh: 0x4000002a,
  sheb: 0x0000002a,
});

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
  waitKillable: 10,
});

export const operators = Object.freeze({ ne: 1, lt: 2, le: 3, eq: 4, ge: 5, gt: 6, maskedEq: 7 });
