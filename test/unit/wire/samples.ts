import type { ExecPlan, RunRecord, SandboxPlan } from "../../../policy/wire/wire.gen.ts";
import { enums, steps, wireMagic, wireRecords, wireVersion } from "../../../policy/wire/wire.gen.ts";

/** The least that both parts may hold. */
export const minimalSandbox: SandboxPlan = {
  runId: "r",
  namespaces: ["user"],
  idMode: "single",
  callerMapped: true,
  denySetgroups: true,
  uidMaps: [],
  gidMaps: [],
  newuidmap: "",
  newgidmap: "",
  programUid: 0,
  programGid: 0,
  userNamespaces: "deny",
  hostname: "",
  network: "private",
  scratchBytes: 0n,
  scratchInodes: 0n,
  scratchPath: "",
  rootReadOnly: true,
  rootKind: "skeleton",
  rootLayers: [],
  workPath: "/",
  filesystem: [],
  companions: [],
  cgroups: [],
  boundingSet: 0n,
  baseFilter: new Uint8Array(),
  auditBaseFilter: new Uint8Array(),
  landlock: [],
  landlockRequired: false,
  landlockWanted: false,
};

export const minimalExec: ExecPlan = {
  parked: false,
  argv: ["a"],
  interpreterFallback: false,
  env: [],
  cwd: "/",
  uid: 0,
  gid: 0,
  groups: [],
  capabilities: 0n,
  umask: 0,
  rlimits: [],
  cpus: [],
  stdin: "null",
  stdout: "pump",
  stderr: "pump",
  filter: new Uint8Array(),
  auditFilter: new Uint8Array(),
  auditSlots: [],
  auditArguments: [],
  cgroupWrites: [],
  wallMs: 0n,
  stopSignal: 0,
  stopMs: 0n,
  cpuMs: 0n,
  memoryBytes: 0n,
  processes: 0n,
  outputBytes: 0n,
  mechanisms: new Array<number>(15).fill(enums.Mechanism.indexOf("notAsked")),
  requiredMask: 0,
  filesIn: [],
  sampleMs: 0n,
  filesOut: [],
};

const filter = Uint8Array.from({ length: 24 }, (_, i) => i); // three made-up instructions

/** Every field in use, texts of odd lengths, several elements in every list. */
export const fullSandbox: SandboxPlan = {
  ...minimalSandbox,
  runId: "run-0123456789-full",
  namespaces: ["user", "mount", "pid", "ipc", "uts", "cgroup", "network"],
  idMode: "subordinate",
  callerMapped: false,
  denySetgroups: false,
  uidMaps: [
    { containerId: 0, hostId: 100000, size: 65536 },
    { containerId: 65536, hostId: 4294901760, size: 1 },
  ],
  gidMaps: [{ containerId: 0, hostId: 100000, size: 65536 }],
  newuidmap: "/usr/bin/newuidmap",
  newgidmap: "/usr/bin/newgidmap",
  programUid: 1000,
  programGid: 1001,
  userNamespaces: "allow",
  hostname: "belljar",
  network: "host",
  scratchBytes: 67108864n,
  scratchInodes: 10000n,
  scratchPath: "/home/a/.cache/belljar/scratch/run-1",
  rootReadOnly: false,
  rootKind: "overlay",
  rootLayers: ["/home/u/layers/a", "/home/u/layers/b"],
  workPath: "/work",
  filesystem: [
    { kind: "directory", flags: [], target: "/etc", source: "", content: new Uint8Array(), mode: 0o755, sizeBytes: 0n, inodes: 0n },
    { kind: "file", flags: [], target: "/etc/passwd", source: "", content: filter, mode: 0o644, sizeBytes: 0n, inodes: 0n },
    {
      kind: "bind",
      flags: ["readOnly", "noExec", "deviceNodes", "recursive", "optional", "sourceIsFile"],
      target: "/data/ünïcode 名",
      source: "/srv/data",
      content: new Uint8Array(),
      mode: 0,
      sizeBytes: 0n,
      inodes: 0n,
    },
    {
      kind: "tmpfs",
      flags: ["ownedByProgram"],
      target: "/cache",
      source: "",
      content: new Uint8Array(),
      mode: 0o1777,
      sizeBytes: 0xffff_ffff_ffff_ffffn,
      inodes: 5n,
    },
  ],
  companions: [
    {
      argv: ["/usr/bin/fuse-overlayfs", "-f", ""],
      namespaces: ["user", "mount"],
      ambientCapabilities: 0x200000n,
      ready: "byte",
      deadlineMs: 5000,
      filter,
      fuse: true,
      landlock: [],
    },
    {
      argv: ["/x"],
      namespaces: [],
      ambientCapabilities: 0n,
      ready: "none",
      deadlineMs: 1,
      filter: new Uint8Array(),
      fuse: false,
      landlock: [],
    },
  ],
  cgroups: [
    { version: 1, parent: "/sys/fs/cgroup/memory/belljar-1000", controllers: "memory" },
    { version: 2, parent: "/sys/fs/cgroup/delegated", controllers: "memory pids cpu" },
  ],
  boundingSet: 0x1ff_ffff_ffffn,
  baseFilter: filter,
  landlock: [
    { path: "/", access: 0xdn, optional: false },
    { path: "/work", access: 0xffffn, optional: true },
  ],
  landlockRequired: true,
  landlockWanted: true,
};

