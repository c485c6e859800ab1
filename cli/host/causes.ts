import { grantCommand } from "../../policy/compile/ids.ts";
import { type HostFiles, hostFiles, readNumber } from "./host-files.ts";
import { parseMountInfo } from "./mountinfo.ts";
import { coreEscape } from "./resource-limits.ts";
import { freeSubordinateIds, subordinateFacts } from "./subid.ts";

/** What a check of a cause may look at. */
export interface CauseContext {
  readonly files: HostFiles;
  readonly uid: number;
  readonly userName: string;
  readonly environment: Readonly<Record<string, string | undefined>>;
}

/** A cause that was found to hold, in words, and the command or setting that removes it. */
export interface CheckedCause {
  readonly cause: string;
  readonly remedy: string;
}
/** null: this is not the cause. */
export type CauseCheck = (context: CauseContext) => CheckedCause | null;

/** The context of this process. */
export function causeContext(userName: string, files: HostFiles = hostFiles()): CauseContext {
  return { files, uid: process.getuid?.() ?? 0, userName, environment: process.env };
}

const distributions: readonly (readonly [path: string, install: string])[] = [
  ["/usr/bin/apt-get", "sudo apt-get install"],
  ["/usr/bin/dnf", "sudo dnf install"],
  ["/sbin/apk", "sudo apk add"],
  ["/usr/bin/pacman", "sudo pacman -S"],
  ["/usr/bin/zypper", "sudo zypper install"],
];

/** The command that installs a package here; a package may have another name per manager. */
export function installCommand(files: HostFiles, packages: Readonly<Record<string, string>> & { readonly other: string }): string {
  const [path = "", install = "install"] = distributions.find(([manager]) => files.stat(manager) !== null) ?? [];
  return `${install} ${packages[path.slice(path.lastIndexOf("/") + 1)] ?? packages.other}`;
}

/** Ubuntu 23.10 and later: a new user namespace comes without privileges unless an AppArmor profile grants `userns`. */
export const appArmorRestriction: CauseCheck = ({ files }) =>
  readNumber(files, "/proc/sys/kernel/apparmor_restrict_unprivileged_userns") !== 1
    ? null
    : {
        cause: "AppArmor takes the privileges from new user namespaces (kernel.apparmor_restrict_unprivileged_userns is 1)",
        remedy:
          "sudo sysctl -w kernel.apparmor_restrict_unprivileged_userns=0, or allow belljar-launch alone by an AppArmor profile (docs/hosts.md shows it)",
      };

/** Debian's and some hardened kernels' switch; absent elsewhere. */
export const unprivilegedCloneOff: CauseCheck = ({ files }) =>
  readNumber(files, "/proc/sys/kernel/unprivileged_userns_clone") !== 0
    ? null
    : { cause: "kernel.unprivileged_userns_clone is 0", remedy: "sudo sysctl -w kernel.unprivileged_userns_clone=1" };

const namespaceKinds = ["user", "mnt", "pid", "net", "ipc", "uts", "cgroup"];

/** user_namespaces(7): each kind has a limit per user namespace, and 0 forbids it. A sandbox sets it so on purpose. */
export const namespaceLimitZero: CauseCheck = ({ files }) => {
  const zero = namespaceKinds.find((kind) => readNumber(files, `/proc/sys/user/max_${kind}_namespaces`) === 0);
  if (zero === undefined) return null;
  const name = `user.max_${zero}_namespaces`;
  return { cause: `${name} is 0`, remedy: `sudo sysctl -w ${name}=15000 (within a container or sandbox that forbids it: on its host)` };
};

/** clone(2): EPERM for a user namespace from within a chroot. */
export const chrooted: CauseCheck = ({ files }) => {
  const mounts = parseMountInfo(files.text("/proc/self/mountinfo") ?? "");
  if (mounts.length === 0 || mounts.some((mount) => mount.path === "/")) return null;
  return {
    cause: "this process lives in a chroot, where no user namespace can be made",
    remedy: "start belljar outside the chroot, or in a container that uses pivot_root",
  };
};

