/**
 * A reporter that says nothing, unless a test blocks its whole worker (a system call that never returns, say): vitest's own time limits are
 * timers of that worker, and do not go off then. After some minutes without any news it tells which tests run and what their processes wait for, and
 * ends the worker, which fails its file and lets the others go on.
 */
import { readdirSync, readFileSync } from "node:fs";
import type { Reporter, TestCase, TestModule } from "vitest/node";

/** More than any test or hook has. */
const patienceMs = 8 * 60_000;

const read = (path: string): string => {
  try {
    return readFileSync(path, "utf8").replaceAll("\0", " ").trim();
  } catch {
    return "?";
  }
};

const childrenOf = (pid: number): readonly number[] => {
  try {
    return readdirSync(`/proc/${pid}/task`).flatMap((task) =>
      read(`/proc/${pid}/task/${task}/children`)
        .split(" ")
        .map(Number)
        .filter((child) => child > 0),
    );
  } catch {
    return [];
  }
};

function tell(pid: number, depth = 1): readonly string[] {
  const state = /^State:\s*(.*)$/m.exec(read(`/proc/${pid}/status`))?.[1] ?? "?";
  const at = [`wchan ${read(`/proc/${pid}/wchan`)}`, `syscall ${read(`/proc/${pid}/syscall`)}`].join(", ");
  const line = `${"  ".repeat(depth)}${pid} ${state}, ${at}: ${read(`/proc/${pid}/cmdline`).slice(0, 200)}`;
  return [line, ...childrenOf(pid).flatMap((child) => tell(child, depth + 1))];
}

export default class Stuck implements Reporter {
  readonly #running = new Set<string>();
  #timer: NodeJS.Timeout | undefined;

  #news(): void {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#end(), patienceMs).unref();
  }

  #end(): void {
    const workers = childrenOf(process.pid).filter((pid) => read(`/proc/${pid}/cmdline`).startsWith(process.execPath));
    console.error(
      [
        `stuck: nothing new for ${patienceMs / 1000} s; running: ${[...this.#running].join(" | ") || "nothing"}`,
        ...workers.flatMap((pid) => tell(pid)),
      ].join("\n"),
    );
    for (const pid of workers) process.kill(pid, "SIGKILL");
    this.#news();
  }

  onTestRunStart(): void {
    this.#news();
  }
  onTestRunEnd(): void {
    clearTimeout(this.#timer);
  }
  onTestModuleStart(module: TestModule): void {
    this.#news();
    this.#running.add(module.relativeModuleId);
  }
  onTestModuleEnd(module: TestModule): void {
    this.#news();
    this.#running.delete(module.relativeModuleId);
  }
  onTestCaseReady(test: TestCase): void {
    this.#news();
    this.#running.add(test.fullName);
  }
  onTestCaseResult(test: TestCase): void {
    this.#news();
    this.#running.delete(test.fullName);
  }
}
