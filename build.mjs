// Builds what is run: the launcher, the seccomp addon, the two bundles and their types.
// Usage: node build.mjs [native] [addon] [bundle] [types]     (none named: all)
// Needs the npm packages and the system packages; `node setup.mjs` brings both and calls this when a source has changed.
import { spawnSync } from "node:child_process";
import { chmodSync, existsSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { availableParallelism } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const root = dirname(fileURLToPath(import.meta.url));

function runTool(what, command, args, options = {}) {
  const { status, signal, error } = spawnSync(command, args, { cwd: root, stdio: ["ignore", "inherit", "inherit"], ...options });
  if (error) throw new Error(`${what}: cannot run ${command}: ${error.message}`);
  if (status !== 0) throw new Error(`${what}: ${command} ended with ${signal ?? `status ${status}`}`);
}

/** Rename, so that a run that starts meanwhile never sees half a file. */
function replaceFile(path, content, mode) {
  mkdirSync(dirname(path), { recursive: true });
  const part = `${path}.${process.pid}`;
  writeFileSync(part, content);
  chmodSync(part, mode);
  renameSync(part, path);
}

function buildNative() {
  runTool("launcher", "make", ["-s", "-C", "native", `-j${availableParallelism()}`, "all", "tests"]);
}

function buildAddon() {
  runTool("seccomp addon", process.execPath, ["native/seccomp-ts-bindings/build.mjs"]);
}

/**
 * The seccomp package finds its addon beside itself; bundled, it lies elsewhere. It is bundled at all because a module imported by
 * name from the bundle would be loaded at every start, and a warm run needs no addon.
 */
export const addonPath = (path) => ({
  name: "addon-path",
  setup({ onLoad }) {
    onLoad({ filter: /\/native\/seccomp-ts-bindings\/index\.js$/ }, ({ path: source }) => {
      const text = readFileSync(source, "utf8");
      const contents = text.replace('"./build/seccomp.node"', JSON.stringify(path));
      return contents === text ? { errors: [{ text: `${source} no longer loads "./build/seccomp.node"` }] } : { contents };
    });
  },
});

async function buildBundles() {
  const { build } = await import("esbuild");
  const { outputFiles } = await build({
    absWorkingDir: root,
    entryPoints: { belljar: "cli/main.ts", api: "cli/api.ts" },
    outdir: "dist",
    bundle: true,
    platform: "node",
    format: "esm",
    target: "node20.19",
    minifySyntax: true,
    legalComments: "eof",
    plugins: [addonPath("../native/seccomp-ts-bindings/build/seccomp.node")],
    write: false,
    logLevel: "warning",
  });
  for (const { path, text } of outputFiles) {
    const isCommand = path.endsWith("belljar.js");
    replaceFile(path, isCommand && !text.startsWith("#!") ? `#!/usr/bin/env node\n${text}` : text, isCommand ? 0o755 : 0o644);
  }
}

/** Declarations only; whether the types are right is for `npm run check` to say. */
function buildTypes() {
  const out = join(root, "dist/types");
  rmSync(`${out}.new`, { recursive: true, force: true });
  runTool("types", process.execPath, [
    "node_modules/typescript/bin/tsc",
    ...["--project", "tsconfig.types.json", "--outDir", "dist/types.new"],
  ]);
  rmSync(out, { recursive: true, force: true });
  renameSync(`${out}.new`, out);
}

const parts = { native: buildNative, addon: buildAddon, bundle: buildBundles, types: buildTypes };

/** Builds the named parts, in order; throws an Error with one sentence at the first that fails. */
export async function build(names = Object.keys(parts)) {
  for (const name of names) await parts[name]();
}

/** Every file that must be there after a build. */
export const products = [
  "native/build/belljar-launch",
  "native/seccomp-ts-bindings/build/seccomp.node",
  "dist/belljar.js",
  "dist/api.js",
  "dist/types/cli/api.d.ts",
];

if (process.argv[1] && existsSync(process.argv[1]) && fileURLToPath(import.meta.url) === process.argv[1]) {
  const names = process.argv.slice(2);
  const unknown = names.find((name) => !(name in parts));
  if (unknown !== undefined) {
    console.error(`build: unknown part '${unknown}': one of ${Object.keys(parts).join(", ")}`);
    process.exit(2);
  }
  const { version } = JSON.parse(readFileSync(join(root, "package.json"), "utf8"));
  try {
    await build(names.length > 0 ? names : undefined);
    console.log(`build: belljar ${version}: ${names.length > 0 ? names.join(", ") : "all"} built`);
  } catch (error) {
    console.error(`build: ${error.message}`);
    process.exitCode = 1;
  }
}
