import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { Queue } from "../../../cli/library/queue.ts";
import { BelljarError } from "../../../policy/errors.ts";

const never = new AbortController().signal;
/** Lets everything happen that waits for nothing but its turn. */
const turn = () => new Promise<void>((resolve) => setImmediate(resolve));

/** Who has got in, in order; `leave` of each. */
function gate(concurrency: number, queueLimit = Number.POSITIVE_INFINITY) {
  const queue = new Queue({ concurrency, queueLimit });
  const order: string[] = [];
  const leave = new Map<string, () => void>();
  const come = async (name: string, slots = 1, signal: AbortSignal = never) => {
    const out = await queue.enter(slots, signal);
    order.push(name);
    leave.set(name, out);
  };
  return { queue, order, come, leave: (name: string) => leave.get(name)?.() };
}

describe("a queue", () => {
  test("lets in as many as it has slots, then first come, first served", async () => {
    const { order, come, leave } = gate(2);
    for (const name of ["a", "b", "c", "d"]) void come(name);
    await turn();
    expect(order).toEqual(["a", "b"]);
    leave("b");
    await turn();
    expect(order).toEqual(["a", "b", "c"]);
    leave("a");
    leave("c");
    await turn();
    expect(order).toEqual(["a", "b", "c", "d"]);
  });

  test("nobody overtakes one that needs more slots, and more than there are means all", async () => {
    const { order, come, leave } = gate(2);
    void come("a");
    void come("pair", 5);
    void come("b");
    await turn();
    expect(order).toEqual(["a"]);
    leave("a");
    await turn();
    expect(order).toEqual(["a", "pair"]);
    leave("pair");
    await turn();
    expect(order).toEqual(["a", "pair", "b"]);
  });

  test("has as many waiting as it may; 0 is nobody", async () => {
    const { come, leave, order } = gate(1, 1);
    void come("a");
    void come("b");
    await expect(come("c")).rejects.toMatchObject({ code: "queue-full", hint: expect.stringContaining("queueLimit") });
    leave("a");
    await turn();
    void come("d");
    leave("b");
    await turn();
    expect(order).toEqual(["a", "b", "d"]);
    const none = gate(1, 0);
    await none.come("a");
    await expect(none.come("b")).rejects.toMatchObject({ code: "queue-full" });
    none.leave("a");
    await none.come("c");
  });

  test("forgets who does not want to wait any more; who is behind may have room then", async () => {
    const { come, order } = gate(2);
    const controller = new AbortController();
    void come("a");
    const pair = come("pair", 2, controller.signal);
    void come("b");
    await turn();
    expect(order).toEqual(["a"]);
    const reason = new Error("enough");
    controller.abort(reason);
    await expect(pair).rejects.toMatchObject({ code: "cancelled", cause: reason });
    await turn();
    expect(order).toEqual(["a", "b"]);
    await expect(come("c", 1, AbortSignal.abort())).rejects.toMatchObject({ code: "cancelled" });
  });

  test("that is closed lets those in that waited, and nobody new", async () => {
    const { queue, come, leave, order } = gate(1);
    void come("a");
    void come("b");
    await turn();
    let closed = false;
    const closing = queue.close().then(() => {
      closed = true;
    });
    await expect(come("c")).rejects.toMatchObject({ code: "closed" });
    leave("a");
    await turn();
    expect({ order, closed }).toEqual({ order: ["a", "b"], closed: false });
    leave("b");
    await closing;
    await queue.close();
  });

  test("tells who is refused by it why: an error of ours is the reason itself", async () => {
    const { come, leave, queue } = gate(1);
    const controller = new AbortController();
    await come("a");
    const waits = come("b", 1, controller.signal);
    const reason = new BelljarError("closed", "starting: closed");
    const closing = queue.close();
    controller.abort(reason);
    await expect(waits).rejects.toBe(reason);
    leave("a");
    await closing;
  });

  test("never has more in than slots, and loses nobody", async () => {
    const job = fc.record({ slots: fc.integer({ min: 1, max: 4 }), turns: fc.integer({ min: 0, max: 3 }), gone: fc.boolean() });
    await fc.assert(
      fc.asyncProperty(fc.integer({ min: 1, max: 3 }), fc.array(job, { maxLength: 12 }), async (concurrency, jobs) => {
        const queue = new Queue({ concurrency, queueLimit: Number.POSITIVE_INFINITY });
        let taken = 0;
        let highest = 0;
        const ends = jobs.map(async ({ slots, turns, gone }) => {
          const controller = new AbortController();
          if (gone) setImmediate(() => controller.abort());
          const leave = await queue.enter(slots, controller.signal).catch(() => null);
          if (leave === null) return "gone";
          taken += Math.min(slots, concurrency);
          highest = Math.max(highest, taken);
          for (let i = 0; i < turns; i++) await turn();
          taken -= Math.min(slots, concurrency);
          leave();
          return "ran";
        });
        const results = await Promise.all(ends);
        await queue.close();
        expect(highest).toBeLessThanOrEqual(concurrency);
        expect(results.filter((result, index) => result === "gone" && !jobs[index]?.gone)).toEqual([]);
      }),
      { numRuns: 50 },
    );
  });
});
