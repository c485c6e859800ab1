import { parentPort } from "node:worker_threads";
import { isNotificationValid, receiveNotification, respondNotification } from "seccomp-ts-bindings";
import { attempt } from "./common.mjs";

parentPort.once("message", (fd) => {
  const seen = [{ value: 4242 }, { errno: 13 }, { continue: true }].map((answer) => {
    const call = receiveNotification(fd, { timeoutMs: 20_000 });
    const waits = isNotificationValid(fd, call.id);
    respondNotification(fd, { id: call.id, ...answer });
    return {
      call,
      waits,
      still: isNotificationValid(fd, call.id),
      again: attempt(() => respondNotification(fd, { id: call.id, ...answer })),
    };
  });
  parentPort.postMessage(seen);
});
parentPort.postMessage("ready");
