// Builds build/seccomp.node with the system's C compiler and libseccomp; downloads nothing.
// Usage: node build.mjs [--if-needed] [--compile-only FILE.o]
//   CC            compiler (default cc; gcc and clang both work)
//   CFLAGS        added after ours (CI passes -Werror)
//   PKG_CONFIG    default pkg-config
// --compile-only joins the objects and stops there: it checks a cross compiler, whose libseccomp need not be there for linking.
import { execFileSync, spawnSync } from "node:child_process";
import { existsSync, mkdirSync, readdirSync, renameSync, rmSync, statSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { include_dir as nodeApiHeaders } from "node-api-headers";

const here = dirname(fileURLToPath(import.meta.url));
const sourceFolder = join(here, "src");
const inputs = readdirSync(sourceFolder).map((name) => join(sourceFolder, name));
const sources = inputs.filter((path) => path.endsWith(".c"));
const target = join(here, "build/seccomp.node");
const words = (text) => (text ?? "").split(/\s+/).filter((word) => word !== "");

const warnings = [
  "-Wall",
  "-Wextra",
  "-Wshadow",
  "-Wstrict-prototypes",
  "-Wmissing-prototypes",
  "-Wformat=2",
  "-Wvla",
  "-Wundef",
  "-Wimplicit-fallthrough",
  "-Wwrite-strings",
  "-Wconversion",
  "-Wno-sign-conversion",
];
// Some compilers predefine _FORTIFY_SOURCE: undefine it first.
const hardening = ["-O2", "-U_FORTIFY_SOURCE", "-D_FORTIFY_SOURCE=3", "-fstack-protector-strong"];

function pkgConfig(...args) {
  const result = spawnSync(process.env["PKG_CONFIG"] ?? "pkg-config", [...args, "libseccomp"], { encoding: "utf8" });
  if (result.error || result.status !== 0) {
    const reason = result.error ? result.error.message : result.stderr.trim();
    console.error(`seccomp-ts-bindings: finding libseccomp: ${reason}`);
    console.error("hint: install pkg-config and libseccomp's development files (Debian: pkg-config libseccomp-dev)");
    process.exit(1);
  }
  return words(result.stdout);
}

function includeDirectory() {
  return pkgConfig("--variable=includedir")[0] ?? "/usr/include";
}

function newer(path, than) {
  return statSync(path).mtimeMs > statSync(than).mtimeMs;
}

const compileOnlyAt = process.argv.indexOf("--compile-only");
const object = compileOnlyAt === -1 ? undefined : process.argv[compileOnlyAt + 1];
const upToDate = existsSync(target) && ![...inputs, fileURLToPath(import.meta.url)].some((path) => newer(path, target));
if (object === undefined && process.argv.includes("--if-needed") && upToDate) process.exit(0);

const compile = [
  "-std=gnu17",
  "-D_GNU_SOURCE",
  "-DNAPI_VERSION=8",
  "-fPIC",
  "-fvisibility=hidden",
  ...warnings,
  ...hardening,
  // -isystem: the headers of others are not ours to warn about.
  "-isystem",
  nodeApiHeaders,
];
const temporary = `${target}.${process.pid}.tmp`;
mkdirSync(dirname(target), { recursive: true });
const args =
  object === undefined
    ? [
        ...compile,
        ...pkgConfig("--cflags"),
        ...words(process.env["CFLAGS"]),
        "-shared",
        "-Wl,-z,relro,-z,now,-z,noexecstack",
        ...sources,
        "-o",
        temporary,
        ...pkgConfig("--libs"),
      ]
    : // After the cross compiler's own headers: seccomp.h is the same on every architecture.
      [...compile, "-idirafter", includeDirectory(), ...words(process.env["CFLAGS"]), "-r", "-nostdlib", ...sources, "-o", object];
try {
  execFileSync(process.env["CC"] ?? "cc", args, { stdio: "inherit" });
  // By rename: a process that has the old file mapped keeps it.
  if (object === undefined) renameSync(temporary, target);
} catch (error) {
  rmSync(temporary, { force: true });
  console.error(`seccomp-ts-bindings: compiling: ${error.message.split("\n")[0]}`);
  process.exit(1);
}
