// Builds what is run: the launcher, the seccomp addon, the two bundles and their types.
// Usage: node build.mjs [native] [addon] [bundle] [types]     (none named: all)
// Needs the npm packages and the system packages; `node setup.mjs` brings both and calls this when a source has changed.
import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import {
  appendFileSync,
  chmodSync,
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { availableParallelism, tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { commandParts, partNames } from "./cli/start-parts.mjs";

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
  runTool("launcher", "make", ["-s", "-C", "native", `-j${availableParallelism()}`, "all", "addon", "tests"]);
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
    onLoad({ filter: /\/native\/seccomp-ts-bindings\/lib\/native\.js$/ }, ({ path: source }) => {
      const text = readFileSync(source, "utf8");
      const contents = text.replace('"../build/seccomp.node"', JSON.stringify(path));
      return contents === text ? { errors: [{ text: `${source} no longer loads "../build/seccomp.node"` }] } : { contents };
    });
  },
});

/** Bundled, yargs would ask for the current folder while it is loaded, and fail where that has been deleted. It needs no folder at all. */
const yargsFolder = {
  name: "yargs-folder",
  setup({ onLoad }) {
    onLoad({ filter: /\/yargs\/lib\/platform-shims\/esm\.mjs$/ }, ({ path: source }) => {
      const text = readFileSync(source, "utf8");
      const contents = text.replace("mainFilename || process.cwd()", 'mainFilename || "/"');
      return contents === text ? { errors: [{ text: `${source} no longer asks for the current folder` }] } : { contents };
    });
  },
};

/**
 * undici is a megabyte that only pulling images needs, and its comments are no ASCII, which makes V8 keep a whole bundle in two bytes a character: within the
 * command it made every start 3 ms slower. So it is a file of its own, loaded by whoever needs it.
 */
const undiciApart = {
  name: "undici-apart",
  setup({ onResolve }) {
    onResolve({ filter: /^undici$/ }, () => ({ path: "./undici.cjs", external: true }));
  },
};

const undiciParts = `
  const Dispatcher = require("undici/lib/dispatcher/dispatcher.js");
  Dispatcher.prototype.request = require("undici/lib/api/api-request.js");
  module.exports = { Agent: require("undici/lib/dispatcher/agent.js"), buildConnector: require("undici/lib/core/connect.js") };
`;

const bundling = {
  absWorkingDir: root,
  bundle: true,
  platform: "node",
  target: "node20.19",
  minifySyntax: true,
  legalComments: "eof",
  plugins: [addonPath("../native/seccomp-ts-bindings/build/seccomp.node"), yargsFolder, undiciApart],
  write: false,
  logLevel: "warning",
};

/** What a bundle knows of itself: the digest of all that was bundled, so that whatever another build kept is not believed. */
const buildIdOf = (text) => createHash("sha256").update(text).digest("hex").slice(0, 16);

async function buildBundles() {
  const { build } = await import("esbuild");
  const command = await build({
    ...bundling,
    entryPoints: ["cli/main.ts"],
    format: "esm",
    splitting: true,
    outdir: "dist",
    metafile: true,
    define: { "globalThis.belljarBuild": "$build" },
  });
  const libraryConstant = `const belljarBuild = "${"0".repeat(16)}";`;
  const library = await build({
    ...bundling,
    entryPoints: ["cli/api.ts"],
    format: "esm",
    define: { "globalThis.belljarBuild": "belljarBuild" },
    banner: { js: libraryConstant },
  });
  // Of undici what the registry client calls: all of it takes 50 ms to load, this 20.
  const undici = await build({ ...bundling, plugins: [], stdin: { contents: undiciParts, resolveDir: root, loader: "js" }, format: "cjs" });
  const out = join(root, "dist");
  replaceFile(join(out, "package.json"), '{ "type": "commonjs" }\n', 0o644);
  replaceFile(join(out, "undici.cjs"), undici.outputFiles[0].text, 0o644);
  const { text: api } = library.outputFiles[0];
  replaceFile(join(out, "api.mjs"), api.replace(libraryConstant, libraryConstant.replace("0".repeat(16), buildIdOf(api))), 0o644);
  const parts = commandParts(command);
  const id = buildIdOf(Object.values(parts).join("\n"));
  for (const [name, text] of Object.entries(parts)) replaceFile(join(out, `${name}.cjs`), `/* ${id} */ ${text}\n`, 0o644);
  replaceFile(join(out, "belljar.js"), readFileSync(join(root, "cli/start.cjs"), "utf8"), 0o755);
  keepCompiled(out, id);
}

/** The command lines for which a build prepares: what they need of a part is kept compiled. The first of a part fills the caches that the second finds. */
const practice = [
  { part: "run", args: ["run", "--", "/bin/true"] },
  { part: "run", args: ["run", "--", "/bin/true"] },
  { part: "image", args: ["run", "--pull", "never", "--image", "none", "--", "/bin/true"] },
  { part: "server", args: ["run", "--", "/bin/true"], env: { BELLJAR_SERVER: "/none" } },
  { part: "rest", args: ["--help"] },
];

/**
 * Lets the command work, and keeps what V8 compiled for that. As root the command becomes `nobody`, and all that it touches lies in a folder of its own, with a launcher that nobody
 * can run. Without such a cache the command works the same, only slower; so a failure is told and is none of the build's.
 */
function keepCompiled(out, id) {
  const home = mkdtempSync(join(tmpdir(), "belljar-build-"));
  const launcher = join(home, "belljar-launch");
  copyFileSync(join(root, "native/build/belljar-launch"), launcher);
  if (process.getuid() === 0) chmodSync(home, 0o777); // it runs as nobody then
  for (const { part, args, env = {} } of practice) {
    const cache = join(out, `${part}.cache`);
    const made = `${cache}.${process.pid}`;
    const { stderr } = spawnSync(
      process.execPath,
      [join(root, "cli/start-cache.cjs"), join(out, "belljar.js"), `${part}.cjs`, made, ...args],
      {
        cwd: home,
        env: {
          PATH: "/usr/bin:/bin",
          HOME: home,
          XDG_CACHE_HOME: join(home, "cache"),
          XDG_RUNTIME_DIR: home,
          TMPDIR: home,
          BELLJAR_LAUNCHER: launcher,
          ...env,
        },
        encoding: "utf8",
        timeout: 60_000,
        killSignal: "SIGKILL",
      },
    );
    if (existsSync(made) && statSync(made).size > 0) {
      appendFileSync(made, id);
      renameSync(made, cache);
    } else console.error(`build: no code cache, so the command starts slower: ${stderr.trim().split("\n")[0]}`);
    rmSync(made, { force: true });
  }
  rmSync(home, { recursive: true, force: true });
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
  "native/build/belljar-apply",
  "native/build/spawn.node",
  "native/seccomp-ts-bindings/build/seccomp.node",
  "dist/belljar.js",
  ...partNames.map((name) => `dist/${name}.cjs`),
  "dist/undici.cjs",
  "dist/api.mjs",
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