export const fullExec: ExecPlan = {
  ...minimalExec,
  argv: ["/usr/bin/python3", "-c", "print('ü')", ""],
  env: ["PATH=/usr/bin:/bin", "EMPTY=", "A=B=C"],
  cwd: "/work",
  uid: 1000,
  gid: 1001,
  groups: [44, 4294967294],
  capabilities: 0x2000n,
  umask: 0o22,
  rlimits: [
    { resource: 3, soft: 0xffff_ffff_ffff_ffffn, hard: 0xffff_ffff_ffff_ffffn },
    { resource: 4, soft: 0n, hard: 0n },
  ],
  cpus: [0, 3],
  stdin: "terminal",
  stdout: "terminal",
  stderr: "terminal",
  filter,
  auditFilter: filter,
  auditSlots: [
    { action: "errno", error: 4095 },
    { action: "kill", error: 0 },
    { action: "pass", error: 0 },
  ],
  auditArguments: [{ syscall: 41, index: 5, mask: 0xffff_ffffn }],
  cgroupWrites: [
    { hierarchy: 0, file: "memory.limit_in_bytes", value: "268435456", limit: "memory", optional: false },
    { hierarchy: 0, file: "memory.memsw.limit_in_bytes", value: "268435456", limit: "memory", optional: true },
  ],
  wallMs: 6000n,
  stopSignal: 15,
  stopMs: 10_000n,
  cpuMs: 2000n,
  memoryBytes: 268435456n,
  processes: 32n,
  sampleMs: 50n,
  outputBytes: 0xffff_ffff_ffff_ffffn,
  mechanisms: enums.Limit.map((_, i) => i % enums.Mechanism.length),
  requiredMask: 0x7fff,
  filesIn: [{ hostPath: "/home/u/in.txt", target: "in.txt", mode: 0o644 }],
  filesOut: [
    { source: "out/a.out", hostPath: "/home/u/a.out", maxBytes: 1048576n },
    { source: "b", hostPath: "/b", maxBytes: 0n },
  ],
};

const unmeasured = 0xffff_ffff_ffff_ffffn;

/** A run that ended well; tests vary single fields. */
export const okRecord: RunRecord = {
  magic: wireMagic,
  version: wireVersion,
  size: wireRecords["RunRecord"]?.size ?? 0,
  verdict: 12,
  evidence: 0,
  exitCode: 0,
  signal: 0,
  cancelSignal: 0,
  errorStage: "none",
  errorStep: "none",
  errorIndex: 0,
  errorErrno: 0,
  startFailure: "none",
  cpuExact: 1,
  cpuBy: "cgroup2",
  landlockAbi: 7,
  seccompEnforced: 1,
  audit: "exact",
  killedFor: 0xffff_ffff,
  stdoutTruncated: 0,
  stderrTruncated: 0,
  diskFull: 0,
  wallNs: 12_400_000n,
  setupNs: 1_900_000n,
  endedNs: 77_000_000_000n,
  cpuNs: 8_100_000n,
  userNs: 6_000_000n,
  systemNs: 2_100_000n,
  memoryPeak: 8_519_680n,
  oomKills: 0n,
  processesPeak: 1n,
  processLimitHits: 0n,
  diskBytes: 4096n,
  diskInodes: 1n,
  stdoutBytes: 6n,
  stderrBytes: unmeasured,
  denialsLost: 0n,
  sampleStepNs: 0n,
  mechanisms: enums.Limit.map(() => enums.Mechanism.indexOf("notAsked")),
  leftovers: 0,
  errorText: "",
};

/** Writes a record of fixed size as the launcher does; only tests need this direction. */
export function encodeFixed(
  name: "RunRecord" | "OutputRecord" | "DenialRecord" | "SampleRecord",
  values: Readonly<Record<string, unknown>>,
): Uint8Array {
  const record = wireRecords[name];
  if (record === undefined) throw new Error(name);
  const bytes = new Uint8Array(record.size);
  const view = new DataView(bytes.buffer);
  for (const field of record.fields) {
    const [head = "", argument = ""] = field.type.split(":");
    const value = values[field.name];
    const names = head === "step" ? steps.map((s) => s.name as string) : (enums as Readonly<Record<string, readonly string[]>>)[argument];
    if (head === "u64") view.setBigUint64(field.offset, value as bigint, true);
    else if (head === "i32") view.setInt32(field.offset, value as number, true);
    else if (head === "u32") view.setUint32(field.offset, value as number, true);
    else if (head === "text") bytes.set(new TextEncoder().encode(value as string).subarray(0, field.size - 1), field.offset);
    else if (head === "array")
      for (const [i, item] of (value as readonly number[]).entries()) view.setUint32(field.offset + 4 * i, item, true);
    else view.setUint32(field.offset, names?.indexOf(value as string) ?? 0, true);
  }
  return bytes;
}