/** Only asked when the other causes of a refusal are excluded: a filter cannot be read back. */
export const foreignSeccompFilter: CauseCheck = ({ files }) => {
  const status = files.text("/proc/self/status") ?? "";
  if (/^Seccomp:\s*2$/m.exec(status) === null) return null;
  return {
    cause: "this process is under a seccomp filter (a container's, most likely), and no setting of the kernel forbids namespaces",
    remedy:
      "start the container with --security-opt seccomp=unconfined, or with a seccomp profile that permits clone3, unshare, mount and pivot_root in user namespaces",
  };
};

/** MAX_INSNS_PER_PATH of kernel/seccomp.c: all filters of a task together, with 4 more for each. Beyond it is ENOMEM. */
export const filtersExhausted: CauseCheck = ({ files }) => {
  const status = files.text("/proc/self/status") ?? "";
  if (/^Seccomp:\s*2$/m.exec(status) === null) return null;
  const count = /^Seccomp_filters:\s*(\d+)$/m.exec(status)?.[1];
  return {
    cause: `this process is under ${count === undefined ? "seccomp filters" : `${count} seccomp filter${count === "1" ? "" : "s"}`} already, and the kernel takes 32768 instructions a task in all`,
    remedy: "start belljar under fewer or smaller filters (fewer sandboxes within one another), or use a profile with fewer rules",
  };
};

/** SELinux (user_namespace class, Fedora and RHEL from 9.3 on) refuses by a boolean or a policy. */
export const selinuxRefusal: CauseCheck = ({ files }) =>
  readNumber(files, "/sys/fs/selinux/enforce") !== 1
    ? null
    : {
        cause: "SELinux is enforcing, and no other setting forbids namespaces",
        remedy: "look for the refusal with `sudo ausearch -m avc -ts recent`, and allow it by the policy",
      };

export const noNewPrivs: CauseCheck = ({ files }) =>
  /^NoNewPrivs:\s*1$/m.exec(files.text("/proc/self/status") ?? "") === null
    ? null
    : {
        cause: "belljar was started with no_new_privs set, so that newuidmap gets no privileges",
        remedy:
          "start belljar without it (systemd: NoNewPrivileges=no; Docker: without --security-opt no-new-privileges), or use user.mode single",
      };

export const helpersMissing: CauseCheck = ({ files, uid, userName }) => {
  const { newuidmap, newgidmap } = subordinateFacts(files, { name: userName, uid });
  if (newuidmap !== null && newgidmap !== null) return null;
  const command = installCommand(files, {
    "apt-get": "uidmap",
    dnf: "shadow-utils",
    apk: "shadow-subids",
    pacman: "shadow",
    other: "shadow (newuidmap, newgidmap)",
  });
  return { cause: `${newuidmap === null ? "newuidmap" : "newgidmap"} is not installed`, remedy: command };
};

export const noSubordinateIds: CauseCheck = ({ files, uid, userName }) => {
  const { uids, gids } = subordinateFacts(files, { name: userName, uid });
  if (uids.length > 0 && gids.length > 0) return null;
  const file = uids.length === 0 ? "/etc/subuid" : "/etc/subgid";
  return { cause: `${file} grants ${userName} no ids`, remedy: `sudo ${grantCommand(userName, freeSubordinateIds(files))}` };
};

/** A helper without its set-user-ID bit may have file capabilities instead, which only a privileged reader can see. */
export const helperWithoutPrivileges: CauseCheck = ({ files, uid, userName }) => {
  const { newuidmap } = subordinateFacts(files, { name: userName, uid });
  const status = newuidmap === null ? null : files.stat(newuidmap);
  if (newuidmap === null || status === null || (status.mode & 0o4000) !== 0) return null;
  return {
    cause: `${newuidmap} has no set-user-ID bit`,
    remedy: `unless it has file capabilities (getcap ${newuidmap}): sudo chmod u+s ${newuidmap} ${newuidmap.replace("newuidmap", "newgidmap")}`,
  };
};

