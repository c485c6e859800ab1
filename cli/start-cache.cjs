// For the build only: runs the bundled command as start.cjs does, and when it ends writes what V8 has compiled for it.
// Usage: node start-cache.cjs DIST OUTPUT ARG...     as root it reads and opens these, and runs the command as nobody
"use strict";
const { openSync, readFileSync, writeSync } = require("node:fs");
const { join } = require("node:path");
const { Script } = require("node:vm");

const [node, , dist, output, ...args] = process.argv;
const descriptor = openSync(output, "w", 0o644);
const filename = join(dist, "command.cjs");
process.argv = [node, join(dist, "belljar.js"), ...args];
const script = new Script(readFileSync(filename).latin1Slice(), { filename });
const nobody = 65534;
if (process.getuid() === 0) {
  process.setgroups([]);
  process.setgid(nobody);
  process.setuid(nobody);
}
process.on("exit", () => writeSync(descriptor, script.createCachedData()));
script.runInThisContext()(require, module, exports, filename);
