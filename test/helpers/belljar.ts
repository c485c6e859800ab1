import { type ChildProcess, spawn } from "node:child_process";
import { existsSync, mkdirSync, readFileSync, rmSync } from "node:fs";
import { release } from "node:os";
import { join } from "node:path";
import type { Readable, Writable } from "node:stream";
import { expect } from "vitest";
import type { RunReport } from "../../policy/verdict/report-types.ts";
import { helperProgram } from "./compile.ts";
import { filesBelow } from "./leaks.ts";
import { cacheDir, makeTempDir, root } from "./places.ts";

export interface BelljarOptions {
  readonly cwd?: string;
  /** Added to the clean environment that the helper makes; undefined removes a name. */
  readonly env?: Readonly<Record<string, string | undefined>>;
  /** Bytes for stdin; default: end of file at once; null: left open, for the caller to write. An open descriptor is handed on as it is. */
  readonly stdin?: string | Uint8Array | { readonly fd: number } | null;
  /** Descriptors that the command inherits from number 4 on: for leaks. */
  readonly extraFds?: readonly number[];
  /** After this, everything is killed and the test fails. */
  readonly deadlineMs?: number;
  /** How long after the command's end its processes may still be dying. */
  readonly graceMs?: number;
  /** false: do not ask for a report file (`run` only). */
  readonly report?: boolean;
  /** false: the caller looks at leftovers itself. */
  readonly assertClean?: boolean;
  /** Another program instead of `node dist/belljar.js`. */
  readonly program?: readonly string[];
  /** Rows and columns: run on a terminal; see `type`, `resize` and `termios` of the handle. */
  readonly terminal?: { readonly rows: number; readonly columns: number };
}

export interface Leftover {
  readonly pid: number;
  readonly name: string;
}

export interface Termios {
  readonly iflag: number;
  readonly oflag: number;
  readonly lflag: number;
  /** Foreground process group, 0 or -1 when there is none. */
  readonly foreground: number;
}

export interface BelljarResult {
  /** null when a signal killed the command. */
  readonly code: number | null;
  readonly signal: number | null;
  readonly stdout: string;
  readonly stderr: string;
  readonly stdoutBytes: Buffer;
  readonly stderrBytes: Buffer;
  /** From --report, or from the document of --json; null when none was written. */
  readonly report: RunReport | null;
  /** Start to exit of the command. */
  readonly wallMs: number;
  /** From the command's exit to the end of its last process. */
  readonly quietMs: number;
  readonly leftovers: readonly Leftover[];
  /** Files left in the temporary and the runtime directory. */
  readonly leftFiles: readonly string[];
  /** Of the terminal, when the command had ended. */
  readonly termios: Termios | null;
}

export interface BelljarHandle {
  /** Of the command itself (with a terminal: of what runs on it). */
  readonly pid: Promise<number>;
  readonly stdin: Writable;
  readonly stdout: Readable;
  readonly result: Promise<BelljarResult>;
  /** stdout so far. */
  output(): string;
  type(text: string): void;
  /** Resolves when the terminal has the size: what is typed after that meets it. */
  resize(rows: number, columns: number): Promise<void>;
  termios(): Promise<Termios>;
}

/** The built command. */
export const belljarCommand: readonly string[] = [process.execPath, join(root, "dist/belljar.js")];

interface Event {
  readonly pid?: number;
  readonly status?: number;
  readonly signal?: number;
  readonly wallMs?: number;
  readonly quietMs?: number;
  readonly leftovers?: readonly Leftover[];
  readonly timedOut?: boolean;
  readonly termios?: Termios;
}

function collect(stream: Readable | null): () => Buffer {
  const chunks: Buffer[] = [];
  stream?.on("data", (chunk: Buffer) => chunks.push(chunk));
  return () => Buffer.concat(chunks);
}

/** A pipe beyond stderr: Node's types know of two only. */
const streamOf = (child: ChildProcess, fd: number): Readable | Writable => (child.stdio as readonly unknown[])[fd] as Readable | Writable;

/** Calls back for each JSON line of a descriptor. */
function onEvents(stream: Readable, visit: (event: Event) => void): void {
  let rest = "";
  stream.setEncoding("utf8").on("data", (text: string) => {
    const lines = (rest + text).split("\n");
    rest = lines.pop() ?? "";
    for (const line of lines) visit(JSON.parse(line) as Event);
  });
}

/** The environment of the command: nothing of the caller's but what a fresh login has, and private folders to look for leftovers in. */
function cleanEnvironment(dir: string, changes: BelljarOptions["env"]): Record<string, string> {
  const env: Record<string, string | undefined> = {
    PATH: "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    HOME: join(dir, "home"),
    USER: process.env["USER"],
    LANG: "C.UTF-8",
    TMPDIR: join(dir, "tmp"),
    XDG_RUNTIME_DIR: join(dir, "runtime"),
    XDG_CONFIG_HOME: join(dir, "home/.config"),
    XDG_DATA_HOME: join(dir, "home/.local/share"),
    // A guest with another kernel shares the folder, and knows nothing of the processes out here.
    XDG_CACHE_HOME: join(cacheDir, "xdg-cache", release()),
    BELLJAR_LAUNCHER: process.env["BELLJAR_LAUNCHER"],
    ASAN_OPTIONS: process.env["ASAN_OPTIONS"],
    ...changes,
  };
  return Object.fromEntries(Object.entries(env).filter((entry): entry is [string, string] => entry[1] !== undefined));
}

