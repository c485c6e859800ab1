// Filters and the garbage collector. Run with --expose-gc.
import assert from "node:assert/strict";
import { test } from "node:test";
import { Worker } from "node:worker_threads";
import { actions, Filter, nativeArch, syscallNumber } from "seccomp-ts-bindings";

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

test("collects filters before memory runs short, without being asked to", async () => {
  const number = syscallNumber(nativeArch(), "lseek");
  // Held for a while, so that they are no young objects any more, which V8 collects all the time.
  const held = [];
  const start = process.memoryUsage.rss();
  let highest = 0;
  for (let i = 0; i < 8000; i++) {
    const filter = new Filter(actions.allow);
    for (let value = 0; value < 50; value++) filter.addRule(actions.trap, number, [{ index: 1, op: "eq", value }]);
    held[i % 500] = filter;
    if (i % 50 === 0) {
      await new Promise(setImmediate);
      highest = Math.max(highest, process.memoryUsage.rss() - start);
    }
  }
  // Together they are some 400 MiB, of which V8 sees nothing unless it is told.
  assert.ok(highest < 150 * 2 ** 20, `grew by ${(highest / 2 ** 20).toFixed(0)} MiB`);
});
