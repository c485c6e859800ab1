// What the programs of load.test.mjs share. They are processes of their own, since a loaded filter stays for ever.
import { Worker } from "node:worker_threads";
import { actions, arches, Filter, SeccompError, syscallNumber } from "seccomp-ts-bindings";

export const number = (name) => syscallNumber(arches.native, name);

/** A line of JSON for the test to read. */
export const say = (value) => console.log(JSON.stringify(value, (_key, inner) => (typeof inner === "bigint" ? String(inner) : inner)));

/** What a call returned, or how it failed. */
export function attempt(call) {
  try {
    return call() ?? null;
  } catch (error) {
    return error instanceof SeccompError ? [error.operation, error.code, error.systemCode] : (error.code ?? String(error));
  }
}

/** A filter under which getppid waits for an answer: Node has no other use for it. */
export function notifyingFilter() {
  const filter = new Filter(actions.allow);
  filter.addRule(actions.notify, number("getppid"));
  return filter;
}

/** Another file of this folder in a thread, and the next thing that it says. */
export const thread = (name) => new Worker(new URL(name, import.meta.url));
export const heard = (worker) =>
  new Promise((resolve, reject) => {
    worker.once("message", resolve);
    worker.once("error", reject);
  });
