/** A run server on hand-made plans, and a raw client of it: frames in, frames out. */
import { type ChildProcess, spawn } from "node:child_process";
import { existsSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { connect, type Socket } from "node:net";
import { join } from "node:path";
import { verdictTable } from "../../policy/verdict/verdicts.gen.ts";
import { decodeOutput, decodeRecord, encodeExec } from "../../policy/wire/index.ts";
import { type ExecPlan, enums, type MessageKind, type OutputRecord, type RunRecord, type SandboxPlan } from "../../policy/wire/wire.gen.ts";
import { until, within } from "./deadline.ts";
import { encodePlan, execPlan, launcherPath, sandboxPlan } from "./launcher.ts";
import { makeTempDir } from "./places.ts";

/** A name of a run that a server puts others in the place of. */
export const serverRunId = `belljar-run-${"0".repeat(10)}-${"0".repeat(16)}`;

export const frame = (kind: MessageKind, payload: Uint8Array | string = ""): Buffer => {
  const bytes = Buffer.from(payload);
  const header = Buffer.alloc(8);
  header.writeUInt32LE(enums.MessageKind.indexOf(kind), 0);
  header.writeUInt32LE(bytes.length, 4);
  return Buffer.concat([header, bytes]);
};

/** What runs through the servers of these tests. */
export const command = (argv: readonly string[], more: Partial<ExecPlan> = {}): ExecPlan => execPlan(argv, { stdin: "pump", ...more });
export const shell = (script: string, more: Partial<ExecPlan> = {}): ExecPlan => command(["/bin/sh", "-c", script], more);

export interface ServerOptions {
  readonly sandbox?: Partial<SandboxPlan>;
  readonly exec?: Partial<ExecPlan>;
  readonly size?: number;
  readonly max?: number;
  /** In place of an encoded plan. */
  readonly bytes?: Uint8Array;
}

export interface Server {
  readonly child: ChildProcess;
  readonly pid: number;
  readonly socket: string;
  readonly dir: string;
  /** What it has written to stderr so far. */
  readonly said: () => string;
  readonly ended: Promise<number | NodeJS.Signals | null>;
  /** Launchers: those of all sandboxes, of those that wait, of those in which a program runs. */
  readonly members: () => readonly number[];
  readonly parked: () => readonly number[];
  readonly running: () => readonly number[];
  /** Waits until so many are ready. */
  readonly ready: (count: number) => Promise<void>;
  /** Ends it; resolves when nothing of it is left. */
  readonly stop: () => Promise<void>;
}

export const childrenOf = (pid: number): readonly number[] => {
  try {
    return readFileSync(`/proc/${pid}/task/${pid}/children`, "utf8").trim().split(" ").filter(Boolean).map(Number);
  } catch {
    return [];
  }
};

/** The program task of a launcher: what it is called, and whether it sleeps. null: there is none. */
function taskOf(launcher: number): { readonly name: string; readonly sleeps: boolean } | null {
  const [task] = childrenOf(launcher).flatMap(childrenOf);
  try {
    const status = readFileSync(`/proc/${task}/status`, "utf8");
    return { name: /^Name:\s+(.*)/m.exec(status)?.[1] ?? "", sleeps: /^State:\s+S/m.test(status) && /^NoNewPrivs:\s+1/m.test(status) };
  } catch {
    return null;
  }
}

/** It waits at the gate: before that it never sleeps for long. */
function isParked(launcher: number): boolean {
  const task = taskOf(launcher);
  return task?.sleeps === true && task.name === "belljar-launch";
}

function isRunning(launcher: number): boolean {
  const task = taskOf(launcher);
  return task !== null && task.name !== "belljar-launch";
}

interface ProcessOptions {
  readonly plan: string;
  readonly socket: string;
  readonly size?: number;
  readonly max?: number;
}

/** The process alone. */
export function startServerProcess({ plan, socket, size = 2, max }: ProcessOptions): ChildProcess {
  const limits = ["--size", String(size), ...(max === undefined ? [] : ["--max", String(max)])];
  return spawn(launcherPath, ["serve", plan, "--socket", socket, ...limits], {
    stdio: ["ignore", "ignore", "pipe"],
    env: process.env["ASAN_OPTIONS"] === undefined ? {} : { ASAN_OPTIONS: process.env["ASAN_OPTIONS"] },
  });
}

export async function startServer({ sandbox = {}, exec = {}, size = 2, max, bytes }: ServerOptions = {}): Promise<Server> {
  const dir = makeTempDir("serve");
  const socket = join(dir, "s");
  writeFileSync(
    join(dir, "plan"),
    bytes ?? encodePlan(sandboxPlan({ runId: serverRunId, ...sandbox }), command(["/bin/false"], { parked: true, ...exec })),
  );
  const child = startServerProcess({ plan: join(dir, "plan"), socket, size, ...(max === undefined ? {} : { max }) });
  let text = "";
  child.stderr?.on("data", (part) => {
    text += String(part);
  });
  const ended = new Promise<number | NodeJS.Signals | null>((resolve) => {
    child.on("close", (code, signal) => resolve(code ?? signal));
  });
  const pid = child.pid ?? -1;
  const over = ended.then((how) => {
    throw new Error(`the server ended (${how}): ${text}`);
  });
  over.catch(() => undefined);
  await Promise.race([over, until(() => existsSync(socket), { what: "the server's socket", timeoutMs: 20_000 })]);
  const members = (): readonly number[] => childrenOf(pid);
  const parked = (): readonly number[] => members().filter(isParked);
  return {
    child,
    pid,
    socket,
    dir,
    said: () => text,
    ended,
    members,
    parked,
    running: () => members().filter(isRunning),
    ready: async (count) =>
      void (await until(() => parked().length >= count, { what: `${count} sandboxes to be ready`, timeoutMs: 20_000 })),
    stop: async () => {
      child.kill("SIGTERM");
      await within(ended, { what: "the server's end", timeoutMs: 60_000 });
      rmSync(dir, { recursive: true, force: true });
    },
  };
}

export interface Served {
  readonly record: RunRecord | null;
  readonly verdict: string | null;
  readonly stdout: string;
  readonly stderr: string;
  readonly outputs: readonly OutputRecord[];
  /** All kinds in the order they came. */
  readonly kinds: readonly MessageKind[];
  /** Bytes of input that were told of as taken. */
  readonly taken: number;
}

export interface Connection {
  readonly socket: Socket;
  readonly send: (kind: MessageKind, payload?: Uint8Array | string) => void;
  readonly input: (bytes: Uint8Array | string) => void;
  readonly heard: () => Served;
  /** Resolves when a frame of that kind has come. */
  readonly came: (kind: MessageKind) => Promise<void>;
  /** Resolves when the connection has ended. */
  readonly result: Promise<Served>;
}

/** Connects and sends an exec part, or, for bytes, these. */
export function connectRun(path: string, exec: ExecPlan | Uint8Array | null): Connection {
  const socket = connect({ path, allowHalfOpen: true });
  const kinds: MessageKind[] = [];
  const outputs: OutputRecord[] = [];
  const texts: { stdout: Buffer[]; stderr: Buffer[] } = { stdout: [], stderr: [] };
  let pending: Buffer[] = [];
  let held = 0;
  let wanted = 8;
  let record: RunRecord | null = null;
  let taken = 0;
  const take = (kind: MessageKind, payload: Buffer): void => {
    kinds.push(kind);
    if (kind === "stdout" || kind === "stderr") texts[kind].push(payload);
    if (kind === "stdin") taken += payload.readUInt32LE(0);
    if (kind === "output") outputs.push(decodeOutput(payload));
    if (kind === "record") {
      record = decodeRecord(payload);
      socket.end();
    }
    if (kind === "refused") socket.end();
  };
  socket.on("data", (chunk: Buffer) => {
    pending.push(chunk);
    held += chunk.length;
    if (held < wanted) return;
    let rest = Buffer.concat(pending);
    for (wanted = 8; rest.length >= wanted; ) {
      const length = rest.readUInt32LE(4);
      if (rest.length < 8 + length) {
        wanted = 8 + length;
        break;
      }
      take(enums.MessageKind[rest.readUInt32LE(0)] ?? "none", Buffer.from(rest.subarray(8, 8 + length)));
      rest = rest.subarray(8 + length);
      wanted = 8;
    }
    pending = [rest];
    held = rest.length;
  });
  socket.on("error", () => undefined);
  socket.on("end", () => socket.end());
  if (exec !== null) socket.write("argv" in exec ? encodeExec(exec) : exec);
  const heard = (): Served => ({
    record,
    verdict: record === null ? null : (verdictTable[record.verdict]?.name ?? null),
    stdout: Buffer.concat(texts.stdout).toString(),
    stderr: Buffer.concat(texts.stderr).toString(),
    outputs,
    kinds,
    taken,
  });
  const send = (kind: MessageKind, payload: Uint8Array | string = ""): void => void socket.write(frame(kind, payload));
  return {
    socket,
    send,
    input: (bytes) => {
      const all = Buffer.from(bytes);
      for (let at = 0; at < all.length; at += 65_536) send("stdin", all.subarray(at, at + 65_536));
    },
    heard,
    came: async (kind) => void (await until(() => kinds.includes(kind), { what: `a frame '${kind}'`, timeoutMs: 20_000 })),
    result: new Promise((resolve) => {
      socket.on("close", () => resolve(heard()));
    }),
  };
}

/** One run, from connecting to its end. */
export async function served(path: string, exec: ExecPlan, stdin = ""): Promise<Served> {
  const connection = connectRun(path, exec);
  if (stdin !== "") connection.input(stdin);
  connection.send("stdin");
  return within(connection.result, { what: "the end of a run", timeoutMs: 30_000 });
}
