/** What a run whose profile and filters are kept does not load: code that costs each start milliseconds creeps in unseen. */
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect } from "vitest";
import { needs } from "../helpers/abilities.ts";
import { belljar, belljarCommand } from "../helpers/belljar.ts";
import { tempDir } from "../helpers/places.ts";

const hook = `process.on("exit", () => require("node:fs").writeFileSync(process.env.LOADED, JSON.stringify(process.moduleLoadList)));`;

needs("userns")("a warm run does without Node's crypto", async () => {
  const dir = tempDir("warm-run");
  const required = join(dir, "hook.cjs");
  writeFileSync(required, hook);
  const [node = "", ...command] = belljarCommand;
  const loadedBy = async (name: string): Promise<readonly string[]> => {
    const env = { LOADED: join(dir, name), XDG_CACHE_HOME: join(dir, "cache") };
    const result = await belljar(["run", "--", "/bin/true"], { program: [node, "--require", required, ...command], env, report: false });
    expect(result.code).toBe(0);
    return JSON.parse(readFileSync(env.LOADED, "utf8")) as string[];
  };
  // The control: a run that compiles needs digests.
  expect(await loadedBy("cold")).toContain("NativeModule crypto");
  expect(await loadedBy("warm")).not.toContain("NativeModule crypto");
});
