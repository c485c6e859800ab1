// Run by: node --expose-gc --test test/bindings.test.mjs
import assert from "node:assert/strict";
import { test } from "node:test";
import { Worker } from "node:worker_threads";
import {
  actions,
  apiLevel,
  arches,
  attributes,
  Filter,
  nativeArch,
  operators,
  SeccompError,
  syscallName,
  syscallNumber,
  version,
} from "seccomp-ts-bindings";

const refused = (operation, code) => (error) => {
  assert.ok(error instanceof SeccompError);
  assert.deepEqual([error.operation, error.code], [operation, code]);
  assert.ok(error.errno > 0);
  return true;
};

test("says which library it uses", () => {
  const { major, minor, micro } = version();
  assert.ok(major === 2 && minor >= 5 && micro >= 0);
  assert.ok(apiLevel() >= 1);
  assert.ok([arches.x86_64, arches.aarch64, arches.riscv64].includes(nativeArch()));
});

test("resolves names and numbers", () => {
  assert.equal(syscallNumber(arches.x86_64, "read"), 0);
  assert.equal(syscallNumber(arches.aarch64, "read"), 63);
  assert.equal(syscallNumber(arches.x86, "mkdir"), 39);
  assert.equal(syscallName(arches.aarch64, 63), "read");
  assert.ok(syscallNumber(arches.aarch64, "open") < 0, "a pseudo number: aarch64 has no open");
  assert.equal(syscallNumber(arches.x86_64, "raed"), null);
  assert.equal(syscallNumber(arches.x86_64, "read\0junk"), null);
  assert.equal(syscallNumber(arches.x86_64, "r".repeat(10_000)), null);
  assert.equal(syscallNumber(arches.x86_64, ""), null);
  assert.equal(syscallName(arches.x86_64, 100_000), null);
  assert.equal(syscallNumber(0xdeadbeef, "read"), null);
});

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
  const other = nativeArch() === arches.aarch64 ? arches.x86_64 : arches.aarch64;
  assert.equal(filter.hasArch(other), false);
  filter.addArch(other);
  assert.equal(filter.hasArch(other), true);
  assert.throws(() => filter.addArch(other), refused("seccomp_arch_add", "EEXIST"));
  filter.removeArch(other);
  assert.throws(() => filter.removeArch(other), refused("seccomp_arch_remove", "EEXIST"));
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
  const foreign = nativeArch() === arches.aarch64 ? arches.x86_64 : arches.aarch64;
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

test("refuses values of the wrong kind", () => {
  const filter = new Filter(actions.allow);
  const wrong = [undefined, null, "1", 1.5, -1, NaN, Infinity, 2 ** 32, 1n, {}, [], Symbol("x"), () => 1, true];
  for (const value of wrong) {
    assert.throws(() => new Filter(value), TypeError);
    assert.throws(() => filter.addArch(value), TypeError);
    assert.throws(() => filter.setAttribute(value, 1), TypeError);
    assert.throws(() => filter.setAttribute(8, value), TypeError);
    assert.throws(() => filter.addRule(value, 0), TypeError);
    assert.throws(() => syscallName(value, 0), TypeError);
    if (value !== undefined) assert.throws(() => filter.addRule(actions.trap, 0, Array.isArray(value) ? [value] : value), TypeError);
    const isDatum = value === 1n || value === 2 ** 32;
    if (!isDatum) assert.throws(() => filter.addRule(actions.trap, 0, [{ index: 0, op: "eq", value }]), TypeError);
    assert.throws(() => filter.addRule(actions.trap, 0, [{ index: value, op: "eq", value: 0 }]), TypeError);
  }
  assert.throws(() => filter.addRule(actions.trap, 0, [{ index: 6, op: "eq", value: 0 }]), TypeError);
  assert.throws(() => filter.addRule(actions.trap, 0, [{ index: 0, op: "toString", value: 0 }]), TypeError);
  assert.throws(() => filter.addRule(actions.trap, 0, [{ index: 0, op: "eq", value: 2n ** 64n }]), TypeError);
  assert.throws(() => filter.addRule(actions.trap, 0, Array(7).fill({ index: 0, op: "eq", value: 0 })), TypeError);
  assert.throws(() => actions.errno(65536), TypeError);
  assert.throws(() => Filter.prototype.exportBpf.call({}), TypeError);
  assert.throws(() => Filter(actions.allow), TypeError);
});

test("works in worker threads, which may end with filters alive", async () => {
  const code = `
    import("${new URL("../index.js", import.meta.url).href}").then(({ Filter, actions }) => {
      globalThis.kept = Array.from({ length: 100 }, () => new Filter(actions.allow));
      require("node:worker_threads").parentPort.postMessage(kept[0].exportBpf().length);
    });`;
  const sizes = await Promise.all(
    [1, 2, 3].map(
      () =>
        new Promise((resolve, reject) => {
          const worker = new Worker(code, { eval: true });
          worker.once("message", (size) => void worker.terminate().then(() => resolve(size)));
          worker.once("error", reject);
        }),
    ),
  );
  assert.deepEqual(new Set(sizes).size, 1);
  assert.ok(sizes[0] > 0);
});

test("frees the memory of filters that nobody holds", async () => {
  assert.equal(typeof globalThis.gc, "function", "run with --expose-gc");
  const number = syscallNumber(nativeArch(), "lseek");
  const churn = async (count) => {
    for (let i = 0; i < count; i++) {
      const filter = new Filter(actions.allow);
      for (let value = 0; value < 20; value++) filter.addRule(actions.trap, number, [{ index: 1, op: "eq", value }]);
      // Finalizers run on the event loop.
      if (i % 100 === 0) {
        globalThis.gc();
        await new Promise(setImmediate);
      }
    }
  };
  await churn(1000);
  const before = process.memoryUsage.rss();
  await churn(4000);
  const grownMiB = (process.memoryUsage.rss() - before) / 2 ** 20;
  // A filter of 20 rules takes more than 10 KiB: kept, they would be more than 40 MiB.
  assert.ok(grownMiB < 20, `grew by ${grownMiB.toFixed(1)} MiB`);
});
