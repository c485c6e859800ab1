// For the build only: runs the bundled command, and when it ends writes what V8 has compiled of one of its parts.
// Usage: node start-cache.cjs COMMAND PART OUTPUT ARG...     as root it opens the output, and runs the command as nobody
"use strict";
const { openSync, writeSync } = require("node:fs");
const { basename } = require("node:path");
const vm = require("node:vm");

const [node, , command, part, output, ...args] = process.argv;
const descriptor = openSync(output, "w", 0o644);
process.argv = [node, command, ...args];
const nobody = 65534;
vm.Script = class extends vm.Script {
  constructor(source, { filename }) {
    // No cache of an earlier build may stand in for what this one compiles.
    super(source, { filename });
    if (basename(filename) === part) process.on("exit", () => writeSync(descriptor, this.createCachedData()));
    // All that has been read so far may be root's alone.
    if (process.getuid() === 0) {
      process.setgroups([]);
      process.setgid(nobody);
      process.setuid(nobody);
    }
  }
};
require(command);
