// What libseccomp says of itself, of architectures and of system calls.
import assert from "node:assert/strict";
import { test } from "node:test";
import {
  apiLevel,
  archByName,
  arches,
  nativeArch,
  SeccompError,
  setApiLevel,
  syscallName,
  syscallNumber,
  syscallNumberRewritten,
  version,
} from "seccomp-ts-bindings";

const newerArches = ["loongarch64", "m68k", "sh", "sheb"];

test("says which library it uses", () => {
  const { major, minor, micro } = version();
  assert.ok(major === 2 && minor >= 5 && micro >= 0);
  assert.ok(apiLevel() >= 1);
  assert.ok([arches.x86_64, arches.aarch64, arches.riscv64].includes(nativeArch()));
});

test("the tokens are libseccomp's", () => {
  for (const [name, token] of Object.entries(arches)) {
    if (name === "native" || (version().minor < 6 && newerArches.includes(name))) continue;
    assert.equal(archByName(name), token, name);
  }
  for (const unknown of ["vax", "", "x86_64\0", "x".repeat(10_000)]) assert.equal(archByName(unknown), null);
});

test("resolves names and numbers", () => {
  assert.equal(syscallNumber(arches.x86_64, "read"), 0);
  assert.equal(syscallNumber(arches.aarch64, "read"), 63);
  assert.equal(syscallNumber(arches.x86, "mkdir"), 39);
  assert.equal(syscallNumber(arches.native, "read"), syscallNumber(nativeArch(), "read"));
  assert.equal(syscallName(arches.aarch64, 63), "read");
  assert.ok(syscallNumber(arches.aarch64, "open") < 0, "a pseudo number: aarch64 has no open");
  assert.equal(syscallNumber(arches.x86_64, "raed"), null);
  assert.equal(syscallNumber(arches.x86_64, "read\0junk"), null);
  assert.equal(syscallNumber(arches.x86_64, "r".repeat(10_000)), null);
  assert.equal(syscallNumber(arches.x86_64, ""), null);
  assert.equal(syscallName(arches.x86_64, 100_000), null);
  assert.equal(syscallNumber(0xdeadbeef, "read"), null);
});

test("a rewritten number is the multiplexer's", () => {
  const ipc = syscallNumber(arches.s390x, "ipc");
  assert.ok(ipc > 0);
  assert.equal(syscallNumberRewritten(arches.s390x, "no_such_call"), null);
  assert.equal(syscallNumberRewritten(arches.x86_64, "read"), 0);
  const plain = syscallNumber(arches.x86, "accept");
  const rewritten = syscallNumberRewritten(arches.x86, "accept");
  assert.ok(plain < 0, "x86 has accept within socketcall alone");
  assert.equal(rewritten, syscallNumber(arches.x86, "socketcall"));
});

test("takes an API level", () => {
  const before = apiLevel();
  setApiLevel(1);
  assert.equal(apiLevel(), 1);
  assert.throws(
    () => setApiLevel(99),
    (error) => error instanceof SeccompError && error.code === "EINVAL",
  );
  setApiLevel(before);
});
