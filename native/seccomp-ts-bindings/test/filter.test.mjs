// Filters under construction: what libseccomp makes of them, and what it refuses.
import assert from "node:assert/strict";
import { closeSync, mkdtempSync, openSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { actions, arches, attributes, Filter, nativeArch, operators, SeccompError, syscallNumber } from "seccomp-ts-bindings";

const foreign = nativeArch() === arches.aarch64 ? arches.x86_64 : arches.aarch64;

const refused = (operation, code) => (error) => {
  assert.ok(error instanceof SeccompError);
  assert.deepEqual([error.operation, error.code], [operation, code]);
  assert.ok(error.errno > 0);
  return true;
};

test("builds and exports a filter", () => {
  const filter = new Filter(actions.allow);
  filter.addRule(actions.errno(1), syscallNumber(nativeArch(), "ioctl"), [{ index: 1, op: "maskedEq", mask: 0xffffffffn, value: 0x5412 }]);
  const bytes = filter.exportBpf();
  assert.ok(bytes.length > 0 && bytes.length % 8 === 0);
  assert.match(filter.exportPfc(), /ioctl[\s\S]*a1\.lo32 & 0xffffffff == 21522[\s\S]*action ERRNO\(1\)/);
  filter.reset(actions.killProcess);
  assert.doesNotMatch(filter.exportPfc(), /ioctl/);
});

test("takes every operator, and puts mask and value in their places", () => {
  const number = syscallNumber(nativeArch(), "lseek");
  for (const op of Object.keys(operators)) {
    const filter = new Filter(actions.allow);
    filter.addRule(actions.trap, number, [op === "maskedEq" ? { index: 1, op, mask: 0xff, value: 3 } : { index: 1, op, value: 3 }]);
    assert.match(filter.exportPfc(), op === "maskedEq" ? /0x000000ff == 3/ : /3\)/);
  }
});

test("knows architectures and attributes", () => {
  const filter = new Filter(actions.allow);
  assert.equal(filter.hasArch(nativeArch()), true);
  assert.equal(filter.hasArch(foreign), false);
  filter.addArch(foreign);
  assert.equal(filter.hasArch(foreign), true);
  assert.throws(() => filter.addArch(foreign), refused("seccomp_arch_add", "EEXIST"));
  filter.removeArch(foreign);
  assert.throws(() => filter.removeArch(foreign), refused("seccomp_arch_remove", "EEXIST"));
  assert.throws(() => filter.addArch(0xdeadbeef), refused("seccomp_arch_add", "EINVAL"));
  // noNewPrivs is on from the start, the rest off.
  for (const [name, before] of [
    ["noNewPrivs", 1],
    ["threadSync", 0],
    ["allowSkipRules", 0],
    ["log", 0],
    ["disableSsbMitigation", 0],
    ["rawReturnCodes", 0],
  ]) {
    assert.equal(filter.getAttribute(attributes[name]), before, name);
    filter.setAttribute(attributes[name], 1 - before);
    assert.equal(filter.getAttribute(attributes[name]), 1 - before, name);
  }
  const skipped = new Filter(actions.allow);
  assert.throws(() => skipped.addRule(actions.trap, -1), refused("seccomp_rule_add", "EINVAL"));
  skipped.setAttribute(attributes.allowSkipRules, 1);
  skipped.addRule(actions.trap, -1);
  filter.setAttribute(attributes.badArchAction, actions.errno(38));
  assert.equal(filter.getAttribute(attributes.badArchAction), actions.errno(38));
  filter.setAttribute(attributes.optimize, 2);
  assert.equal(filter.getAttribute(attributes.optimize), 2);
  assert.equal(filter.getAttribute(attributes.defaultAction), actions.allow);
  assert.throws(() => filter.setAttribute(attributes.defaultAction, actions.allow), refused("seccomp_attr_set", "EACCES"));
  assert.throws(() => filter.getAttribute(999), refused("seccomp_attr_get", "EINVAL"));
  filter.setPriority(0, 255);
});

test("turns what libseccomp refuses into typed errors", () => {
  const filter = new Filter(actions.allow);
  assert.throws(() => new Filter(0x12345678), refused("seccomp_init", "EINVAL"));
  assert.throws(() => filter.addRule(actions.allow, 0), refused("seccomp_rule_add", "EACCES"));
  const twice = [
    { index: 0, op: "ne", value: 38 },
    { index: 0, op: "ne", value: 40 },
  ];
  assert.throws(() => filter.addRule(actions.errno(1), 41, twice), refused("seccomp_rule_add", "EINVAL"));
  assert.throws(() => filter.addRule(actions.errno(1), 41, twice, { exact: true }), refused("seccomp_rule_add_exact", "EINVAL"));
  assert.throws(() => filter.reset(0x12345678), refused("seccomp_reset", "EINVAL"));
});

