/**
 * A reporter that says nothing, unless a test blocks its whole worker (a system call that never returns, say): vitest's own time limits are
 * timers of that worker, and do not go off then. After some minutes without any news it tells which tests run and what their processes wait for, and
 * ends the worker, which fails its file and lets the others go on. Beside the results it leaves the names of such files, and how many errors
 * had another cause (`$BELLJAR_TEST_RESULTS.stuck`: `{ files, others }`).
 */
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import type { Reporter, SerializedError, TestCase, TestModule } from "vitest/node";

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

const treeOf = (pid: number): readonly number[] => [pid, ...childrenOf(pid).flatMap(treeOf)];

function end(pid: number): void {
  try {
    process.kill(pid, "SIGKILL");
  } catch {
    // Gone, or not ours to end.
  }
}

export default class Stuck implements Reporter {
  readonly #running = new Set<string>();
  readonly #modules = new Set<string>();
  readonly #stuck = new Set<string>();
  #killed = 0;
  #timer: NodeJS.Timeout | undefined;

  #news(): void {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#end(), patienceMs).unref();
  }

  #end(): void {
    const workers = childrenOf(process.pid).filter((pid) => read(`/proc/${pid}/cmdline`).startsWith(process.execPath));
    console.error(
      [
        `stuck: nothing new for ${patienceMs / 1000} s; running: ${[...this.#modules, ...this.#running].join(" | ") || "nothing"}`,
        ...workers.flatMap((pid) => tell(pid)),
      ].join("\n"),
    );
    for (const file of this.#modules) this.#stuck.add(file);
    this.#killed += workers.length;
    for (const pid of workers.flatMap(treeOf).reverse()) end(pid);
    this.#news();
  }

  onTestRunStart(): void {
    this.#news();
  }
  onTestRunEnd(_modules: readonly TestModule[], errors: readonly SerializedError[]): void {
    clearTimeout(this.#timer);
    const results = process.env["BELLJAR_TEST_RESULTS"];
    if (results === undefined || this.#stuck.size === 0) return;
    writeFileSync(`${results}.stuck`, JSON.stringify({ files: [...this.#stuck], others: errors.length - this.#killed }));
  }
  onTestModuleStart(module: TestModule): void {
    this.#news();
    this.#modules.add(module.relativeModuleId);
  }
  onTestModuleEnd(module: TestModule): void {
    this.#news();
    this.#modules.delete(module.relativeModuleId);
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
