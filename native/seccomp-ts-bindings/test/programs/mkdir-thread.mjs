import { mkdirSync } from "node:fs";
import { parentPort } from "node:worker_threads";
import { attempt } from "./common.mjs";

parentPort.on("message", () => parentPort.postMessage(attempt(() => mkdirSync("/proc/x"))));
