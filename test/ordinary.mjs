// belljar is for ordinary users, and root proves nothing about it. Started as root, the harness opens what an administrator would
// open (the FUSE device, a cgroup subtree), makes an ordinary user, and runs the given script as that user, on a copy of the tree where the
// user cannot read the original. Started by an ordinary user, the script runs as it is. Plain Node: the demo uses it too.
import { spawn, spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { chmodSync, chownSync, constants, cpSync, existsSync, mkdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, isAbsolute, join } from "node:path";
import { fileURLToPath } from "node:url";

const root = join(dirname(fileURLToPath(import.meta.url)), "..");
const userName = "belljar-test";

function must(command, args) {
  const { status, stderr, error } = spawnSync(command, args, { encoding: "utf8" });
  if (status !== 0) throw new Error(`${command} ${args.join(" ")}: ${error?.message ?? stderr.trim()}`);
}

/** Finds or makes the user; it has a home and, where useradd gives them, subordinate ids. */
function ordinaryUser() {
  const find = () =>
    readFileSync("/etc/passwd", "utf8")
      .split("\n")
      .map((line) => line.split(":"))
      .find(([name]) => name === userName);
  if (find() === undefined) must("useradd", ["--create-home", "--shell", "/bin/sh", userName]);
  const [, , uid, gid, , home] = find();
  const hasRange = (file) =>
    existsSync(file) &&
    readFileSync(file, "utf8")
      .split("\n")
      .some((line) => line.startsWith(`${userName}:`));
  if (!hasRange("/etc/subuid")) must("usermod", ["--add-subuids", "524288-589823", userName]);
  if (!hasRange("/etc/subgid")) must("usermod", ["--add-subgids", "524288-589823", userName]);
  return { uid: Number(uid), gid: Number(gid), home };
}

// ---- what an administrator opens ----

const attempt = (what, action) => {
  try {
    action();
  } catch (error) {
    console.error(`harness: ${what}: ${error.message}`);
  }
};

function mountsOfType(type) {
  return readFileSync("/proc/self/mounts", "utf8")
    .split("\n")
    .map((line) => line.split(" "))
    .filter((fields) => fields[2] === type)
    .map(([, path, , options]) => ({ path, options: options.split(",") }));
}

/** v1: a folder of the user's at the top of each hierarchy. */
function delegateCgroup1({ uid, gid }) {
  for (const { path, options } of mountsOfType("cgroup")) {
    if (!["memory", "pids", "cpu", "cpuacct", "cpuset", "freezer"].some((name) => options.includes(name))) continue;
    const dir = join(path, `belljar-${uid}`);
    attempt(`cannot delegate ${dir}`, () => {
      mkdirSync(dir, { recursive: true });
      if (options.includes("cpuset")) {
        for (const file of ["cpuset.cpus", "cpuset.mems"]) writeFileSync(join(dir, file), readFileSync(join(path, file)));
        writeFileSync(join(dir, "cgroup.clone_children"), "1");
      }
      for (const name of [".", "cgroup.procs", "tasks"]) chownSync(join(dir, name), uid, gid);
    });
  }
}

/** v2: a subtree of the user's, with this very process in a leaf of it, since moving a process needs write access to the common ancestor. */
function delegateCgroup2({ uid, gid }) {
  for (const { path } of mountsOfType("cgroup2")) {
    const controllers = readFileSync(join(path, "cgroup.controllers"), "utf8").trim().split(/\s+/);
    if (!controllers.includes("memory")) continue; // hybrid layout: the controllers are v1's
    attempt(`cannot delegate a cgroup below ${path}`, () => {
      const wanted = ["memory", "pids", "cpu", "cpuset"].filter((name) => controllers.includes(name));
      writeFileSync(join(path, "cgroup.subtree_control"), wanted.map((name) => `+${name}`).join(" "));
      const dir = join(path, `belljar-${uid}`);
      mkdirSync(join(dir, "session"), { recursive: true });
      for (const one of [dir, join(dir, "session")]) {
        for (const name of [".", "cgroup.procs", "cgroup.threads", "cgroup.subtree_control"]) chownSync(join(one, name), uid, gid);
      }
      writeFileSync(join(dir, "session/cgroup.procs"), String(process.pid));
    });
  }
}

function openMachine(user) {
  if (existsSync("/dev/fuse") && (statSync("/dev/fuse").mode & 0o006) !== 0o006) {
    attempt("cannot open /dev/fuse to users", () => chmodSync("/dev/fuse", 0o666));
  }
  delegateCgroup1(user);
  delegateCgroup2(user);
}

// ---- a tree that the user can read ----

/** By mode bits alone: root's own access says nothing about others'. */
function othersCanReach(path, bits) {
  for (let dir = dirname(path); dir !== "/"; dir = dirname(dir)) if ((statSync(dir).mode & 0o001) === 0) return false;
  return (statSync(path).mode & bits) === bits;
}

const built = ["dist", "native/build", "native/seccomp-ts-bindings/build"];

function sourceFiles() {
  const { status, stdout } = spawnSync("git", ["-C", root, "ls-files", "-z", "--cached", "--others", "--exclude-standard"], {
    encoding: "utf8",
  });
  if (status !== 0) return null;
  return stdout.split("\0").filter((path) => path !== "" && existsSync(join(root, path)));
}

function treeForUser() {
  const files = sourceFiles();
  const probes = [...(files ?? ["package.json", "test/run.mjs"]), "dist/belljar.js", "node_modules/vitest/package.json"];
  const inPlace =
    probes.filter((path) => existsSync(join(root, path))).every((path) => othersCanReach(join(root, path), 0o004)) &&
    ["native/build/belljar-launch", "node_modules/.bin/vitest"].every(
      (path) => !existsSync(join(root, path)) || othersCanReach(join(root, path), 0o005),
    );
  if (inPlace) return root;
  const copy = `/var/tmp/belljar-test-${createHash("sha256")
    .update(`${root}${process.env.BELLJAR_TEST_COPY ?? ""}`)
    .digest("hex")
    .slice(0, 12)}`;
  console.error(`harness: other users cannot read ${root}: working on a copy in ${copy}`);
  const options = { recursive: true, verbatimSymlinks: true, mode: constants.COPYFILE_FICLONE, preserveTimestamps: true };
  const lock = readFileSync(join(root, "package-lock.json"));
  const keepPackages =
    existsSync(join(copy, "node_modules")) &&
    existsSync(join(copy, "package-lock.json")) &&
    readFileSync(join(copy, "package-lock.json")).equals(lock);
  if (existsSync(copy)) {
    must("find", [
      copy,
      "-mindepth",
      "1",
      "-maxdepth",
      "1",
      ...(keepPackages ? ["!", "-name", "node_modules"] : []),
      "-exec",
      "rm",
      "-rf",
      "{}",
      "+",
    ]);
  }
  mkdirSync(copy, { recursive: true });
  for (const path of files ?? []) cpSync(join(root, path), join(copy, path), options);
  if (files === null) cpSync(root, copy, { ...options, filter: (path) => !/\/(node_modules|\.git)$/.test(path) });
  for (const path of built) if (existsSync(join(root, path))) cpSync(join(root, path), join(copy, path), options);
  if (!keepPackages) cpSync(join(root, "node_modules"), join(copy, "node_modules"), options);
  must("chmod", ["-R", "a+rX", copy]);
  return copy;
}

/** Node itself may be root's own (a version manager in /root): then the user gets a copy of the program. */
function nodeForUser(home) {
  if (othersCanReach(process.execPath, 0o005)) return process.execPath;
  const path = join(home, "bin/node");
  const size = existsSync(path) ? statSync(path).size : -1;
  if (size !== statSync(process.execPath).size) {
    mkdirSync(dirname(path), { recursive: true });
    rmSync(path, { force: true });
    cpSync(process.execPath, path, { mode: constants.COPYFILE_FICLONE });
    chmodSync(path, 0o755);
  }
  return path;
}

// ---- running ----

const passedOn = [
  "TERM",
  "COLORTERM",
  "NO_COLOR",
  "FORCE_COLOR",
  "CI",
  "BELLJAR_MUST_RUN",
  "BELLJAR_LAUNCHER",
  "BELLJAR_TEST_TMP",
  "BELLJAR_SEED",
  "BELLJAR_LIMITS",
  "BELLJAR_LIMITS_RESULTS",
  "ASAN_OPTIONS",
  "UBSAN_OPTIONS",
  "COLUMNS",
];

function spawnScript(node, argv, options) {
  return new Promise((resolve, reject) => {
    const child = spawn(node, argv, { stdio: "inherit", ...options });
    // The terminal sends Ctrl-C to the child as well: wait for what it makes of it.
    const ignore = () => undefined;
    const handOn = () => child.kill("SIGTERM");
    process.on("SIGINT", ignore);
    process.on("SIGTERM", handOn);
    child.on("error", reject);
    child.on("close", (code, signal) => {
      process.off("SIGINT", ignore);
      process.off("SIGTERM", handOn);
      if (signal) console.error(`harness: ${argv[0]} was killed by ${signal}`);
      resolve(code ?? 1);
    });
  });
}

let place = null;

/** As root: the user, and where that user finds the tree, Node and its cache. Prepared once. */
export function ordinaryPlace() {
  if (place !== null) return place;
  const user = ordinaryUser();
  openMachine(user);
  const cache = join(user.home, ".cache/belljar-test");
  for (const dir of [dirname(cache), cache]) {
    mkdirSync(dir, { recursive: true });
    chownSync(dir, user.uid, user.gid);
  }
  place = { ...user, tree: treeForUser(), node: nodeForUser(user.home), cache };
  return place;
}

/** A launcher to test instead of the built one may be named relative to the tree, wherever that is for the user. */
function launcherIn(tree) {
  const path = process.env.BELLJAR_LAUNCHER;
  return path === undefined ? {} : { BELLJAR_LAUNCHER: join(isAbsolute(path) ? "/" : tree, path) };
}

/**
 * Runs a script of this tree with Node, as an ordinary user. Returns its exit status.
 * `where(place)` is told the tree and the cache folder that the script will see, and may return more environment.
 */
export async function runOrdinary(script, args = [], where = () => ({})) {
  if (process.getuid() !== 0) {
    const cache = process.env.BELLJAR_TEST_CACHE ?? join(tmpdir(), `belljar-test-${process.getuid()}`);
    mkdirSync(cache, { recursive: true, mode: 0o755 });
    const env = { ...process.env, ...launcherIn(root), BELLJAR_TEST_CACHE: cache, ...where({ tree: root, cache }) };
    return spawnScript(process.execPath, [join(root, script), ...args], { cwd: root, env });
  }
  const { tree, node, cache, ...user } = ordinaryPlace();
  const env = {
    PATH: `${dirname(node)}:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin`,
    HOME: user.home,
    USER: userName,
    LOGNAME: userName,
    LANG: "C.UTF-8",
    BELLJAR_TEST_CACHE: cache,
    ...Object.fromEntries(passedOn.filter((name) => process.env[name] !== undefined).map((name) => [name, process.env[name]])),
    ...launcherIn(tree),
    ...where({ tree, cache }),
  };
  return spawnScript(node, [join(tree, script), ...args], { cwd: tree, env, uid: user.uid, gid: user.gid });
}

/** For the tests that only root can do: whom belljar runs as, and the tree and the Node that this user can reach. */
export function placeForUser() {
  const user = ordinaryUser();
  return { ...user, tree: treeForUser(), node: nodeForUser(user.home) };
}
