// Whatever JavaScript passes: an answer, a TypeError or a SeccompError; never a crash.
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import * as seccomp from "seccomp-ts-bindings";

const { actions, arches, attributes, Filter, isNotificationValid, operators, receiveNotification, respondNotification, SeccompError } =
  seccomp;

const runs = Number(process.env.FUZZ_RUNS ?? 2000);
/** A descriptor that is none. */
const noFd = 0x7fffffff;

/** What a call gives, if it may: true for an answer, false for an error of the two kinds. */
function survives(call) {
  try {
    call();
    return true;
  } catch (error) {
    if (error instanceof SeccompError) {
      assert.match(error.code, /^E[A-Z0-9]+$/);
      assert.ok(error.errno > 0);
    } else assert.equal(error.constructor, TypeError, error.stack);
    return false;
  }
}

test("refuses values of the wrong kind", () => {
  const filter = new Filter(actions.allow);
  const wrong = [
    undefined,
    null,
    "1",
    1.5,
    -1,
    NaN,
    Infinity,
    2 ** 32,
    1n,
    {},
    [],
    Symbol("x"),
    () => 1,
    true,
    new Number(1),
    new Proxy({}, {}),
  ];
  for (const value of wrong) {
    const calls = [
      () => new Filter(value),
      () => filter.reset(value),
      () => filter.merge(value),
      () => filter.addArch(value),
      () => filter.removeArch(value),
      () => filter.hasArch(value),
      () => filter.setAttribute(value, 1),
      () => filter.setAttribute(8, value),
      () => filter.getAttribute(value),
      () => filter.setPriority(0, value),
      () => filter.addRule(value, 0),
      () => filter.addRule(actions.trap, 0, [{ index: value, op: "eq", value: 0 }]),
      () => filter.addRule(actions.trap, 0, [{ index: 0, op: value, value: 0 }]),
      () => filter.writeBpf(value),
      () => filter.writePfc(value),
      () => seccomp.setApiLevel(value),
      () => seccomp.syscallNumber(value, "read"),
      () => seccomp.syscallNumberRewritten(value, "read"),
      () => seccomp.syscallName(value, 0),
      () => actions.errno(value),
      () => actions.trace(value),
      () => receiveNotification(value),
      () => respondNotification(value, { id: 1n, value: 0 }),
      () => isNotificationValid(value, 1n),
    ];
    if (value !== undefined) {
      calls.push(() => filter.addRule(actions.trap, 0, Array.isArray(value) ? [value] : value));
      calls.push(() => receiveNotification(noFd, { timeoutMs: value === -1 ? -2 : value }));
      if (value !== true) calls.push(() => filter.addRule(actions.trap, 0, [], { exact: value }));
      if (value !== true) calls.push(() => respondNotification(noFd, { id: 1n, continue: value }));
      calls.push(() => respondNotification(noFd, { id: 1n, errno: value }));
    }
    if (typeof value !== "string")
      calls.push(
        () => seccomp.syscallNumber(arches.native, value),
        () => seccomp.archByName(value),
      );
    if (value !== -1)
      calls.push(
        () => seccomp.syscallName(arches.native, value),
        () => filter.setPriority(value, 1),
      );
    if (value !== 1n)
      calls.push(
        () => respondNotification(noFd, { id: value, value: 0 }),
        () => isNotificationValid(noFd, value),
      );
    if (value !== 1n && value !== 2 ** 32) calls.push(() => filter.addRule(actions.trap, 0, [{ index: 0, op: "eq", value }]));
    for (const call of calls) assert.throws(call, TypeError, `${String(call)} with ${String(value?.constructor?.name)} ${typeof value}`);
  }
  assert.throws(() => filter.addRule(actions.trap, 0, [{ index: 6, op: "eq", value: 0 }]), TypeError);
  assert.throws(() => filter.addRule(actions.trap, 0, [{ index: 0, op: "toString", value: 0 }]), TypeError);
  assert.throws(() => filter.addRule(actions.trap, 0, [{ index: 0, op: "eq", value: 2n ** 64n }]), TypeError);
  assert.throws(() => filter.addRule(actions.trap, 0, Array(7).fill({ index: 0, op: "eq", value: 0 })), TypeError);
  assert.throws(() => respondNotification(noFd, { id: 1n }), TypeError);
  assert.throws(() => respondNotification(noFd, { id: 1n, value: 1, errno: 1 }), TypeError);
  assert.throws(() => respondNotification(noFd, { id: 2n ** 64n, value: 1 }), TypeError);
  assert.throws(() => respondNotification(noFd, { id: 1n, value: 2n ** 63n }), TypeError);
  assert.throws(() => Filter.prototype.exportBpf.call({}), TypeError);
  assert.throws(() => Object.create(Filter.prototype).load(), TypeError);
  assert.throws(() => filter.merge(Object.create(Filter.prototype)), TypeError);
  assert.throws(() => Filter(actions.allow), TypeError);
});

test("a descriptor that is none is told", () => {
  assert.throws(() => receiveNotification(noFd), { code: "EBADF" });
  assert.throws(() => respondNotification(noFd, { id: 1n, value: 0 }), { code: "ECANCELED", systemCode: "EBADF" });
  assert.equal(isNotificationValid(noFd, 1n), false);
});

