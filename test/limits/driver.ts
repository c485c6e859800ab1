/** The test's side of driver.mjs: one process under the reaper, so that whatever a run leaves is found when it ends. */
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { expect } from "vitest";
import type { RunOptions } from "../../cli/library/options.ts";
import type { RunReport } from "../../policy/verdict/report-types.ts";
import { startBelljar } from "../helpers/belljar.ts";
import { until } from "../helpers/deadline.ts";
import { cgroupsOf } from "../helpers/leaks.ts";
import { root } from "../helpers/places.ts";

export interface Outcome {
  readonly report: RunReport;
  readonly stdout: Buffer;
  readonly stderr: Buffer;
}

interface Answer {
  readonly id: number;
  readonly error?: string;
  readonly report: RunReport;
  readonly stdout: string;
  readonly stderr: string;
}

/** Longer than all runs of one driver together. */
const deadlineMs = 25 * 60_000;

export class Driver {
  readonly #handle;
  readonly #waiting = new Map<number, (answer: Answer) => void>();
  #next = 0;

  constructor(configHome: string) {
    this.#handle = startBelljar([], {
      program: [process.execPath, join(root, "test/limits/driver.mjs")],
      env: { XDG_CONFIG_HOME: configHome },
      stdin: null,
      deadlineMs,
    });
    createInterface({ input: this.#handle.stdout }).on("line", (line) => {
      const answer = JSON.parse(line) as Answer;
      this.#waiting.get(answer.id)?.(answer);
      this.#waiting.delete(answer.id);
    });
  }

  /** Of the process that uses the library. */
  get pid(): Promise<number> {
    return this.#handle.pid;
  }

  async run(options: RunOptions): Promise<Outcome> {
    const id = this.#next++;
    const answered = new Promise<Answer>((resolve) => this.#waiting.set(id, resolve));
    const ended = this.#handle.result.then((result): never => {
      throw new Error(`the driver ended: ${result.code} ${result.stderr}`);
    });
    this.#handle.stdin.write(`${JSON.stringify({ id, options })}\n`);
    const { error, report, stdout, stderr } = await Promise.race([answered, ended]);
    if (error !== undefined) throw new Error(error);
    return { report, stdout: Buffer.from(stdout, "base64"), stderr: Buffer.from(stderr, "base64") };
  }

  /** No cgroup of a run is left, and the driver has no child: what the launcher leaves is gone when the library answers. */
  async assertNothingLeft(): Promise<void> {
    const pid = await this.#handle.pid;
    expect(cgroupsOf(pid)).toEqual([]);
    await until(() => childrenOf(pid).length === 0, { what: "the last launcher to be reaped", timeoutMs: 2000 });
  }

  /** The reaper fails this when any process is left. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#handle.stdin.end();
    const { code, stderr } = await this.#handle.result;
    expect(code, stderr).toBe(0);
  }
}

function childrenOf(pid: number): readonly string[] {
  return readdirSync(`/proc/${pid}/task`).flatMap((thread) => {
    try {
      return readFileSync(`/proc/${pid}/task/${thread}/children`, "utf8")
        .split(" ")
        .filter((child) => child.trim() !== "");
    } catch {
      return []; // a thread that has ended
    }
  });
}
