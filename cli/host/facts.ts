import { execFileSync } from "node:child_process";
import { readdirSync, readlinkSync, realpathSync } from "node:fs";
import { endianness, userInfo } from "node:os";
import { join } from "node:path";
import type { Arch, CgroupFacts, DirectoryRootfsFacts, HostFacts } from "../../policy/compile/types.ts";
import { BelljarError } from "../../policy/errors.ts";
import type { ResolvedPolicy } from "../../policy/profile/types.ts";
import { quoted } from "../output/terminal.ts";
import { prepareCgroup, surveyCgroups } from "./cgroup-delegation.ts";
import type { Config } from "./config.ts";
import { type HostFiles, hostFiles, readNumber } from "./host-files.ts";
import { hostRootfsFacts } from "./host-rootfs-cache.ts";
import { resourceFacts } from "./resource-limits.ts";
import { freeSubordinateIds, subordinateFacts } from "./subid.ts";

const arches: Readonly<Record<string, Arch>> = { x64: "x86_64", arm64: "aarch64" };

function hostArch(): Arch {
  const arch = arches[process.arch];
  if (arch !== undefined && endianness() === "LE") return arch;
  throw new BelljarError("not-supported", `probing the host: ${quoted(process.arch)}: only x86_64 and aarch64 are supported`);
}

/** x86_64 has one page size; aarch64 kernels are built for 4, 16 or 64 KiB, and Node does not tell which. */
function pageSizeOf(arch: Arch): number {
  if (arch === "x86_64") return 4096;
  return Number(execFileSync("getconf", ["PAGESIZE"], { encoding: "utf8", timeout: 5000 }).trim());
}

/** Numbers of a Linux CPU list ("0-3,8"). */
export function parseCpuList(text: string): readonly number[] {
  return text
    .trim()
    .split(",")
    .flatMap((part) => {
      const match = /^(\d+)(?:-(\d+))?$/.exec(part.trim());
      if (match === null) return [];
      const first = Number(match[1]);
      const last = Number(match[2] ?? match[1]);
      return Array.from({ length: Math.max(0, last - first + 1) }, (_, i) => first + i);
    });
}

/** CPUs that are online and that this process may use. */
function usableCpus(files: HostFiles): readonly number[] {
  const allowed = parseCpuList(/^Cpus_allowed_list:\s*(.*)$/m.exec(files.text("/proc/self/status") ?? "")?.[1] ?? "");
  const online = parseCpuList(files.text("/sys/devices/system/cpu/online") ?? "");
  return online.length === 0 ? allowed : allowed.filter((cpu) => online.includes(cpu));
}

/** perf_event_open(2) of an own task for user and kernel time: at most 2 without privileges. The launcher finds out for certain. */
export function perfClockLikely(files: HostFiles): boolean {
  const level = readNumber(files, "/proc/sys/kernel/perf_event_paranoid");
  return level !== null && level <= 2;
}

/** The caller's number where cgroup folders are named by it: outside a user namespace in which root is but a name. */
export function folderUid(files: HostFiles, uid: number): number {
  if (uid !== 0) return uid;
  const [inside, outside] = (files.text("/proc/self/uid_map") ?? "").trim().split(/\s+/).map(Number);
  return inside === 0 && outside !== undefined && Number.isInteger(outside) ? outside : uid;
}

/** Users of directory services have a name too; a uid without an account has none. */
export function userNameOf(uid: number): string {
  try {
    return userInfo().username;
  } catch {
    return String(uid);
  }
}