test("getters and proxies cannot change what was checked", () => {
  const released = new Filter(actions.allow);
  const releasing = {
    op: "eq",
    value: 0,
    get index() {
      released.release();
      return 0;
    },
  };
  assert.throws(() => released.addRule(actions.trap, 0, [releasing]), { name: "TypeError", message: "the filter was released" });

  const filter = new Filter(actions.allow);
  const other = new Filter(actions.allow);
  const merging = {
    get exact() {
      try {
        other.merge(filter);
      } catch {}
      filter.reset(actions.allow);
      return false;
    },
  };
  filter.addRule(actions.trap, 0, [], merging);
  // Each reads something else the second time.
  let reads = 0;
  const alternating = {
    op: "eq",
    index: 0,
    get value() {
      return reads++ === 0 ? 1 : "x";
    },
  };
  filter.addRule(actions.trap, 1, [alternating]);
  assert.equal(reads, 1);
  for (const lengths of [[1, 2 ** 32], [0, 1e9], [2 ** 53], [-1], ["1"], [NaN], [1e9]]) {
    const lying = new Proxy([{ index: 0, op: "eq", value: 1 }], {
      get: (target, key) => (key === "length" ? (lengths.length > 1 ? lengths.shift() : lengths[0]) : target[key]),
    });
    survives(() => filter.addRule(actions.trap, 2, lying));
  }
  const revoked = Proxy.revocable([], {});
  revoked.revoke();
  assert.throws(() => filter.addRule(actions.trap, 0, revoked.proxy), TypeError);
  const thrown = new Error("mine");
  assert.throws(
    () =>
      filter.addRule(actions.trap, 0, [
        new Proxy(
          {},
          {
            get: () => {
              throw thrown;
            },
          },
        ),
      ]),
    thrown,
  );
  const converting = {
    valueOf: () => {
      throw new Error("never asked");
    },
    toString: () => "1",
    [Symbol.toPrimitive]: () => 1,
  };
  assert.throws(() => filter.addArch(converting), TypeError);
  assert.ok(filter.exportBpf().length > 0);
});

const anything = fc.oneof(
  fc.anything({ withBigInt: true, withDate: true, withTypedArray: true, withNullPrototype: true, withSparseArray: true }),
  fc.integer({ min: -5, max: 500 }),
  fc.maxSafeInteger(),
  fc.constantFrom(...Object.values(arches), ...Object.values(attributes), ...Object.keys(operators)),
  fc.bigInt(),
);
const action = fc.oneof(fc.constantFrom(actions.allow, actions.trap, actions.notify, actions.errno(1), actions.killProcess), anything);
const condition = fc.record({
  index: fc.oneof(fc.nat(6), anything),
  op: fc.oneof(fc.constantFrom(...Object.keys(operators)), anything),
  value: fc.oneof(fc.bigInt({ min: 0n, max: 2n ** 64n }), anything),
  mask: fc.oneof(fc.constant(undefined), fc.bigInt({ min: 0n, max: 2n ** 64n }), anything),
});
const conditions = fc.oneof(fc.array(condition, { maxLength: 7 }), anything);

/** Methods by name, with what they are called with. load() is left out: it would bind the test itself. */
const call = fc.oneof(
  fc.tuple(fc.constant("addRule"), fc.tuple(action, fc.oneof(fc.integer({ min: -300, max: 600 }), anything), conditions, anything)),
  fc.tuple(fc.constant("addRule"), fc.tuple(action, fc.nat(500), fc.array(condition, { maxLength: 6 }))),
  fc.tuple(fc.constantFrom("addArch", "removeArch", "hasArch"), fc.tuple(fc.oneof(fc.constantFrom(...Object.values(arches)), anything))),
  fc.tuple(fc.constantFrom("setAttribute", "getAttribute", "setPriority"), fc.tuple(anything, anything)),
  fc.tuple(fc.constant("setAttribute"), fc.tuple(fc.constantFrom(...Object.values(attributes)), fc.oneof(fc.nat(3), action))),
  fc.tuple(
    fc.constantFrom("exportBpf", "exportPfc", "startTransaction", "commitTransaction", "rejectTransaction", "precompute", "notifyFd"),
    fc.constant([]),
  ),
  fc.tuple(fc.constantFrom("reset"), fc.tuple(action)),
  fc.tuple(fc.constantFrom("merge", "release"), fc.constant([])),
  fc.tuple(fc.constantFrom("writeBpf", "writePfc"), fc.tuple(fc.constantFrom(noFd, -1, 1.5, "1", null))),
);

test("no sequence of calls with any values crashes or throws anything else", () => {
  const outcomes = { answered: 0, refused: 0 };
  fc.assert(
    fc.property(fc.array(call, { maxLength: 25 }), (calls) => {
      const filters = [new Filter(actions.allow), new Filter(actions.allow)];
      calls.forEach(([method, args], i) => {
        const passed = method === "merge" ? [filters[(i >> 1) & 1]] : args;
        const answered = survives(() => filters[i & 1][method](...passed));
        outcomes[answered ? "answered" : "refused"]++;
      });
    }),
    { numRuns: runs },
  );
  assert.ok(outcomes.answered > runs && outcomes.refused > runs, JSON.stringify(outcomes));
});

test("the functions of the module survive any values", () => {
  const { archByName, syscallName, syscallNumber, syscallNumberRewritten } = seccomp;
  const functions = [archByName, syscallName, syscallNumber, syscallNumberRewritten, respondNotification, isNotificationValid];
  const response = fc.record({ id: anything, value: anything, errno: anything, continue: anything }, { requiredKeys: [] });
  fc.assert(
    fc.property(
      fc.constantFrom(...functions),
      fc.oneof(anything, fc.constant(noFd)),
      fc.oneof(anything, response),
      (called, first, second) => {
        // Numbers that may be descriptors of this process belong to others.
        if (called.name.includes("Notification") && Number.isInteger(first) && first < noFd) return;
        survives(() => called(first, second));
      },
    ),
    { numRuns: runs },
  );
});
