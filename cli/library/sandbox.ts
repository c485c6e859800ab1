import { readFileSync } from "node:fs";
import { availableParallelism } from "node:os";
import { BelljarError } from "../../policy/errors.ts";
import { isRootInNameOnly } from "../host/account.ts";
import { loadConfig } from "../host/config.ts";
import { keepErrors } from "../run/flows.ts";
import type { ProgramInput } from "../run/input.ts";
import type { Launcher } from "../run/launcher.ts";
import { Pool } from "../run/pool.ts";
import { type PreparedRun, type PreparedSandbox, prepareSandbox, type Venue } from "../run/prepare.ts";
import { runSession } from "../run/session.ts";
import { serverChoice } from "../server/choice.ts";
import { checkCommand, checkOptions, checkRoot } from "./check.ts";
import { noFiles, passFiles } from "./folder.ts";
import { programInput, programLimits, sandboxInput } from "./input.ts";
import { interact, type ReadyProgram } from "./interact.ts";
import { onAbort } from "./on-abort.ts";
import type { CloseOptions, InteractOptions, InteractProgram, OpenOptions, ProgramOptions, SandboxRunOptions } from "./options.ts";
import { endReason, Queue } from "./queue.ts";
import { type Bytes, decoderFor, type InteractResult, type RunResult, refuseFailure, type Utf8 } from "./results.ts";
import { findServers, type Servers } from "./served.ts";

function refuseRoot(): void {
  if (process.getuid?.() !== 0 || isRootInNameOnly(readFileSync("/proc/self/uid_map", "utf8"))) return;
  throw new BelljarError("root-refused", "starting: belljar does not run programs as root", {
    hint: "run this program as an ordinary user; the command `belljar run` can become one with --run-as",
  });
}

/** How a program is started: by {@link Sandbox.run} or as one of two. */
type ProgramStart = Pick<ProgramInput, "command" | "stdin" | "capture">;

/**
 * Runs programs, each in a fresh sandbox of its own, under one profile on one root. What they have in common is done once, when it is
 * opened: the profile is resolved, the host is asked, filters are compiled, the image is pulled, unpacked and kept from removal. To be
 * closed, by `await using` or {@link Sandbox.close}.
 */
export class Sandbox implements AsyncDisposable {
  readonly #options: OpenOptions;
  readonly #prepared: PreparedSandbox;
  readonly #queue: Queue;
  readonly #active = new Set<AbortController>();
  readonly #pool: Pool | null;
  #servers: Servers | null = null;
  #released: Promise<void> | null = null;

  private constructor(options: OpenOptions, prepared: PreparedSandbox) {
    const { concurrency = availableParallelism(), queueLimit = Number.POSITIVE_INFINITY } = options;
    this.#options = options;
    this.#prepared = prepared;
    this.#queue = new Queue({ concurrency, queueLimit });
    const { warm: size = 0 } = options;
    this.#pool = size === 0 || !prepared.canBeMadeAhead ? null : new Pool({ size, plan: () => this.#planSpare() });
  }

  /** Throws BelljarError for what is wrong with options, profile, image or host; nothing has been started then. */
  static async open(options: OpenOptions = {}): Promise<Sandbox> {
    checkRoot(checkOptions("Sandbox.open()", options));
    refuseRoot();
    const { signal } = options;
    if (signal?.aborted) throw endReason(signal);
    const [config, environment] = [loadConfig(), process.env];
    const choice = options.server ?? serverChoice(config, environment);
    const input = sandboxInput(options);
    const prepared = await prepareSandbox(input, { config, environment, ...(signal === undefined ? {} : { signal }) });
    const sandbox = new Sandbox(options, prepared);
    try {
      const plan = (venue: Venue) => sandbox.#planSpare(venue);
      sandbox.#servers = await findServers({ choice, environment, config, sandbox: prepared, profile: input.profile, plan });
    } catch (error) {
      await sandbox.close();
      throw error;
    }
    await sandbox.#pool?.filled();
    return sandbox;
  }

