import { type CompileResult, compilePlan } from "../../../policy/compile/index.ts";
import type { HostFacts, RunRequest } from "../../../policy/compile/types.ts";
import { BelljarError } from "../../../policy/errors.ts";
import type { ResolvedPolicy } from "../../../policy/profile/types.ts";

/** A policy as tight as a judge's, written by hand so that these tests do not move with the built-in profiles. */
export const policy: ResolvedPolicy = {
  schemaVersion: 1,
  name: "test",
  description: "",
  rootfs: { kind: "host", writable: false, overlay: "auto" },
  scratch: { storage: "memory" },
  user: { mode: "single", uid: 1000, gid: 1000, map: "caller" },
  namespaces: { user: "deny" },
  proc: "private",
  sys: "none",
  mounts: [],
  process: {
    workdir: "/work",
    env: { LANG: "C.UTF-8" },
    inheritEnv: [],
    umask: 0o22,
    hostname: "belljar",
    stopSignal: null,
    stopTimeout: 10_000,
  },
  limits: {
    cpuTime: 2000,
    wallTime: 6000,
    memory: 268_435_456,
    processes: 32,
    output: 16_777_216,
    disk: 67_108_864,
    inodes: 10_000,
    openFiles: 256,
    fileSize: 67_108_864,
    stack: 67_108_864,
    cpus: null,
    cpuset: null,
    lockedMemory: 0,
    core: 0,
    addressSpace: null,
  },
  required: [],
  seccomp: { ruleSets: ["default"], defaultAction: null, audit: true, file: null, syscalls: [] },
  capabilities: [],
  landlock: { required: false },
  network: { mode: "none" },
};

export const noLimits: ResolvedPolicy["limits"] = {
  cpuTime: null,
  wallTime: null,
  memory: null,
  processes: null,
  output: null,
  disk: null,
  inodes: null,
  openFiles: null,
  fileSize: null,
  stack: null,
  cpus: null,
  cpuset: null,
  lockedMemory: null,
  core: null,
  addressSpace: null,
};

export const facts: HostFacts = {
  arch: "x86_64",
  pageSize: 4096,
  uid: 1001,
  gid: 1002,
  userName: "alice",
  subordinate: { uids: [], gids: [], newuidmap: null, newgidmap: null },
  freeSubordinateIds: { start: 231_072, count: 65_536 },
  cgroup: { kind: "none", reason: "the session's cgroup belongs to root" },
  hostRootfs: {
    links: [
      { path: "/bin", target: "usr/bin" },
      { path: "/lib64", target: "usr/lib64" },
    ],
    directories: ["/lib32"],
    etc: [
      { path: "/etc/alternatives", kind: "directory" },
      { path: "/etc/ld.so.cache", kind: "file" },
      { path: "/etc/ssl", kind: "directory" },
      { path: "/etc/ssl/certs", kind: "directory" },
      { path: "/etc/ssl/openssl.cnf", kind: "file" },
      { path: "/etc/passwd", kind: "file" },
    ],
    etcLinks: [
      { path: "/etc/localtime", target: "/usr/share/zoneinfo/UTC" },
      { path: "/etc/alternatives/x", target: "/usr/bin/x" },
      { path: "/etc/hosts", target: "/usr/share/hosts" },
    ],
  },
  directoryRootfs: null,
  layeredRootfs: null,
  diskScratch: null,
  perfClock: true,
  onlineCpus: [0, 1],
  callerLimits: {
    cpuTime: null,
    fileSize: null,
    stack: null,
    core: null,
    processes: null,
    openFiles: null,
    lockedMemory: null,
    addressSpace: null,
  },
  core: { escape: null, closed: false },
};

export const request: RunRequest = {
  runId: "run-1",
  command: ["python3", "-c", "print(1)"],
  cwd: null,
  env: [],
  inherited: {},
  user: null,
  terminal: false,
  stdin: "pump",
  filesIn: [],
  sampleMs: 0,
  filesOut: [],
  script: null,
};

export const filters = { base: Uint8Array.from({ length: 16 }, (_, i) => i), profile: Uint8Array.from({ length: 24 }, (_, i) => 255 - i) };

export const cgroup2 = {
  kind: "cgroup2",
  parent: "/sys/fs/cgroup/user.slice/delegated",
  controllers: ["cpuset", "cpu", "io", "memory", "pids"],
} as const satisfies HostFacts["cgroup"];

export const cgroup1: HostFacts["cgroup"] = {
  kind: "cgroup1",
  hierarchies: [
    { parent: "/sys/fs/cgroup/freezer/belljar-1001", controllers: ["freezer"], swap: false },
    { parent: "/sys/fs/cgroup/memory/belljar-1001", controllers: ["memory"], swap: true },
    { parent: "/sys/fs/cgroup/cpu,cpuacct/belljar-1001", controllers: ["cpu", "cpuacct"], swap: false },
    { parent: "/sys/fs/cgroup/pids/belljar-1001", controllers: ["pids"], swap: false },
  ],
};

interface Changes {
  readonly policy?: Partial<ResolvedPolicy>;
  readonly limits?: Partial<ResolvedPolicy["limits"]>;
  readonly facts?: Partial<HostFacts>;
  readonly request?: Partial<RunRequest>;
  readonly filters?: Partial<typeof filters>;
}

export function compile(changes: Changes = {}): CompileResult {
  return compilePlan({
    policy: { ...policy, ...changes.policy, limits: { ...policy.limits, ...changes.policy?.limits, ...changes.limits } },
    facts: { ...facts, ...changes.facts },
    request: { ...request, ...changes.request },
    filters: { ...filters, ...changes.filters },
  });
}

export function errorOf(action: () => unknown): BelljarError {
  try {
    action();
  } catch (error) {
    if (error instanceof BelljarError) return error;
    throw error;
  }
  throw new Error("nothing was thrown");
}
