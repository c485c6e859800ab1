import { spawnSync } from "node:child_process";
import { accessSync, constants, existsSync, readFileSync, realpathSync, rmSync, statSync } from "node:fs";
import { userInfo } from "node:os";
import { join } from "node:path";
import { type TestContext, test } from "vitest";
import { fixtureProgram } from "./compile.ts";
import { makeTempDir, root } from "./places.ts";

/** null: this machine has it; otherwise the reason why not. */
type Probe = () => string | null;

const can = (path: string, mode: number): boolean => {
  try {
    accessSync(path, mode);
    return true;
  } catch {
    return false;
  }
};
const program =
  (...paths: readonly string[]): Probe =>
  () =>
    paths.some((path) => can(path, constants.X_OK)) ? null : `none of ${paths.join(", ")} is there`;

const tries =
  (command: string, ...args: readonly string[]): Probe =>
  () => {
    const { status, stderr, error } = spawnSync(command, args, { encoding: "utf8", timeout: 20_000, killSignal: "SIGKILL" });
    return status === 0 ? null : `${command} ${args.join(" ")}: ${error?.message ?? stderr.trim()}`;
  };

/** What the launcher itself finds by trying. */
function launcherProbe(name: string): Probe {
  return () => {
    const { stdout, error } = spawnSync(join(root, "native/build/belljar-launch"), ["probe"], {
      encoding: "utf8",
      timeout: 10_000,
      killSignal: "SIGKILL",
    });
    if (error) return `the launcher's probe: ${error.message}`;
    try {
      const found = (JSON.parse(stdout) as Readonly<Record<string, { readonly ok: boolean; readonly errno: number }>>)[name];
      return found === undefined ? `the launcher does not probe ${name}` : found.ok ? null : `${name}: errno ${found.errno}`;
    } catch {
      return `the launcher's probe printed no JSON: ${stdout.slice(0, 200)}`;
    }
  };
}

function tries32(): string {
  if (process.arch !== "x64") return `this is ${process.arch}`;
  return spawnSync(fixtureProgram("seccomp-try"), ["--", "int80-mkdir:/"], {
    encoding: "utf8",
    timeout: 5000,
    killSignal: "SIGKILL",
  }).stdout.trim();
}

function cgroup1(): string | null {
  const missing = ["memory", "pids"].filter(
    (controller) => !can(`/sys/fs/cgroup/${controller}/belljar-${process.getuid?.()}`, constants.W_OK),
  );
  return missing.length === 0 ? null : `no v1 subtree of this user's for ${missing.join(", ")}`;
}

function cgroup2(): string | null {
  const own = /^0::(.*)$/m.exec(readFileSync("/proc/self/cgroup", "utf8"))?.[1];
  if (own === undefined) return "this process is in no v2 cgroup";
  const parent = join("/sys/fs/cgroup", own, "..");
  if (!can(join(parent, "cgroup.procs"), constants.W_OK)) return `${parent} is not delegated to this user`;
  const controllers = readFileSync(join(parent, "cgroup.controllers"), "utf8").split(/\s+/);
  const missing = ["memory", "pids"].filter((name) => !controllers.includes(name));
  return missing.length === 0 ? null : `${parent} lacks the controllers ${missing.join(", ")}`;
}

/** A manager of systemd's for this user, and no subtree of the session's own: what a login on a server has. */
function userManager(): string | null {
  const socket = `/run/user/${process.getuid?.()}/systemd/private`;
  if (!existsSync(socket)) return `no user manager listens at ${socket}`;
  return cgroup2() === null ? "this session has a delegated subtree of its own" : null;
}

function subids(): string | null {
  const { username } = userInfo();
  const listed = (file: string): boolean =>
    existsSync(file) &&
    readFileSync(file, "utf8")
      .split("\n")
      .some((line) => line.startsWith(`${username}:`));
  if (!listed("/etc/subuid") || !listed("/etc/subgid")) return `${username} has no range in /etc/subuid and /etc/subgid`;
  return can("/usr/bin/newuidmap", constants.X_OK) ? null : "newuidmap is missing";
}

