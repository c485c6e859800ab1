import { type Launcher, launcherPath, startLauncher } from "../run/launcher.ts";

/**
 * Launchers that have been started and wait for their plan: starting one is a good part of what a short run takes. They know nothing of any run
 * yet, hold no sandbox, and end with this process. Each is used once.
 */
export class Spares {
  readonly #count: number;
  readonly #ready: Launcher[] = [];
  readonly #started = new Set<Promise<void>>();
  #closed = false;

  constructor(count: number) {
    this.#count = count;
  }

  /** Starts those that are missing; resolves when they have been started. One that cannot be is the next run's to tell. */
  async fill(): Promise<void> {
    const missing = this.#count - this.#ready.length - this.#started.size;
    for (let i = 0; i < missing && !this.#closed; i++) {
      const starting = this.#start().finally(() => this.#started.delete(starting));
      this.#started.add(starting);
    }
    await Promise.all(this.#started);
  }

  /** One that lives, or null. Another is started when the run that takes it has had its turn. */
  take(): Launcher | null {
    const taken = this.#ready.shift() ?? null;
    if (this.#count > 0) setImmediate(() => void this.fill());
    return taken;
  }

  /** Resolves when all that were not taken have ended. */
  async close(): Promise<void> {
    this.#closed = true;
    await Promise.all(this.#started);
    const left = this.#ready.splice(0);
    for (const one of left) one.drop();
    await Promise.all(left.map(({ outcome }) => outcome));
  }

  async #start(): Promise<void> {
    try {
      const launcher = await startLauncher({ launcher: launcherPath(), targets: ["pipe", "pipe", "pipe"], detached: true });
      // What breaks while nobody uses it is seen by its end.
      for (const stream of [launcher.stdin, launcher.stdout, launcher.stderr]) stream?.on("error", () => undefined);
      this.#ready.push(launcher);
      void launcher.exited.then(() => {
        const at = this.#ready.indexOf(launcher);
        if (at >= 0) this.#ready.splice(at, 1);
      });
    } catch {
      // the run that finds none starts its own, and says what is wrong
    }
  }
}
