/** Runs native/build/belljar-launch on hand-made plans: for what no profile can say, and for faults. */
import { type ChildProcess, spawn } from "node:child_process";
import type { Socket } from "node:net";
import { join } from "node:path";
import { verdictTable } from "../../policy/verdict/verdicts.gen.ts";
import { decodeOutput, decodeRecord, encodeExec, encodeSandbox } from "../../policy/wire/index.ts";
import { type ExecPlan, enums, type FsEntry, type OutputRecord, type RunRecord, type SandboxPlan } from "../../policy/wire/wire.gen.ts";
import { within } from "./deadline.ts";
import { root } from "./places.ts";

/** The environment of a launcher: none, but for what one that is built with sanitizers is told. */
const sanitizers: Readonly<Record<string, string>> =
  process.env["ASAN_OPTIONS"] === undefined ? {} : { ASAN_OPTIONS: process.env["ASAN_OPTIONS"] };

export const launcherPath = process.env["BELLJAR_LAUNCHER"] ?? join(root, "native/build/belljar-launch");

export function entry(kind: FsEntry["kind"], target: string, more: Partial<FsEntry> = {}): FsEntry {
  return { kind, flags: [], target, source: "", content: new Uint8Array(), mode: 0o755, sizeBytes: 0n, inodes: 0n, ...more };
}

export function bind(source: string, target = source, flags: FsEntry["flags"] = ["readOnly", "recursive"]): FsEntry {
  return entry("bind", target, { source, flags });
}

const ids = () => ({ uid: process.getuid?.() ?? 0, gid: process.getgid?.() ?? 0 });

let runs = 0;

/** A complete sandbox on the host's /usr, with Landlock, without cgroup and filter. */
export function sandboxPlan(more: Partial<SandboxPlan> = {}, entries: readonly FsEntry[] = []): SandboxPlan {
  const { uid, gid } = ids();
  return {
    runId: `belljar-run-${process.pid}-test-${runs++}`,
    namespaces: ["user", "mount", "pid", "ipc", "uts", "cgroup", "network"],
    idMode: "single",
    callerMapped: true,
    denySetgroups: true,
    uidMaps: [{ containerId: 1000, hostId: uid, size: 1 }],
    gidMaps: [{ containerId: 1000, hostId: gid, size: 1 }],
    newuidmap: "",
    newgidmap: "",
    programUid: 1000,
    programGid: 1000,
    userNamespaces: "deny",
    hostname: "belljar",
    network: "private",
    scratchBytes: 64n << 20n,
    scratchInodes: 1000n,
    scratchPath: "",
    rootReadOnly: true,
    rootKind: "skeleton",
    rootLayers: [],
    workPath: "/work",
    filesystem: [
      bind("/usr"),
      entry("symlink", "/bin", { source: "usr/bin" }),
      entry("symlink", "/lib", { source: "usr/lib" }),
      entry("symlink", "/lib64", { source: "usr/lib64" }),
      entry("proc", "/proc", { flags: ["subsetPid", "noExec"] }),
      entry("directory", "/dev"),
      ...["null", "zero", "urandom"].map((name) => bind(`/dev/${name}`, `/dev/${name}`, ["deviceNodes", "sourceIsFile"])),
      entry("devpts", "/dev/pts", { flags: ["deviceNodes", "noExec"] }),
      entry("scratch", "/tmp", { source: "tmp", mode: 0o1777 }),
      entry("scratch", "/work", { source: "work", mode: 0o755, flags: ["ownedByProgram"] }),
      ...entries,
    ],
    companions: [],
    cgroups: [],
    boundingSet: 0n,
    baseFilter: new Uint8Array(),
    auditBaseFilter: new Uint8Array(),
    landlock: [],
    landlockRequired: false,
    landlockWanted: false,
    ...more,
  };
}