/** The top level of a root file system in a directory. Throws BelljarError `rootfs-invalid`. */
export function directoryRootfsFacts(path: string): DirectoryRootfsFacts {
  const refuse = (reason: string, cause?: unknown): never => {
    throw new BelljarError("rootfs-invalid", `reading the root file system: ${quoted(path)}: ${reason}`, { cause });
  };
  try {
    const absolute = realpathSync(path);
    if (absolute === "/") refuse("the host's root is no root file system for a sandbox");
    const entries = readdirSync(absolute, { withFileTypes: true }).flatMap((entry) => {
      const kind = entry.isDirectory() ? "directory" : entry.isFile() ? "file" : entry.isSymbolicLink() ? "symlink" : null;
      if (kind === null) return []; // devices, sockets and fifos at the top of a root file system are nobody's need
      return [{ name: entry.name, kind, target: kind === "symlink" ? readlinkSync(join(absolute, entry.name)) : null } as const];
    });
    if (!entries.some((entry) => entry.name === "usr" || entry.name === "bin")) refuse("holds neither usr nor bin");
    return { path: absolute, entries: entries.sort((a, b) => (a.name < b.name ? -1 : 1)) };
  } catch (error) {
    if (error instanceof BelljarError) throw error;
    const { code, message } = error as NodeJS.ErrnoException;
    const words: Readonly<Record<string, string>> = {
      ENOENT: "no such directory",
      ENOTDIR: "is not a directory",
      EACCES: "permission denied",
    };
    return refuse(words[code ?? ""] ?? message, error);
  }
}

export function wantedControllers({ limits }: ResolvedPolicy): readonly string[] {
  return ["memory", "pids", ...(limits.cpus === null ? [] : ["cpu"]), ...(limits.cpuset === null ? [] : ["cpuset"])];
}

export interface ProbeOptions {
  readonly policy: ResolvedPolicy;
  readonly config: Config;
  /** `--rootfs DIR`, where it is not already in the policy. */
  readonly directory?: string | null;
  readonly environment?: Readonly<Record<string, string | undefined>>;
  readonly files?: HostFiles;
}

/** What a run needs to know of the host wherever its cgroup is made. */
export type PlainFacts = Omit<HostFacts, "cgroup">;

/** Leaves the cgroup of the caller and enables controllers where that is what a run's cgroup takes (see `prepareCgroup`). */
export function probeCgroup({ policy, config, files = hostFiles() }: ProbeOptions): CgroupFacts {
  const uid = folderUid(files, process.getuid?.() ?? 0);
  return prepareCgroup(surveyCgroups({ files, uid, pid: process.pid, config: config.cgroup, wanted: wantedControllers(policy) }));
}

/**
 * What a run of this policy needs to know about the host, by a few dozen system calls; only what that run uses is looked up.
 * Throws BelljarError `not-supported` or `rootfs-invalid`.
 */
export function probePlainFacts({
  policy,
  directory = null,
  environment = process.env,
  files = hostFiles(),
}: Omit<ProbeOptions, "config">): PlainFacts {
  const arch = hostArch();
  const uid = process.getuid?.() ?? 0;
  const subordinate = policy.user.mode === "subordinate";
  const rootfs = directory ?? (policy.rootfs.kind === "directory" ? policy.rootfs.path : null);
  const userName = subordinate ? userNameOf(uid) : (environment["USER"] ?? String(uid));
  return {
    arch,
    pageSize: pageSizeOf(arch),
    uid,
    gid: process.getgid?.() ?? 0,
    userName,
    subordinate: subordinate ? subordinateFacts(files, { name: userName, uid }) : { uids: [], gids: [], newuidmap: null, newgidmap: null },
    freeSubordinateIds: subordinate ? freeSubordinateIds(files) : null,
    hostRootfs: rootfs === null && policy.rootfs.kind === "host" ? hostRootfsFacts(files, environment) : null,
    directoryRootfs: rootfs === null ? null : directoryRootfsFacts(rootfs),
    diskScratch: null, // made, if at all, when nothing else can be refused
    layeredRootfs: null, // made ready afterwards: it takes the ids found here
    perfClock: perfClockLikely(files),
    onlineCpus: usableCpus(files),
    ...resourceFacts(files),
  };
}

/** All of it. */
export const probeHostFacts = (options: ProbeOptions): HostFacts => ({ ...probePlainFacts(options), cgroup: probeCgroup(options) });
