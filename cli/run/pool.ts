import { encodeExec } from "../../policy/wire/encode.ts";
import { type Launcher, launcherPath, startLauncher } from "./launcher.ts";
import type { PreparedRun } from "./prepare.ts";
import { tidyAfter } from "./session.ts";
import { sourcesNow } from "./sources.ts";
import { bytesEqual, wornBytes } from "./worn.ts";

/** A sandbox that is ready but for what it is to run: to be used for one run, given back unused, or dropped. */
export interface Spare {
  /** The run that takes it must be planned under this name. */
  readonly runId: string;
  /** Whether it is what that run would make for itself; else the run has to make its own. */
  readonly fits: (run: PreparedRun) => boolean;
  /** Its {@link Launcher.begin} takes the exec part alone. */
  readonly launcher: Launcher;
}

interface Member extends Spare {
  readonly lives: () => boolean;
  /** Whether it shows what one that is made now would show. */
  readonly isFresh: () => boolean;
}

export interface PoolOptions {
  /** Sandboxes that are kept ready. */
  readonly size: number;
  /** Plans the common part, under a name of its own. */
  readonly plan: () => Promise<PreparedRun>;
}

/**
 * Keeps sandboxes ready. Each is used once: a run never meets what another has left. A member that dies is replaced; when one cannot be
 * made, the pool waits until it is asked again, and runs make their own meanwhile, which tells what is wrong.
 */
export class Pool {
  readonly #options: PoolOptions;
  readonly #ready: Member[] = [];
  readonly #making = new Set<Promise<void>>();
  /** Of launchers that have not ended. */
  readonly #ends = new Set<Promise<void>>();
  readonly #living = new Set<Launcher>();
  readonly #launcher = launcherPath();
  #closed = false;

  constructor(options: PoolOptions) {
    this.#options = options;
    this.#refill();
  }

  /** Resolves when all that are being made are ready, or cannot be made. */
  async filled(): Promise<void> {
    await Promise.all(this.#making);
  }

  /** One that is ready now, or null. */
  take(): Spare | null {
    let member = this.#ready.shift() ?? null;
    while (member !== null && !(member.lives() && member.isFresh())) {
      member.launcher.drop();
      member = this.#ready.shift() ?? null;
    }
    // Behind what the run has to do now.
    setImmediate(() => this.#refill());
    return member;
  }

  /** What was taken and not used. */
  giveBack(spare: Spare): void {
    if (this.#closed) spare.launcher.drop();
    else this.#ready.push(spare as Member);
  }

  /** Ends what waits; resolves when nothing of it is left. Those in use end with their runs. */
  async close(): Promise<void> {
    this.#closed = true;
    for (const { launcher } of this.#ready.splice(0)) launcher.drop();
    for (const launcher of this.#living) launcher.drop();
    await Promise.all(this.#making);
    await Promise.all(this.#ends);
  }

  #refill(): void {
    this.#ready.splice(0, Number.POSITIVE_INFINITY, ...this.#ready.filter((member) => member.lives()));
    const missing = this.#closed ? 0 : this.#options.size - this.#ready.length - this.#making.size;
    for (let i = 0; i < missing; i++) {
      const made: Promise<void> = this.#make()
        .catch(() => undefined)
        .then(() => {
          this.#making.delete(made);
        });
      this.#making.add(made);
    }
  }

  /** One that cannot be made is the next run's to tell of, which then makes its own. */
  async #make(): Promise<void> {
    const template = await this.#options.plan();
    const { sandbox } = template.plan;
    const sources = sourcesNow(sandbox); // before anything is mounted: what changes meanwhile is noticed
    const launcher = await startLauncher({ launcher: this.#launcher, targets: ["pipe", "pipe", "pipe"], detached: true });
    this.#living.add(launcher);
    // Nobody writes to a stream of it yet; one that breaks says no more than its end does.
    launcher.stdin?.on("error", () => undefined);
    let lives = true;
    void launcher.exited.then(() => {
      lives = false;
    });
    const ended = launcher.outcome.then(async (outcome) => {
      await tidyAfter(outcome, { launcher: launcher.path, prepared: template });
      await template.release();
    });
    const end: Promise<void> = ended
      .catch(() => undefined)
      .then(() => {
        this.#ends.delete(end);
      });
    this.#ends.add(end);
    if (this.#closed) launcher.drop();
    await launcher.begin({ ...template, execBytes: encodeExec({ ...template.plan.exec, parked: true }) });
    const isParked = await Promise.race([launcher.parked.then(() => true), launcher.exited.then(() => false)]);
    this.#living.delete(launcher);
    if (!isParked) return;
    const wears = wornBytes(template.plan.exec);
    this.#ready.push({
      runId: sandbox.runId,
      lives: () => lives,
      isFresh: () => sourcesNow(sandbox) === sources,
      launcher: { ...launcher, begin: async ({ execBytes }) => launcher.resume(execBytes) },
      fits: (run) => bytesEqual(run.sandboxBytes, template.sandboxBytes) && bytesEqual(wornBytes(run.plan.exec), wears),
    });
    if (this.#closed) launcher.drop();
  }
}
