// The launcher against bubblewrap, and the command against Node's own start.
import { chmodSync, copyFileSync, existsSync, mkdirSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { driveGroup, loadTypeScript, must, root } from "./measure.mjs";

/** A root file system with nothing but a static busybox. */
export function makeRootfs(dir) {
  const rootfs = join(dir, "rootfs");
  for (const name of ["bin", "dev", "proc", "tmp", "work", "etc"]) mkdirSync(join(rootfs, name), { recursive: true });
  const busybox = ["/bin/busybox", "/usr/bin/busybox", "/bin/busybox.static"].find((path) => existsSync(path));
  if (busybox === undefined) throw new Error("no busybox");
  copyFileSync(busybox, join(rootfs, "bin/busybox"));
  chmodSync(join(rootfs, "bin/busybox"), 0o755);
  for (const name of ["true", "sh"]) symlinkSync("busybox", join(rootfs, "bin", name));
  return rootfs;
}

const which = (name) => ["/usr/bin", "/usr/local/bin", "/bin"].map((place) => join(place, name)).find((path) => existsSync(path));

/** The same namespaces and the same places: the rootfs read-only, /proc, /dev with its nodes and ptys, /tmp and /work writable. */
function bubblewrapCase(rootfs) {
  const bwrap = which("bwrap");
  if (bwrap === undefined) {
    console.error("bubblewrap is not installed: nothing to compare the launcher with");
    return null;
  }
  return {
    name: "bubblewrap",
    note: must([bwrap, "--version"]).trim(),
    argv: [
      bwrap,
      ...[
        "--unshare-user",
        "--unshare-pid",
        "--unshare-ipc",
        "--unshare-uts",
        "--unshare-cgroup",
        "--unshare-net",
        "--hostname",
        "belljar",
      ],
      ...["--uid", "1000", "--gid", "1000", "--die-with-parent", "--new-session", "--cap-drop", "ALL", "--clearenv"],
      ...["--ro-bind", rootfs, "/", "--proc", "/proc", "--dev", "/dev", "--tmpfs", "/tmp", "--tmpfs", "/work", "--chdir", "/work"],
      ...["--", "/bin/true"],
    ],
  };
}

export async function launcherGroups({ dir, drive, rounds }) {
  const rootfs = makeRootfs(dir);
  const { benchPlan } = await loadTypeScript(dir, "test/bench/plans.ts");
  const launcherCase = (name, cgroup) => {
    const plan = benchPlan(rootfs, { cgroup });
    if (plan === null) return null;
    const path = join(dir, `${cgroup}.plan`);
    writeFileSync(path, plan.bytes);
    const note = `memory by ${plan.enforcement.memory}, CPU by ${plan.enforcement.cpuTime}`;
    return { name, argv: [join(root, "native/build/belljar-launch"), "run"], plan: path, note };
  };
  const cases = [
    bubblewrapCase(rootfs),
    launcherCase("belljar-launch, no cgroup", "none"),
    launcherCase("belljar-launch, cgroup v1", "cgroup1"),
    launcherCase("belljar-launch, cgroup v2", "cgroup2"),
    { name: "fork and exec alone", argv: [join(rootfs, "bin/true")], note: "no sandbox" },
  ].filter(Boolean);
  return [driveGroup(drive, { title: "/bin/true of busybox in one root file system", cases, rounds })];
}

export async function commandGroups({ drive, rounds, belljar, withoutCgroup }) {
  const cases = [
    { name: "node -e 0", argv: [process.execPath, "-e", "0"], note: `Node ${process.versions.node}` },
    { name: "belljar run -- /bin/true", argv: [...belljar, "run", "--", "/bin/true"], note: "the host's /usr, default profile" },
    {
      name: "the same without a cgroup",
      argv: ["/usr/bin/env", `XDG_CONFIG_HOME=${withoutCgroup}`, ...belljar, "run", "--", "/bin/true"],
      note: "by the user's configuration",
    },
  ];
  return [driveGroup(drive, { title: "The command", cases, rounds: Math.max(5, Math.floor(rounds / 4)) })];
}
