// For the build only: runs the bundled command as start.cjs does, and when it ends writes what V8 has compiled for it.
// Usage: node start-cache.cjs DIST OUTPUT ARG...     the output is opened first, since the command may give up its rights
"use strict";
const { openSync, readFileSync, writeSync } = require("node:fs");
const { join } = require("node:path");
const { Script } = require("node:vm");

const [node, , dist, output, ...args] = process.argv;
const descriptor = openSync(output, "w", 0o644);
const filename = join(dist, "command.cjs");
process.argv = [node, join(dist, "belljar.js"), ...args];
const script = new Script(readFileSync(filename, "utf8"), { filename });
process.on("exit", () => writeSync(descriptor, script.createCachedData()));
script.runInThisContext()(require, module, exports, filename);