export function execPlan(argv: readonly string[], more: Partial<ExecPlan> = {}): ExecPlan {
  return {
    parked: false,
    argv,
    interpreterFallback: false,
    env: ["PATH=/usr/bin:/bin", "HOME=/work"],
    cwd: "/work",
    uid: 1000,
    gid: 1000,
    groups: [],
    capabilities: 0n,
    umask: 0o22,
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
    wallMs: 20_000n,
    stopSignal: 0,
    stopMs: 0n,
    cpuMs: 0n,
    memoryBytes: 0n,
    processes: 0n,
    outputBytes: 1n << 20n,
    mechanisms: new Array(15).fill(8),
    requiredMask: 0,
    filesIn: [],
    sampleMs: 0n,
    filesOut: [],
    ...more,
  };
}

export interface LaunchResult {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
  readonly record: RunRecord | null;
  readonly verdict: string | null;
  readonly outputs: readonly OutputRecord[];
}

export interface Launched {
  readonly child: ChildProcess;
  readonly control: Socket;
  /** The program task of a template waits. */
  readonly parked: Promise<void>;
  readonly result: Promise<LaunchResult>;
}

export interface LaunchOptions {
  readonly stdin?: string;
  readonly stdout?: "pipe" | number;
  readonly launcher?: string;
  /** Root may start it as somebody else. */
  readonly ids?: { readonly uid: number; readonly gid: number };
}

/** Starts the launcher on raw plan bytes. The control socket stays open until the caller ends it. */
export function launchBytes(
  bytes: Uint8Array,
  { stdin = "", stdout = "pipe", launcher = launcherPath, ids = undefined }: LaunchOptions = {},
): Launched {
  const child = spawn(launcher, ["run"], {
    stdio: ["pipe", stdout, "pipe", "pipe"],
    env: sanitizers,
    ...(ids && { uid: ids.uid, gid: ids.gid }),
  });
  const control = child.stdio[3] as Socket;
  const received: Buffer[] = [];
  const texts = ["", ""];
  let sayParked = (): void => undefined;
  const parked = new Promise<void>((resolve) => {
    sayParked = resolve;
  });
  control.on("data", (part: Buffer) => {
    received.push(part);
    if (part.length >= 8 && part.readUInt32LE(0) === enums.MessageKind.indexOf("parked")) sayParked();
  });
  control.on("error", () => undefined);
  child.stdin?.on("error", () => undefined);
  child.stdin?.end(stdin);
  child.stdout?.on("data", (part) => {
    texts[0] += String(part);
  });
  child.stderr?.on("data", (part) => {
    texts[1] += String(part);
  });
  control.write(bytes);
  const result = new Promise<LaunchResult>((resolve) => {
    child.on("close", (code) => {
      let rest = Buffer.concat(received);
      let record: RunRecord | null = null;
      const outputs: OutputRecord[] = [];
      while (rest.length >= 8) {
        const payload = rest.subarray(8, 8 + rest.readUInt32LE(4));
        if (rest.readUInt32LE(0) === 2) outputs.push(decodeOutput(payload));
        if (rest.readUInt32LE(0) === 3) record = decodeRecord(payload);
        rest = rest.subarray(8 + rest.readUInt32LE(4));
      }
      const verdict = record ? (verdictTable[record.verdict]?.name ?? null) : null;
      resolve({ code, stdout: texts[0] ?? "", stderr: texts[1] ?? "", record, verdict, outputs });
    });
  });
  return { child, control, parked, result };
}

export function encodePlan(sandbox: SandboxPlan, exec: ExecPlan): Uint8Array {
  return Buffer.concat([encodeSandbox(sandbox), encodeExec(exec)]);
}

/** Starts, waits for the end, closes. */
export async function launch(sandbox: SandboxPlan, exec: ExecPlan, stdin?: string): Promise<LaunchResult> {
  const launched = launchBytes(encodePlan(sandbox, exec), { ...(stdin !== undefined && { stdin }) });
  const result = await within(launched.result, { what: "the launcher's end", timeoutMs: 30_000 });
  launched.control.destroy();
  return result;
}