/** Whether apt, as this machine has it set up, gets something from the first of its sources. */
function debianMirror(): string | null {
  const { stdout, error } = spawnSync("apt-get", ["indextargets", "--format", "$(SITE)/dists/$(RELEASE)/InRelease"], { encoding: "utf8" });
  const [url] = (stdout ?? "").split("\n");
  if (error !== undefined || !url) return `apt has no sources here: ${error?.message ?? "none listed"}`;
  const folder = makeTempDir("probe");
  try {
    return tries("timeout", "15", "/usr/lib/apt/apt-helper", "-qq", "download-file", url, join(folder, "InRelease"))();
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** In a folder as tests have theirs: where that is a tmpfs, it says nothing of disks. */
function overlayOnDisk(): string | null {
  const folder = makeTempDir("probe");
  try {
    return tries(join(root, "native/build/belljar-launch"), "probe-overlay", folder)();
  } finally {
    // Overlay makes a folder that nobody may enter.
    spawnSync("chmod", ["-R", "u+rwx", folder]);
    rmSync(folder, { recursive: true, force: true });
  }
}

const probes = {
  userns: tries("unshare", "-Ur", "true"),
  netns: tries("unshare", "-Urn", "true"),
  proc: launcherProbe("proc"),
  landlock: launcherProbe("landlock"),
  overlay: launcherProbe("overlay"),
  "no-overlay-on-tmpfs": () =>
    launcherProbe("overlayMount")() ?? (launcherProbe("overlay")() === null ? "kernel overlay works on this kernel's tmpfs" : null),
  "overlay-on-disk": overlayOnDisk,
  perf: launcherProbe("perfClock"),
  cgroup1,
  cgroup2,
  cgroup: () => {
    const [first, second] = [cgroup2(), cgroup1()];
    return first === null || second === null ? null : `${first}; ${second}`;
  },
  "user-manager": userManager,
  subids,
  fuse: () => (can("/dev/fuse", constants.R_OK | constants.W_OK) ? null : "/dev/fuse is not open to this user"),
  "fuse-overlayfs": program("/usr/bin/fuse-overlayfs"),
  root: () => (process.getuid?.() === 0 ? null : "this is no root"),
  x86_64: () => (process.arch === "x64" ? null : `this is ${process.arch}`),
  aarch64: () => (process.arch === "arm64" ? null : `this is ${process.arch}`),
  python3: program("/usr/bin/python3"),
  node: () => (realpathSync(process.execPath).startsWith("/usr/") ? null : `${process.execPath} is outside /usr`),
  java: program("/usr/bin/java"),
  javac: program("/usr/bin/javac"),
  gcc: program("/usr/bin/gcc"),
  "g++": program("/usr/bin/g++"),
  go: program("/usr/bin/go"),
  git: program("/usr/bin/git"),
  perl: program("/usr/bin/perl"),
  ruby: program("/usr/bin/ruby"),
  sqlite3: program("/usr/bin/sqlite3"),
  make: program("/usr/bin/make"),
  strace: program("/usr/bin/strace"),
  zstd: program("/usr/bin/zstd"),
  "debian-mirror": debianMirror,
  umoci: program("/usr/bin/umoci"),
  mmdebstrap: program("/usr/bin/mmdebstrap"),
  skopeo: program("/usr/bin/skopeo"),
  busybox: program("/bin/busybox", "/usr/bin/busybox", "/bin/busybox.static"),
  openssl: program("/usr/bin/openssl"),
  "docker-registry": program("/usr/bin/docker-registry"),
  htpasswd: program("/usr/bin/htpasswd"),
  "containers-seccomp": () => {
    const file = "/usr/share/containers/seccomp.json";
    return existsSync(file) ? null : `${file} is not there (golang-github-containers-common)`;
  },
  bwrap: program("/usr/bin/bwrap"),
  i386: () => {
    // mkdir of what is there already. A kernel may have the calls and yet take int 0x80 from nobody: then it is a fault.
    const outcome = tries32();
    return outcome === "errno 17" ? null : `mkdir through int 0x80: ${outcome}`;
  },
  vsock: () => {
    const number = process.arch === "arm64" ? 198 : 41;
    const args = ["--", `${number}:40:1:0`];
    const outcome = spawnSync(fixtureProgram("seccomp-try"), args, {
      encoding: "utf8",
      timeout: 5000,
      killSignal: "SIGKILL",
    }).stdout.trim();
    return outcome === "ok" ? null : `socket(AF_VSOCK): ${outcome}`;
  },
  tiocsti: () => {
    const file = "/proc/sys/dev/tty/legacy_tiocsti";
    return !existsSync(file) || readFileSync(file, "utf8").trim() === "1" ? null : `${file} is not 1`;
  },
  "setuid-program": () =>
    ["/usr/bin/su", "/usr/bin/passwd", "/bin/su"].some((path) => existsSync(path) && (statSync(path).mode & 0o4000) !== 0)
      ? null
      : "neither su nor passwd is a set-user-id program here",
  "io-uring": () => {
    const file = "/proc/sys/kernel/io_uring_disabled";
    return !existsSync(file) || readFileSync(file, "utf8").trim() === "0" ? null : `${file} is not 0`;
  },
  "fast-core": () =>
    readFileSync("/proc/cpuinfo", "utf8").includes("User Mode Linux") ? "User-Mode Linux takes many times as long for everything" : null,
  smp: () => (statSync("/sys/devices/system/cpu/cpu1", { throwIfNoEntry: false }) ? null : "one CPU only"),
} satisfies Readonly<Record<string, Probe>>;

export type Ability = keyof typeof probes;

const found = new Map<Ability, string | null>();

/** The probed reason why an ability is missing, or null. */
export function whyMissing(ability: Ability): string | null {
  if (!found.has(ability)) found.set(ability, probes[ability]());
  return found.get(ability) ?? null;
}

const mustRun = (process.env["BELLJAR_MUST_RUN"] ?? "").split(",").filter((name) => name !== "");
for (const name of mustRun)
  if (!(name in probes)) throw new Error(`BELLJAR_MUST_RUN: unknown ability '${name}'; known: ${Object.keys(probes).join(",")}`);

/** Within a test: skips it, with the reason, when an ability is missing; fails it when BELLJAR_MUST_RUN names that ability. */
export function needsHere(context: Pick<TestContext, "skip">, ...abilities: readonly Ability[]): void {
  for (const ability of abilities) {
    const reason = whyMissing(ability);
    if (reason === null) continue;
    if (mustRun.includes(ability)) throw new Error(`BELLJAR_MUST_RUN names ${ability}, but: ${reason}`);
    context.skip(`needs ${ability}: ${reason}`);
  }
}

/**
 * A `test` for what needs abilities of the machine: `needs("userns", "cgroup1")("kills a fork bomb", async () => {...})`.
 * Missing ones are looked for when the test runs, never when the file is read.
 */
export function needs(...abilities: readonly Ability[]) {
  return (name: string, body: (context: TestContext) => unknown, timeoutMs?: number): void => {
    test(
      name,
      async (context) => {
        needsHere(context, ...abilities);
        await body(context);
      },
      timeoutMs,
    );
  };
}
