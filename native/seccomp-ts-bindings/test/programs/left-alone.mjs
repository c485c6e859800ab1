// A listener whose only filtered thread makes no call, and then is gone.
import { receiveNotification } from "seccomp-ts-bindings";
import { attempt, heard, say, thread } from "./common.mjs";

const filtered = thread("filtered-thread.mjs");
const fd = await heard(filtered);
say([attempt(() => receiveNotification(fd)), attempt(() => receiveNotification(fd, { timeoutMs: 5 }))]);
filtered.postMessage("end");
await new Promise((resolve) => filtered.once("exit", resolve));
say(attempt(() => receiveNotification(fd, { timeoutMs: 20_000 })));
