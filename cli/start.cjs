#!/usr/bin/env node
// Becomes dist/belljar.js: runs the bundled command beside it, compiled already where the build could keep what V8 compiled. V8 refuses a cache of another
// version or other flags by itself, and then compiles. Plain CommonJS, since Node's loader of ES modules costs milliseconds of its own.
"use strict";
// Before all else: otherwise SIGUSR1 makes Node listen for debuggers, and whoever may connect then runs code as the caller.
process.on("SIGUSR1", () => {});
const { readFileSync } = require("node:fs");
const { join } = require("node:path");
const { Script } = require("node:vm");

const idLength = 16;
const filename = join(__dirname, "command.cjs");
// The bundle is ASCII: without decoding, V8 takes the bytes as they are.
const source = readFileSync(filename).latin1Slice();
let cachedData;
try {
  const cache = readFileSync(join(__dirname, "command.cache"));
  // Both name the build that they come from. V8 itself compares only the length of the source, and a build may be under way right now.
  if (cache.toString("latin1", cache.length - idLength) === source.slice(3, 3 + idLength))
    cachedData = cache.subarray(0, cache.length - idLength);
} catch {
  // built without one
}
new Script(source, { filename, cachedData }).runInThisContext()(require, module, exports, filename);
