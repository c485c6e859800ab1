// The main thread makes calls and waits; a thread from before the filter answers them.
import { isNotificationValid, resetState } from "seccomp-ts-bindings";
import { attempt, heard, notifyingFilter, number, say, thread } from "./common.mjs";

const supervisor = thread("supervisor-thread.mjs");
await heard(supervisor);
const filter = notifyingFilter();
say(filter.notifyFd());
filter.load();
supervisor.postMessage(filter.notifyFd());
const results = [process.ppid, process.ppid, process.ppid];
for (const { call, ...rest } of await heard(supervisor)) {
  say({
    ...rest,
    own: call.pid === process.pid,
    ours: call.syscall === number("getppid"),
    known: call.arch > 0 && call.instructionPointer > 0n,
  });
}
say({ results });
await supervisor.terminate();
resetState();
say([filter.notifyFd(), attempt(() => isNotificationValid(0x7fffffff, 1n))]);
process.exit(0);
