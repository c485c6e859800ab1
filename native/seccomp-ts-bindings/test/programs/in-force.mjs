// argv: the value of threadSync. Tries mkdir on this thread and on an older one, before and after a filter is loaded.
import { mkdirSync, readFileSync } from "node:fs";
import { actions, attributes, Filter } from "seccomp-ts-bindings";
import { attempt, heard, number, say, thread } from "./common.mjs";

const other = thread("mkdir-thread.mjs");
const tries = async () => {
  other.postMessage("try");
  return [attempt(() => mkdirSync("/proc/x")), await heard(other)];
};
const before = await tries();
const filter = new Filter(actions.allow);
for (const name of ["mkdir", "mkdirat"]) filter.addRule(actions.errno(93), number(name));
filter.setAttribute(attributes.threadSync, Number(process.argv[2]));
filter.load();
say(before);
say(await tries());
say(/^NoNewPrivs:\t1$/m.test(readFileSync("/proc/self/status", "utf8")));
await other.terminate();