/** Starts belljar under the reaper (and, if wished, on a terminal); the result says what came of it and what was left. */
export function startBelljar(args: readonly string[], options: BelljarOptions = {}): BelljarHandle {
  const { deadlineMs = 30_000, graceMs = 2000, assertClean = true, terminal, program = belljarCommand } = options;
  const dir = makeTempDir("run");
  for (const name of ["home", "tmp", "runtime", "cwd"]) mkdirSync(join(dir, name), { mode: 0o700 });
  const reportFile = join(dir, "report.json");
  const withReport = args[0] === "run" && options.report !== false && !args.includes("--json") && !args.includes("--report");
  const command = [...program, ...(withReport ? ["run", "--report", reportFile, ...args.slice(1)] : args)];
  const onTerminal = terminal ? [helperProgram("pty"), String(terminal.rows), String(terminal.columns), ...command] : command;
  const { stdin } = options;
  const stdinFd = typeof stdin === "object" && stdin !== null && "fd" in stdin ? stdin.fd : null;
  const child: ChildProcess = spawn(helperProgram("reaper"), [String(graceMs), ...onTerminal], {
    cwd: options.cwd ?? join(dir, "cwd"),
    env: cleanEnvironment(dir, options.env),
    stdio: [stdinFd ?? "pipe", "pipe", "pipe", "pipe", ...(terminal ? (["pipe", "pipe"] as const) : (options.extraFds ?? []))],
  });
  const stdout = collect(child.stdout);
  const stderr = collect(child.stderr);
  let ended: Event = {};
  let after: Event = {};
  let lastTermios: Termios | null = null;
  const askers: ((termios: Termios) => void)[] = [];
  let announce = (_pid: number): void => undefined;
  const pid = new Promise<number>((resolve) => {
    announce = resolve;
  });
  onEvents(streamOf(child, 3) as Readable, (event) => {
    if (event.pid !== undefined && !terminal) announce(event.pid);
    if (event.status !== undefined) ended = event;
    if (event.leftovers !== undefined || event.timedOut) after = event;
  });
  if (terminal) {
    onEvents(streamOf(child, 5) as Readable, (event) => {
      if (event.pid !== undefined) announce(event.pid);
      if (event.termios === undefined) return;
      lastTermios = event.termios;
      askers.shift()?.(event.termios);
    });
  }
  if (child.stdin) {
    child.stdin.on("error", () => undefined); // the command may end before it has read all: EPIPE is no fault
    if (typeof stdin === "string" || stdin instanceof Uint8Array) child.stdin.end(stdin);
    else if (stdin === undefined && !terminal) child.stdin.end();
  }
  const timer = setTimeout(() => child.kill("SIGTERM"), deadlineMs);
  const result = new Promise<BelljarResult>((resolve, reject) => {
    child.on("error", reject);
    child.on("close", () => {
      clearTimeout(timer);
      try {
        const leftFiles = [...filesBelow(join(dir, "tmp")), ...filesBelow(join(dir, "runtime"))];
        const text = stdout().toString("utf8");
        const words = `belljar ${args.join(" ")}\nstdout: ${text.slice(-2000)}\nstderr: ${stderr().toString("utf8").slice(-2000)}`;
        if (after.timedOut || ended.status === undefined) throw new Error(`not finished within ${deadlineMs} ms: ${words}`);
        let report: RunReport | null = null;
        if (existsSync(reportFile)) report = JSON.parse(readFileSync(reportFile, "utf8")) as RunReport;
        else if (args[0] === "run" && args.includes("--json") && text.startsWith("{"))
          report = (JSON.parse(text) as { report?: RunReport }).report ?? null;
        if (assertClean) {
          expect(after.leftovers, `processes left by ${words}`).toEqual([]);
          expect(leftFiles, `files left by ${words}`).toEqual([]);
        }
        resolve({
          code: ended.status >= 0 ? ended.status : null,
          signal: ended.signal === 0 || ended.signal === undefined ? null : ended.signal,
          stdout: text,
          stderr: stderr().toString("utf8"),
          stdoutBytes: stdout(),
          stderrBytes: stderr(),
          report,
          wallMs: ended.wallMs ?? Number.NaN,
          quietMs: after.quietMs ?? Number.NaN,
          leftovers: after.leftovers ?? [],
          leftFiles,
          termios: lastTermios,
        });
      } catch (error) {
        reject(error);
      } finally {
        rmSync(dir, { recursive: true, force: true });
      }
    });
  });
  result.catch(() => undefined); // whoever awaits it hears of it; nobody else need
  const control = (line: string): void => void (streamOf(child, 4) as Writable).write(`${line}\n`);
  const termios = (): Promise<Termios> =>
    new Promise((resolve) => {
      askers.push(resolve);
      control("termios");
    });
  return {
    pid,
    stdin: child.stdin as Writable,
    stdout: child.stdout as Readable,
    result,
    output: () => stdout().toString("utf8"),
    type: (text) => void child.stdin?.write(text),
    resize: async (rows, columns) => {
      control(`size ${rows} ${columns}`);
      await termios();
    },
    termios,
  };
}

/** Runs belljar to its end. Fails the test when it takes too long or leaves a process or a file. */
export function belljar(args: readonly string[], options: BelljarOptions = {}): Promise<BelljarResult> {
  return startBelljar(args, options).result;
}

/** `belljar run ARGS`, whose report must exist. */
export async function belljarRun(
  args: readonly string[],
  options: BelljarOptions = {},
): Promise<BelljarResult & { readonly report: RunReport }> {
  const result = await belljar(["run", ...args], options);
  if (result.report === null) throw new Error(`no report; exit ${result.code}; stderr: ${result.stderr}`);
  return { ...result, report: result.report };
}
