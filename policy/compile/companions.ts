/** Helper programs of a sandbox: outside of it, and therefore kept to what they are for. */
import type { Companion, LandlockRule, SandboxPlan } from "../wire/wire.gen.ts";
import { capabilityBits } from "./capabilities.ts";
import { landlockAccess } from "./landlock.ts";

const { execute, readFile, readDir, writeFile, truncate, ioctlDev } = landlockAccess;
const read = execute | readFile | readDir;
const all = (1n << 16n) - 1n;

/** What programs of the host need to start. */
const hostPlaces = [
  "/usr",
  "/bin",
  "/lib",
  "/lib32",
  "/lib64",
  "/etc/ld.so.cache",
  "/etc/ld-musl-x86_64.path",
  "/etc/ld-musl-aarch64.path",
];

/** The ids that stand for those without a place (fuse-overlayfs), and whether the caller is allowed what it is (libfuse). */
const fuseReads = ["/proc/sys/kernel/overflowuid", "/proc/sys/kernel/overflowgid", "/proc/sys/fs/nr_open", "/etc/fuse.conf"];

export interface CompanionInput {
  readonly argv: readonly string[];
  readonly capabilities: readonly string[];
  readonly ready: Companion["ready"];
  readonly deadlineMs: number;
  readonly fuse?: boolean;
  /** Host paths, or paths of the launcher's while it builds. */
  readonly reads: readonly string[];
  readonly writes: readonly string[];
}

export interface Confinement {
  /** The ceiling of the sandbox itself. */
  readonly filter: Uint8Array;
  readonly network: "none" | "host";
}

const rule = (path: string, access: bigint, optional = false): LandlockRule => ({ path, access, optional });

/**
 * A companion runs as the caller, and what it reads may be made to break it. So it gets only the capabilities and paths it needs, the
 * sandbox's own filter, and where the sandbox has a network of its own, that one.
 */
export function companion(input: CompanionInput, { filter, network }: Confinement): Companion {
  const { argv, capabilities, ready, deadlineMs, fuse = false, reads, writes } = input;
  const namespaces: SandboxPlan["namespaces"] = network === "host" ? ["user", "mount"] : ["user", "mount", "network"];
  return {
    argv,
    namespaces,
    ambientCapabilities: capabilityBits(capabilities),
    ready,
    deadlineMs,
    filter,
    fuse,
    landlock: [
      ...hostPlaces.map((path) => rule(path, read, true)),
      rule(argv[0] ?? "", read),
      rule("/dev/null", readFile | writeFile | truncate),
      // Where libfuse finds the connection that it is given, and where it talks on it.
      ...(fuse
        ? [
            rule("/proc/self", read),
            ...fuseReads.map((path) => rule(path, readFile, true)),
            rule("/dev/fuse", readFile | writeFile | ioctlDev),
          ]
        : []),
      ...reads.map((path) => rule(path, read)),
      ...writes.map((path) => rule(path, all)),
    ],
  };
}
