// Other programs that make sandboxes, each asked for the same namespaces and the same places. Those that are not there, or do not run here,
// stay in the table with the reason.
import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";

const which = (name) => ["/usr/bin", "/usr/local/bin", "/bin", "/usr/sbin", "/sbin"].map((place) => join(place, name)).find(existsSync);

/** The rootfs read-only, /proc, /dev with its nodes and ptys, /tmp and /work writable. */
const bubblewrap = ({ program, rootfs }) => [
  program,
  ...["--unshare-user", "--unshare-pid", "--unshare-ipc", "--unshare-uts", "--unshare-cgroup", "--unshare-net"],
  ...["--hostname", "belljar", "--uid", "1000", "--gid", "1000"],
  ...["--die-with-parent", "--new-session", "--cap-drop", "ALL", "--clearenv"],
  ...["--ro-bind", rootfs, "/", "--proc", "/proc", "--dev", "/dev", "--tmpfs", "/tmp", "--tmpfs", "/work", "--chdir", "/work"],
  ...["--", "/bin/true"],
];

/** The same as a bundle of the OCI runtime specification. Id 0 inside: runc refuses a map without it. */
function bundle({ dir, rootfs }) {
  const folder = join(dir, "bundle");
  const scratch = (destination) => ({ destination, type: "tmpfs", source: "tmpfs", options: ["nosuid", "nodev"] });
  const ids = (id) => [{ containerID: 0, hostID: id, size: 1 }];
  const config = {
    ociVersion: "1.0.2",
    process: { user: { uid: 0, gid: 0 }, args: ["/bin/true"], env: ["PATH=/bin"], cwd: "/work", noNewPrivileges: true, capabilities: {} },
    root: { path: rootfs, readonly: true },
    hostname: "belljar",
    mounts: [
      { destination: "/proc", type: "proc", source: "proc" },
      { destination: "/dev", type: "tmpfs", source: "tmpfs", options: ["nosuid", "strictatime", "mode=755", "size=65536k"] },
      { destination: "/dev/pts", type: "devpts", source: "devpts", options: ["nosuid", "noexec", "newinstance", "ptmxmode=0666"] },
      ...["/dev/shm", "/tmp", "/work"].map(scratch),
    ],
    linux: {
      uidMappings: ids(process.getuid()),
      gidMappings: ids(process.getgid()),
      namespaces: ["user", "pid", "ipc", "uts", "cgroup", "network", "mount"].map((type) => ({ type })),
    },
  };
  mkdirSync(folder, { recursive: true });
  writeFileSync(join(folder, "config.json"), JSON.stringify(config));
  return folder;
}

const crun = ({ program, dir, bundle: folder }) => [
  ...[program, "--root", join(dir, "crun"), "--cgroup-manager=disabled", "run", "--bundle", folder, "bench"],
];
const runc = ({ program, dir, bundle: folder }) => [program, "--root", join(dir, "runc"), "run", "--bundle", folder, "bench"];

const podman = ({ program, dir, rootfs, runtime }) => [
  ...[program, "--root", join(dir, "podman"), "--runroot", join(dir, "podman-run"), "--storage-driver", "vfs"],
  ...["--cgroup-manager", "cgroupfs", "--events-backend", "none", "--runtime", runtime],
  ...["run", "--rm", "--network", "none", "--log-driver", "none", "--read-only", "--rootfs", rootfs, "/bin/true"],
];

const runtimes = [
  { name: "bubblewrap", command: "bwrap", argvs: (place) => [bubblewrap(place)] },
  { name: "crun", command: "crun", argvs: (place) => [crun(place)] },
  { name: "runc", command: "runc", argvs: (place) => [runc(place)], every: 2 },
  { name: "podman", command: "podman", argvs: (place) => ["crun", "runc"].map((runtime) => podman({ ...place, runtime })), every: 20 },
];

/** Rootless podman leaves a process that holds its namespaces for the next time. */
export function endPodman(runtimeDir) {
  try {
    process.kill(Number(readFileSync(join(runtimeDir, "libpod/tmp/pause.pid"), "utf8")));
  } catch {
    // There is none.
  }
}

const firstLine = (text) => text.trim().split("\n")[0] ?? "";
const run = (argv) => spawnSync(argv[0], argv.slice(1), { encoding: "utf8", timeout: 60_000, killSignal: "SIGKILL" });

/** Why it does not run, in its own words, without the time and the marks that logs put around them. */
function reasonOf({ stderr, error }) {
  const words = stderr.trim().split("\n").at(-1) ?? "";
  return error?.message ?? /msg="([^"]*)"/.exec(words)?.[1] ?? (words || "failed without a word");
}

/** Cases of a group: those that run, tried once, and `{ name, missing }` for the others. */
export function runtimeCases({ dir, rootfs }) {
  const folder = bundle({ dir, rootfs });
  return runtimes.map(({ name, command, argvs, every = 1 }) => {
    const program = which(command);
    if (program === undefined) return { name, missing: "not installed" };
    let missing = "";
    for (const argv of argvs({ program, dir, rootfs, bundle: folder })) {
      const tried = run(argv);
      const by = argv.includes("--runtime") ? `, runtime ${argv[argv.indexOf("--runtime") + 1]}` : "";
      const note = `${firstLine(run([program, "--version"]).stdout).replace(/ version/, "")}${by}`;
      if (tried.status === 0) return { name, way: ["exec", ...argv], note, every };
      missing = reasonOf(tried);
    }
    return { name, missing: `does not run here: ${missing}` };
  });
}