/** mount_too_revealing() in fs/namespace.c: a new procfs is refused while something covers a part of the one in sight; an empty directory does not count. */
export const procOverMounted: CauseCheck = ({ files }) => {
  const mounts = parseMountInfo(files.text("/proc/self/mountinfo") ?? "");
  const covering = mounts.find((mount) => mount.path.startsWith("/proc/") && !mount.path.startsWith("/proc/sys/fs/binfmt_misc"));
  if (covering === undefined) return null;
  return {
    cause: `'${covering.path}' is mounted over a part of /proc (a container masks it), so the kernel refuses a new procfs`,
    remedy:
      "start the container with --security-opt systempaths=unconfined (Docker) or --security-opt unmask=ALL (Podman); else run with --set proc=none, or with proc host-read-only in a profile",
  };
};

export const procSysReadOnly: CauseCheck = ({ files }) => {
  const mounts = parseMountInfo(files.text("/proc/self/mountinfo") ?? "");
  const mount = mounts.findLast((one) => ["/proc", "/proc/sys", "/proc/sys/user"].includes(one.path));
  if (mount?.readOnly !== true) return null;
  return {
    cause: `'${mount.path}' is mounted read-only, so nested user namespaces cannot be forbidden`,
    remedy:
      "start the container with --security-opt systempaths=unconfined (Docker) or --security-opt unmask=ALL (Podman), or run with a profile that sets namespaces.user to allow",
  };
};

/** What gets crashes from inside a sandbox, past the core limit. */
export const coreEscapes = ({ files }: Pick<CauseContext, "files">): CheckedCause | null => {
  const pattern = "a crash inside a sandbox reaches root's side of the host: kernel.core_pattern names";
  switch (coreEscape(files)) {
    case null:
      return null;
    case "socket":
      return { cause: `${pattern} a socket ('@…'), which asks for no limit`, remedy: "sudo sysctl -w kernel.core_pattern=core" };
    case "program":
      return {
        cause: `${pattern} a program ('|…'), which only a core limit of 1 byte stops, and this session's hard limit is 0`,
        remedy:
          "raise the hard limit to 1 or more (systemd: LimitCORE=0:infinity, else /etc/security/limits.conf), or sudo sysctl -w kernel.core_pattern=core",
      };
  }
};

/** Landlock has to be in the list of security modules, not only in the kernel. */
export const landlockOff: CauseCheck = ({ files }) => {
  const modules = files.text("/sys/kernel/security/lsm");
  if (modules === null || modules.trim().split(",").includes("landlock")) return null;
  return {
    cause: "Landlock is not among the kernel's active security modules",
    remedy: `boot with the kernel parameter lsm=landlock,${modules.trim()}`,
  };
};

/** setrlimit(2) RLIMIT_NPROC: fork fails with EAGAIN at the user's limit on processes. */
export const processLimitOfUser: CauseCheck = ({ files, userName }) => {
  const limit = /^Max processes\s+(\S+)/m.exec(files.text("/proc/self/limits") ?? "")?.[1];
  if (limit === undefined || limit === "unlimited") return null;
  return {
    cause: `${userName} may have ${limit} processes, and so many there are`,
    remedy: "end some, or raise the limit (ulimit -u, /etc/security/limits.conf)",
  };
};

export const fuseClosed: CauseCheck = ({ files }) => {
  if (files.stat("/dev/fuse") === null)
    return { cause: "/dev/fuse does not exist", remedy: "sudo modprobe fuse (in a container: start it with --device /dev/fuse)" };
  if (files.writeRefusal("/dev/fuse") === null) return null;
  return { cause: "/dev/fuse is not open to users", remedy: "sudo chmod 666 /dev/fuse" };
};

/** /proc/cgroups: the fourth column is 0 for a controller that is switched off at boot. */
export const memoryControllerOff: CauseCheck = ({ files }) =>
  /^memory\s+\d+\s+\d+\s+0$/m.exec(files.text("/proc/cgroups") ?? "") === null
    ? null
    : { cause: "the memory controller is switched off", remedy: "boot with the kernel parameter cgroup_enable=memory" };
