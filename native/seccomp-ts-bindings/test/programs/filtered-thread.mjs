import { parentPort } from "node:worker_threads";
import { notifyingFilter } from "./common.mjs";

const filter = notifyingFilter();
filter.load();
parentPort.once("message", () => process.exit(0));
parentPort.postMessage(filter.notifyFd());