test("merges, and the merged filter is gone", () => {
  const filter = new Filter(actions.allow);
  const other = new Filter(actions.allow);
  assert.throws(() => filter.merge(other), refused("seccomp_merge", "EEXIST"));
  assert.equal(other.released, false);
  other.addArch(foreign);
  other.removeArch(nativeArch());
  filter.merge(other);
  assert.equal(other.released, true);
  assert.equal(filter.hasArch(foreign), true);
  assert.throws(() => other.exportBpf(), TypeError);
  assert.throws(() => filter.merge(filter), TypeError);
  assert.throws(() => filter.merge({}), TypeError);
});

test("a released filter throws, and may be released again", () => {
  const filter = new Filter(actions.allow);
  filter.release();
  filter.release();
  assert.equal(filter.released, true);
  for (const use of [() => filter.exportBpf(), () => filter.exportPfc(), () => filter.addRule(actions.trap, 0), () => filter.addArch(1)]) {
    assert.throws(use, { name: "TypeError", message: "the filter was released" });
  }
});

test("adds exact rules, or says that they cannot be", () => {
  const filter = new Filter(actions.allow);
  filter.addRule(actions.errno(1), syscallNumber(nativeArch(), "ioctl"), [{ index: 1, op: "eq", value: 1 }], { exact: true });
  filter.addArch(foreign);
  const add = () => filter.addRule(actions.errno(1), 0, [], { exact: true });
  assert.throws(add, refused("seccomp_rule_add_exact", "EOPNOTSUPP"));
});

test("rules of several architectures are of one filter", () => {
  const filter = new Filter(actions.allow);
  filter.addArch(foreign);
  filter.addRule(actions.errno(1), syscallNumber(arches.native, "mkdirat"));
  const pfc = filter.exportPfc();
  assert.equal(pfc.match(/"mkdirat"/g)?.length, 2, pfc);
  filter.removeArch(foreign);
  assert.equal(filter.exportPfc().match(/"mkdirat"/g)?.length, 1);
});

test("a call of higher priority is tested earlier", () => {
  const order = (first, second) => {
    const filter = new Filter(actions.allow);
    for (const name of ["read", "write"]) filter.addRule(actions.errno(1), syscallNumber(arches.native, name));
    filter.setPriority(syscallNumber(arches.native, first), 200);
    filter.setPriority(syscallNumber(arches.native, second), 100);
    return [...filter.exportPfc().matchAll(/^ *# filter for syscall "(\w+)"/gm)].map(([, name]) => name);
  };
  assert.deepEqual(order("read", "write"), ["read", "write"]);
  assert.deepEqual(order("write", "read"), ["write", "read"]);
});

test("writes to a descriptor what it exports, all of it", (t) => {
  const folder = mkdtempSync(join(tmpdir(), "seccomp-ts-bindings-"));
  t.after(() => rmSync(folder, { recursive: true }));
  const filter = new Filter(actions.allow);
  filter.addRule(actions.errno(1), 0);
  for (const [write, exported] of [
    ["writeBpf", filter.exportBpf()],
    ["writePfc", filter.exportPfc()],
  ]) {
    const path = join(folder, write);
    const fd = openSync(path, "w");
    filter[write](fd);
    closeSync(fd);
    assert.deepEqual(readFileSync(path), Buffer.from(exported));
    assert.throws(() => filter[write](fd), refused("write", "EBADF"));
    const readOnly = openSync(path, "r");
    assert.throws(() => filter[write](readOnly), refused("write", "EBADF"));
    closeSync(readOnly);
  }
  const full = openSync("/dev/full", "w");
  assert.throws(() => filter.writeBpf(full), refused("write", "ENOSPC"));
  closeSync(full);
});

test("a binary tree answers as the chain does, with rules and without", () => {
  const defaults = [actions.allow, actions.errno(5), actions.killProcess];
  for (let rules = 0; rules <= 60; rules += 5) {
    for (const defaultAction of defaults) {
      const [chain, tree] = [1, 2].map((level) => {
        const filter = new Filter(defaultAction);
        filter.setAttribute(attributes.optimize, level);
        for (let i = 0; i < rules; i++) filter.addRule(actions.errno(1 + (i % 3)), (i * 7) % 300);
        return filter.exportBpf();
      });
      for (let number = 0; number < 400; number++) {
        const call = { number, arch: nativeArch() };
        assert.equal(answer(tree, call), answer(chain, call), `${rules} rules, call ${number}`);
      }
      assert.equal(answer(tree, { number: 399, arch: nativeArch() }), defaultAction);
    }
  }
});

/** Runs the instructions that libseccomp uses for rules without conditions. */
function answer(bytes, { number, arch }) {
  const program = new DataView(bytes.buffer);
  let accumulator = 0;
  for (let at = 0; ; at += 8) {
    const [code, k] = [program.getUint16(at, true), program.getUint32(at + 4, true)];
    const jump = (taken) => program.getUint8(at + (taken ? 2 : 3)) * 8;
    if (code === 0x20) accumulator = k === 0 ? number : arch;
    else if (code === 0x15) at += jump(accumulator === k);
    else if (code === 0x25) at += jump(accumulator > k);
    else if (code === 0x35) at += jump(accumulator >= k);
    else if (code === 0x05) at += k * 8;
    else if (code === 0x06) return k;
    else throw new Error(`unexpected instruction ${code}`);
  }
}
