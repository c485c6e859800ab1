/** How long a run waits for its filters: `node filters.mjs FOLDER` prints milliseconds, from the cache in that folder or, where it is empty, compiled and kept there. */
import { existsSync, readdirSync } from "node:fs";
import { filtersFor } from "../../cli/run/filters.ts";
import { loadBuiltin, resolveProfile } from "../../policy/profile/index.ts";

const [, , folder = ""] = process.argv;
const load = (name: string) => {
  const loaded = loadBuiltin(name);
  if (loaded === null) throw new Error(`no built-in profile ${name}`);
  return loaded;
};
const { policy } = resolveProfile("default", { load, overrides: [] });
// As in a run whose profile is kept too: its key is known.
const knownKey = existsSync(folder) ? (readdirSync(folder)[0] ?? null) : null;
const from = process.hrtime.bigint();
await filtersFor(policy, { arch: process.arch === "arm64" ? "aarch64" : "x86_64", folder, knownKey, build: "bench" });
console.log(Number(process.hrtime.bigint() - from) / 1e6);
