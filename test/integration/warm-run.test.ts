/** What a run whose profile and filters are kept does not load: code that costs each start milliseconds creeps in unseen. */
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect } from "vitest";
import { needs } from "../helpers/abilities.ts";
import { belljar, belljarCommand } from "../helpers/belljar.ts";
import { tempDir } from "../helpers/places.ts";
import { servePool } from "../helpers/pool.ts";

/** Notes Node's modules and the parts of the command (see cli/start.cjs). */
const hook = `
const vm = require("node:vm");
const { basename } = require("node:path");
const parts = [];
vm.Script = class extends vm.Script {
  constructor(source, options) {
    super(source, options);
    parts.push({ name: basename(options.filename), compiled: options.cachedData !== undefined && !this.cachedDataRejected });
  }
};
process.on("exit", () => require("node:fs").writeFileSync(process.env.LOADED, JSON.stringify({ parts, modules: process.moduleLoadList })));`;

interface Loaded {
  readonly parts: readonly { readonly name: string; readonly compiled: boolean }[];
  readonly modules: readonly string[];
}

interface LoadOptions {
  readonly env?: Readonly<Record<string, string>>;
}

/** Runs a program that does nothing, and tells what was loaded for it. */
function watcher(): (name: string, options?: LoadOptions) => Promise<Loaded> {
  const dir = tempDir("warm-run");
  const required = join(dir, "hook.cjs");
  writeFileSync(required, hook);
  const [node = "", ...command] = belljarCommand;
  return async (name, { env: more = {} } = {}) => {
    const env = { LOADED: join(dir, name), XDG_CACHE_HOME: join(dir, "cache"), ...more };
    const result = await belljar(["run", "--", "/bin/true"], { program: [node, "--require", required, ...command], env, report: false });
    expect(result.code).toBe(0);
    return JSON.parse(readFileSync(env.LOADED, "utf8")) as Loaded;
  };
}

needs("userns")(
  "a warm run reads one part of the command, compiled already, and none of Node's modules for digests, processes and streams",
  async () => {
    const loadedBy = watcher();
    // The control: a run that compiles needs digests, and the compiler.
    const cold = await loadedBy("cold");
    expect(cold.parts.map(({ name }) => name)).toContain("rest.cjs");
    expect(cold.modules).toContain("NativeModule crypto");
    const warm = await loadedBy("warm");
    expect(warm.parts).toEqual([{ name: "run.cjs", compiled: true }]);
    for (const module of ["crypto", "child_process", "net", "stream", "tty", "internal/fs/promises"])
      expect(warm.modules).not.toContain(`NativeModule ${module}`);
  },
);

needs("userns")("a warm run in a sandbox of a run server reads one more", async () => {
  const loadedBy = watcher();
  const { env } = await servePool(["--size", "1"]);
  await loadedBy("cold", { env });
  const { parts, modules } = await loadedBy("warm", { env });
  expect(parts).toEqual(["run.cjs", "server.cjs"].map((name) => ({ name, compiled: true })));
  expect(modules).not.toContain("NativeModule crypto");
});