  /**
   * Runs one program, when it is its turn, and returns its report, its output and the files asked for. What the program does, also that
   * it could not start or was cancelled, is the report's to tell. Throws BelljarError, with `code`, `hint` and `cause`, for what went
   * wrong on our side: options, files of the caller, host, sandbox; `stream-failed` for what a source or taker of a stream threw, which
   * ends the run; `queue-full`; `closed`; and `cancelled` when `signal` was aborted before anything started.
   */
  async run(command: readonly string[], options: SandboxRunOptions & Bytes): Promise<RunResult<Uint8Array>>;
  async run(command: readonly string[], options?: SandboxRunOptions & Utf8): Promise<RunResult<string>>;
  async run(command: readonly string[], options: SandboxRunOptions): Promise<RunResult<string> | RunResult<Uint8Array>>;
  async run(command: readonly string[], options: SandboxRunOptions = {}): Promise<RunResult<string> | RunResult<Uint8Array>> {
    const { stdin, onStdout, onStderr } = checkOptions("sandbox.run()", options);
    const words = this.#commandOf(command, options);
    const start = {
      command: words,
      // A spare has a pipe already; it is ended at once.
      stdin: stdin === undefined && this.#pool === null && this.#servers === null ? "null" : "pump",
      capture: onStdout === undefined || onStderr === undefined,
    } as const;
    const decode = decoderFor(options);
    const undo = keepErrors(stdin);
    return this.#turn({ slots: 1, signal: options.signal }, (signal) =>
      this.#withProgram(options, { start, signal, ahead: true }, async ({ prepared, files, launcher }) => {
        const { report, stdout, stderr } = await runSession(prepared, {
          launcher,
          targets: [start.stdin === "null" ? "ignore" : "pipe", "pipe", "pipe"],
          ...{ stdin, onStdout, onStderr },
          onSignals: false,
          abort: signal,
        });
        refuseFailure(report);
        const outputs = await files.read(report);
        return { report, stdout: decode(stdout), stderr: decode(stderr), outputs, warnings: prepared.warnings } as RunResult<string>;
      }),
    ).finally(undo);
  }

  /**
   * Runs two programs at once, each in a sandbox of its own: what the one writes to stdout the other reads from stdin. Each has its own
   * verdict, usage and limits, and its output is counted. When one ends, the other reads an end of file and writes into a broken pipe; what
   * then keeps it running are its own limits. Takes two places of the queue. Throws as {@link Sandbox.run} does.
   */
  async interact(
    judge: InteractProgram,
    contestant: InteractProgram,
    options: InteractOptions & Bytes,
  ): Promise<InteractResult<Uint8Array>>;
  async interact(judge: InteractProgram, contestant: InteractProgram, options?: InteractOptions & Utf8): Promise<InteractResult<string>>;
  async interact(
    judge: InteractProgram,
    contestant: InteractProgram,
    options: InteractOptions = {},
  ): Promise<InteractResult<string> | InteractResult<Uint8Array>> {
    checkOptions("sandbox.interact()", options);
    const ready = (program: InteractProgram, signal: AbortSignal, use: (ready: ReadyProgram) => Promise<InteractResult<string>>) => {
      const start = { command: program.command, stdin: "pump", capture: program.onStderr === undefined } as const;
      return this.#withProgram(program, { start, signal, ahead: false }, use);
    };
    for (const program of [judge, contestant]) this.#commandOf(checkOptions("a program of sandbox.interact()", program).command, program);
    return this.#turn({ slots: 2, signal: options.signal }, (signal) =>
      ready(judge, signal, (first) =>
        ready(contestant, signal, (second) =>
          interact({ ...first, onStderr: judge.onStderr }, { ...second, onStderr: contestant.onStderr }, { ...options, signal }),
        ),
      ),
    );
  }

  /**
   * Takes no more runs, and resolves when all that were taken have ended and nothing of the sandbox is left. Without `cancel` it waits for
   * those that run and those that wait; it may be called again, with it.
   */
  async close(options: CloseOptions = {}): Promise<void> {
    const { cancel = false } = checkOptions("sandbox.close()", options);
    const idle = this.#queue.close();
    if (cancel) for (const run of this.#active) run.abort(new BelljarError("closed", "starting: the sandbox has been closed"));
    await idle;
    await this.#pool?.close();
    this.#released ??= this.#prepared.release();
    await this.#released;
  }

  /** As {@link Sandbox.close}: waits. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  #commandOf(command: unknown, { script }: ProgramOptions): readonly string[] {
    return checkCommand(command, { optional: script !== undefined || this.#options.image !== undefined });
  }

  /** Waits for a turn, for a run that ends with `signal` or with the sandbox. */
  async #turn<Result>(
    { slots, signal }: { readonly slots: number; readonly signal: AbortSignal | undefined },
    use: (signal: AbortSignal) => Promise<Result>,
  ): Promise<Result> {
    const controller = new AbortController();
    const undo = onAbort(signal, () => controller.abort(signal?.reason));
    this.#active.add(controller);
    try {
      const leave = await this.#queue.enter(slots, controller.signal);
      try {
        return await use(controller.signal);
      } finally {
        leave();
      }
    } finally {
      this.#active.delete(controller);
      undo();
    }
  }

  /** What spares have in common with most runs. The command is only to be planned with: a spare is told what to run. */
  #planSpare(venue?: Venue): Promise<PreparedRun> {
    const start = { command: ["true"], stdin: "pump", capture: true } as const;
    return this.#prepared.planRun(programInput({}, { ...start, files: noFiles, env: this.#options.env }), [], venue);
  }

  /** Plans a program, for a sandbox that was made ahead, a server's or a spare one, where there is one that it fits. */
  async #planFor(
    ahead: boolean,
    plan: (where?: string | Venue) => Promise<PreparedRun>,
  ): Promise<{ readonly prepared: PreparedRun; readonly launcher: Launcher | null }> {
    const served = ahead ? ((await this.#servers?.take(plan)) ?? null) : null;
    if (served !== null) return served;
    const pool = ahead ? this.#pool : null;
    const spare = pool?.take() ?? null;
    if (pool === null || spare === null) return { prepared: await plan(), launcher: null };
    let used = false;
    try {
      const prepared = await plan(spare.runId);
      used = spare.fits(prepared);
      if (used) return { prepared, launcher: spare.launcher };
      await prepared.release();
    } finally {
      if (!used) pool.giveBack(spare);
    }
    return { prepared: await plan(), launcher: null };
  }

  /** Makes a program ready, and takes back what that made when it is over, however it ends. */
  async #withProgram<Result>(
    options: ProgramOptions,
    { start, signal, ahead }: { readonly start: ProgramStart; readonly signal: AbortSignal; readonly ahead: boolean },
    use: (ready: ReadyProgram & { readonly launcher: Launcher | null }) => Promise<Result>,
  ): Promise<Result> {
    const files = await passFiles(options);
    try {
      const input = programInput(options, { ...start, files, env: this.#options.env });
      const plan = (where?: string | Venue) => this.#prepared.planRun(input, programLimits(options), where);
      const { prepared, launcher } = await this.#planFor(ahead, plan);
      try {
        if (signal.aborted) {
          launcher?.drop();
          throw endReason(signal);
        }
        return await use({ prepared, files, launcher });
      } finally {
        await prepared.release();
      }
    } finally {
      await files.remove();
    }
  }
}
