// Brings a machine to the point where `npm run demo` and `npm test` work: system packages, npm packages, the build.
// Plain Node without dependencies, because on a fresh machine there are none. Does nothing, quickly, when all is in place.
// Usage: node setup.mjs [--for run|test|check|bench] [--build]
import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { delimiter, dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const root = dirname(fileURLToPath(import.meta.url));
const fail = (message) => {
  console.error(`setup: ${message}`);
  process.exit(1);
};

// ---- the machine ----

function checkPlatform() {
  if (process.platform !== "linux") fail(`belljar runs on Linux only (this is ${process.platform}).`);
  if (process.arch !== "x64" && process.arch !== "arm64") fail(`belljar runs on x86_64 and aarch64 only (this is ${process.arch}).`);
  const [major, minor] = process.versions.node.split(".").map(Number);
  if (major < 20 || (major === 20 && minor < 19)) fail(`belljar needs Node 20.19 or later (this is ${process.versions.node}).`);
}

// ---- system packages ----

const searchPath = [...(process.env.PATH ?? "").split(delimiter), "/usr/sbin", "/sbin", "/usr/bin", "/bin"];
const command = (name) => () => searchPath.some((dir) => existsSync(join(dir, name)));
const onlyOnDebian = (name) => () => command(name)() || !command("apt-get")();
/** True when one of the patterns names a file; `*` stands for one directory level. */
const file =
  (...patterns) =>
  () =>
    patterns.some((pattern) => {
      const expand = (base, parts) => {
        if (parts.length === 0) return true;
        const [head, ...rest] = parts;
        if (head !== "*") return existsSync(join(base, head)) && expand(join(base, head), rest);
        try {
          return readdirSync(base).some((entry) => expand(join(base, entry), rest));
        } catch {
          return false;
        }
      };
      return expand("/", pattern.split("/").filter(Boolean));
    });

// Package names per manager; null where the manager has none and the need cannot be met that way.
const needs = {
  run: [
    { what: "a C compiler", there: command("cc"), apt: "gcc", dnf: "gcc", apk: "gcc", pacman: "gcc" },
    { what: "make", there: command("make"), apt: "make", dnf: "make", apk: "make", pacman: "make" },
    // Optional, for a launcher that starts sooner (native/Makefile); elsewhere the system's own C library serves.
    {
      what: "musl",
      optional: true,
      there: onlyOnDebian("musl-gcc"),
      ...{ apt: "musl-tools", dnf: "musl-gcc", apk: "musl-dev", pacman: "musl" },
    },
    { what: "pkg-config", there: command("pkg-config"), apt: "pkg-config", dnf: "pkgconf-pkg-config", apk: "pkgconf", pacman: "pkgconf" },
    {
      what: "the static C library",
      there: file("/usr/lib/*/libc.a", "/usr/lib/libc.a", "/usr/lib64/libc.a"),
      ...{ apt: "libc6-dev", dnf: "glibc-static", apk: "musl-dev", pacman: "glibc" },
    },
    {
      what: "kernel headers",
      there: file("/usr/include/linux/landlock.h"),
      ...{ apt: "linux-libc-dev", dnf: "kernel-headers", apk: "linux-headers", pacman: "linux-api-headers" },
    },
    {
      what: "libseccomp's headers",
      there: file("/usr/include/seccomp.h"),
      ...{ apt: "libseccomp-dev", dnf: "libseccomp-devel", apk: "libseccomp-dev", pacman: "libseccomp" },
    },
    {
      what: "newuidmap",
      there: command("newuidmap"),
      ...{ apt: "uidmap", dnf: "shadow-utils", apk: "shadow-subids", pacman: "shadow" },
    },
    { what: "useradd", there: command("useradd"), apt: "passwd", dnf: "shadow-utils", apk: "shadow", pacman: "shadow" },
    { what: "python3", there: file("/usr/bin/python3"), apt: "python3", dnf: "python3", apk: "python3", pacman: "python" },
    { what: "a C++ compiler", there: command("g++"), apt: "g++", dnf: "gcc-c++", apk: "g++", pacman: "gcc" },
    {
      what: "a static busybox",
      there: file("/bin/busybox", "/usr/bin/busybox", "/sbin/busybox", "/bin/busybox.static"),
      ...{ apt: "busybox-static", dnf: "busybox", apk: "busybox-static", pacman: "busybox" },
    },
    {
      what: "fuse-overlayfs",
      there: command("fuse-overlayfs"),
      ...{ apt: "fuse-overlayfs", dnf: "fuse-overlayfs", apk: "fuse-overlayfs", pacman: "fuse-overlayfs" },
    },
    { what: "tar", there: command("tar"), apt: "tar", dnf: "tar", apk: "tar", pacman: "tar" },
  ],
  test: [
    { what: "zstd", there: file("/usr/bin/zstd"), apt: "zstd", dnf: "zstd", apk: "zstd", pacman: "zstd" },
    { what: "openssl", there: file("/usr/bin/openssl"), apt: "openssl", dnf: "openssl", apk: "openssl", pacman: "openssl" },
    { what: "unshare", there: command("unshare"), apt: "util-linux", dnf: "util-linux", apk: "util-linux-misc", pacman: "util-linux" },
  ],
  check: [
    { what: "clang", there: command("clang"), apt: "clang", dnf: "clang", apk: "clang", pacman: "clang" },
    {
      what: "clang-format",
      there: command("clang-format"),
      ...{ apt: "clang-format", dnf: "clang-tools-extra", apk: "clang-extra-tools", pacman: "clang" },
    },
    {
      what: "libFuzzer",
      there: file("/usr/lib/*/lib/clang/*/lib/linux", "/usr/lib/clang/*/lib/linux", "/usr/lib/clang/*/lib"),
      ...{ apt: "libclang-rt-dev", dnf: "compiler-rt", apk: "compiler-rt", pacman: "compiler-rt" },
    },
    {
      what: "the aarch64 cross compiler",
      there: () => process.arch === "arm64" || command("aarch64-linux-gnu-gcc")(),
      ...{ apt: "gcc-aarch64-linux-gnu", dnf: "gcc-aarch64-linux-gnu", apk: null, pacman: "aarch64-linux-gnu-gcc" },
    },
    {
      what: "the C library for aarch64",
      there: () =>
        process.arch === "arm64" || file("/usr/aarch64-linux-gnu/lib/libc.a", "/usr/aarch64-linux-gnu/sys-root/usr/lib64/libc.a")(),
      ...{ apt: "libc6-dev-arm64-cross", dnf: null, apk: null, pacman: "aarch64-linux-gnu-glibc" },
    },
  ],
  // A kernel with cgroup v2 for test/uml; elsewhere than on Debian there is no package of it.
  limits: [
    { what: "User-Mode Linux", there: command("linux.uml"), apt: "user-mode-linux", dnf: null, apk: null, pacman: null },
    { what: "insmod", there: command("insmod"), apt: "kmod", dnf: "kmod", apk: "kmod", pacman: "kmod" },
    { what: "mke2fs", there: command("mke2fs"), apt: "e2fsprogs", dnf: "e2fsprogs", apk: "e2fsprogs", pacman: "e2fsprogs" },
    { what: "systemd", there: file("/lib/systemd/systemd"), apt: "systemd", dnf: "systemd", apk: null, pacman: "systemd" },
    { what: "D-Bus", there: command("dbus-daemon"), apt: "dbus", dnf: "dbus-daemon", apk: "dbus", pacman: "dbus" },
    {
      what: "the D-Bus session of a user",
      there: file("/usr/lib/systemd/user/dbus.socket"),
      ...{ apt: "dbus-user-session", dnf: "dbus-common", apk: null, pacman: "dbus" },
    },
    {
      what: "systemd's login module",
      there: file("/usr/lib/*/security/pam_systemd.so", "/lib/*/security/pam_systemd.so", "/usr/lib64/security/pam_systemd.so"),
      ...{ apt: "libpam-systemd", dnf: "systemd-pam", apk: null, pacman: "systemd" },
    },
    { what: "runuser", there: command("runuser"), apt: "util-linux", dnf: "util-linux", apk: "runuser", pacman: "util-linux" },
    { what: "Go", there: file("/usr/bin/go"), apt: "golang-go", dnf: "golang", apk: "go", pacman: "go" },
  ],
  // Elsewhere than on Debian there are no packages of some, and the benchmarks leave out the group or the row that needs them.
  bench: [
    { what: "bubblewrap", there: command("bwrap"), apt: "bubblewrap", dnf: "bubblewrap", apk: "bubblewrap", pacman: "bubblewrap" },
    { what: "crun", there: onlyOnDebian("crun"), apt: "crun", dnf: "crun", apk: "crun", pacman: "crun" },
    { what: "runc", there: onlyOnDebian("runc"), apt: "runc", dnf: "runc", apk: "runc", pacman: "runc" },
    { what: "podman", there: onlyOnDebian("podman"), apt: "podman", dnf: "podman", apk: "podman", pacman: "podman" },
    { what: "skopeo", there: command("skopeo"), apt: "skopeo", dnf: "skopeo", apk: "skopeo", pacman: "skopeo" },
    { what: "umoci", there: onlyOnDebian("umoci"), apt: "umoci", dnf: null, apk: null, pacman: null },
    { what: "mmdebstrap", there: onlyOnDebian("mmdebstrap"), apt: "mmdebstrap", dnf: null, apk: null, pacman: null },
    { what: "a registry", there: onlyOnDebian("docker-registry"), apt: "docker-registry", dnf: null, apk: null, pacman: null },
  ],
};

const managers = {
  apt: { tool: "apt-get", install: (packages) => ["apt-get", "install", "-y", "--no-install-recommends", ...packages] },
  dnf: { tool: "dnf", install: (packages) => ["dnf", "install", "-y", ...packages] },
  apk: { tool: "apk", install: (packages) => ["apk", "add", ...packages] },
  pacman: { tool: "pacman", install: (packages) => ["pacman", "-S", "--needed", "--noconfirm", ...packages] },
};

function becomeRoot() {
  if (process.getuid() === 0) return [];
  if (!command("sudo")()) return null;
  // With nobody to type a password, sudo must work without one.
  if (process.stdin.isTTY && process.stderr.isTTY) return ["sudo"];
  return spawnSync("sudo", ["-n", "true"], { stdio: "ignore" }).status === 0 ? ["sudo", "-n"] : null;
}

function run(argv, env = process.env) {
  console.error(`setup: ${argv.join(" ")}`);
  return spawnSync(argv[0], argv.slice(1), { cwd: root, env, stdio: ["inherit", process.stderr, "inherit"] }).status === 0;
}

function installPackages(purposes) {
  const wanted = purposes.flatMap((purpose) => needs[purpose]).filter((need) => !need.there());
  if (wanted.length === 0) return;
  const prefix = becomeRoot();
  // What can be done without stops nobody who cannot install it.
  const missing = wanted.filter((need) => !(need.optional && prefix === null));
  if (missing.length === 0) return;
  const words = missing.map((need) => need.what).join(", ");
  const manager = Object.keys(managers).find((name) => command(managers[name].tool)());
  if (manager === undefined) fail(`missing: ${words}; install them with this system's package manager and try again.`);
  const unnamed = missing.filter((need) => need[manager] === null);
  if (unnamed.length > 0)
    fail(`missing, and not to be had through ${managers[manager].tool}: ${unnamed.map((need) => need.what).join(", ")}`);
  const install = managers[manager].install([...new Set(missing.map((need) => need[manager]))]);
  if (prefix === null) fail(`missing: ${words}; run this as root, then try again:\n  ${install.join(" ")}`);
  const env = { ...process.env, DEBIAN_FRONTEND: "noninteractive" };
  if (manager === "apt") run([...prefix, "apt-get", "update", "-q"], env); // a stale list still serves: only the install decides
  if (!run([...prefix, ...install], env)) fail(`could not install ${words}; try by hand:\n  ${install.join(" ")}`);
  const still = missing.filter((need) => !need.there());
  if (still.length > 0) fail(`still missing after the installation: ${still.map((need) => need.what).join(", ")}`);
}

// ---- npm packages ----

/** Compares what npm noted down in node_modules with the lock file, package by package. */
function npmIsFresh() {
  try {
    const lock = JSON.parse(readFileSync(join(root, "package-lock.json"), "utf8")).packages;
    const installed = JSON.parse(readFileSync(join(root, "node_modules/.package-lock.json"), "utf8")).packages;
    return Object.entries(lock).every(
      ([path, { version, optional, link }]) =>
        optional ||
        path === "" ||
        (link ? existsSync(join(root, path)) : !path.startsWith("node_modules/") || installed[path]?.version === version),
    );
  } catch {
    return false;
  }
}

function installNpm() {
  if (npmIsFresh()) return;
  if (!run(["npm", "ci", "--no-audit", "--no-fund", "--ignore-scripts"])) fail("npm ci failed (see above).");
}

// ---- the build ----

const sources = [
  "cli",
  "policy",
  "profiles",
  "native",
  "build.mjs",
  "package.json",
  "package-lock.json",
  "tsconfig.json",
  "tsconfig.types.json",
];

/** A digest of every source's path, size and time of change: cheaper than reading them, and a deleted file counts too. */
function sourceDigest() {
  const hash = createHash("sha256").update(`${process.arch} ${process.versions.modules}\n`);
  const walk = (path) => {
    const stat = statSync(join(root, path));
    if (!stat.isDirectory()) {
      hash.update(`${path} ${stat.size} ${stat.mtimeMs}\n`);
      return;
    }
    for (const name of readdirSync(join(root, path)).sort()) {
      if (name !== "build" && name !== "node_modules") walk(`${path}/${name}`);
    }
  };
  for (const path of sources) if (existsSync(join(root, path))) walk(path);
  return hash.digest("hex");
}

async function buildIfStale(force) {
  const stamp = join(root, "dist/.built");
  const digest = sourceDigest();
  const { build, products } = await import("./build.mjs");
  const there = existsSync(stamp) && readFileSync(stamp, "utf8") === digest && products.every((path) => existsSync(join(root, path)));
  if (there && !force) return;
  console.error("setup: building");
  try {
    await build();
  } catch (error) {
    fail(error.message);
  }
  mkdirSync(join(root, "dist"), { recursive: true });
  writeFileSync(stamp, digest);
}

const args = process.argv.slice(2);
const purpose = args.includes("--for") ? args[args.indexOf("--for") + 1] : "run";
if (!(purpose in needs)) fail(`--for ${purpose}: one of ${Object.keys(needs).join(", ")}`);
checkPlatform();
installPackages(purpose === "run" ? ["run"] : ["run", purpose]);
installNpm();
await buildIfStale(args.includes("--build"));
