/** How long a run waits for its filters: `node filters.mjs FOLDER` prints milliseconds, from the cache in that folder or, where it is empty, compiled and kept there. */
import { filtersFor } from "../../cli/run/filters.ts";
import { loadBuiltin, resolveProfile } from "../../policy/profile/index.ts";

const [, , folder = ""] = process.argv;
const load = (name: string) => {
  const loaded = loadBuiltin(name);
  if (loaded === null) throw new Error(`no built-in profile ${name}`);
  return loaded;
};
const { policy } = resolveProfile("default", { load, overrides: [] });
const from = process.hrtime.bigint();
await filtersFor(policy, { arch: process.arch === "arm64" ? "aarch64" : "x86_64", folder, build: "bench" });
console.log(Number(process.hrtime.bigint() - from) / 1e6);
