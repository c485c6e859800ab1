#!/usr/bin/env node
// Becomes dist/belljar.js: runs the bundled command, which lies beside it in parts, each compiled already where the build could keep what V8 compiled. V8 refuses a
// cache of another version or other flags by itself, and then compiles. Plain CommonJS, since Node's loader of ES modules costs milliseconds of its own.
"use strict";
// Before all else: otherwise SIGUSR1 makes Node listen for debuggers, and whoever may connect then runs code as the caller.
process.on("SIGUSR1", () => {});
const { openSync, readFileSync } = require("node:fs");
const { Script } = require("node:vm");

/** Each part begins, and its cache ends, with the name of the build that they come from. */
const idLength = 16;
const idOf = (source) => source.slice(3, 3 + idLength);
const pathOf = (name) => `${__dirname}/${name}`;

function cacheOf(name, id) {
  try {
    const cache = readFileSync(pathOf(`${name}.cache`));
    // V8 itself compares only the length of the source, and a build may be under way right now.
    return cache.latin1Slice(cache.length - idLength) === id ? cache.subarray(0, cache.length - idLength) : undefined;
  } catch {
    return undefined; // built without one
  }
}

/** What may be needed later is opened now: a build may put others in their places meanwhile. */
const later = Object.fromEntries(["image", "server", "rest"].map((name) => [name, openSync(pathOf(`${name}.cjs`), "r")]));
const importMeta = {
  dirname: __dirname,
  get url() {
    return require("node:url").pathToFileURL(__filename).href;
  },
};
/** The functions of a module, which is loaded when one of them is called. */
const lazily = (name) =>
  new Proxy(
    {},
    {
      get:
        (_, called) =>
        (...args) =>
          require(name)[called](...args),
    },
  );
/** Each a function that fills its exports; of a part that has not been read, the part's name. */
const chunks = {};
let build;

function add(part, file) {
  const filename = pathOf(`${part}.cjs`);
  // The bundle is ASCII: without decoding, V8 takes the bytes as they are.
  const source = readFileSync(file).latin1Slice();
  const belljarBuild = idOf(source);
  build ??= belljarBuild;
  if (belljarBuild !== build) throw new Error("another build of belljar was put in its place just now: try again");
  const script = new Script(source, { filename, cachedData: cacheOf(part, build) });
  Object.assign(chunks, script.runInThisContext()(require, lazily, load, importMeta, belljarBuild));
}

const loaded = {};
function load(name) {
  if (loaded[name] !== undefined) return loaded[name];
  if (typeof chunks[name] === "string") add(chunks[name], later[chunks[name]]);
  loaded[name] = {};
  chunks[name](loaded[name]);
  return loaded[name];
}

add("run", pathOf("run.cjs"));
load("main.js");
