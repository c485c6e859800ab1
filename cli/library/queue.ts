import { BelljarError } from "../../policy/errors.ts";

export interface QueueOptions {
  /** Slots that may be taken at the same time. */
  readonly concurrency: number;
  /** How many may wait. */
  readonly queueLimit: number;
}

interface Waiting {
  readonly slots: number;
  readonly start: () => void;
  readonly refuse: (error: unknown) => void;
}

/** Lets in as many as there are slots, in the order in which they came; nobody overtakes, also where the first needs more slots. */
export class Queue {
  readonly #options: QueueOptions;
  readonly #waiting: Waiting[] = [];
  readonly #idle: (() => void)[] = [];
  #taken = 0;
  #closed = false;

  constructor(options: QueueOptions) {
    this.#options = options;
  }

  /**
   * Resolves to a function that gives the slots back, to be called once. More slots than there are means all of them. Throws
   * BelljarError `closed`, `queue-full`, `cancelled`.
   */
  async enter(slots: number, signal: AbortSignal): Promise<() => void> {
    if (this.#closed) throw new BelljarError("closed", "starting: the sandbox has been closed");
    if (signal.aborted) throw endReason(signal);
    const { concurrency, queueLimit } = this.#options;
    const needed = Math.min(slots, concurrency);
    if (this.#waiting.length > 0 || this.#taken + needed > concurrency) {
      if (this.#waiting.length >= queueLimit)
        throw new BelljarError("queue-full", `starting: ${this.#waiting.length} runs wait already`, {
          hint: "try again later, or open the sandbox with a larger queueLimit or concurrency",
        });
      await this.#turn(needed, signal);
    } else this.#taken += needed;
    return () => {
      this.#taken -= needed;
      this.#next();
    };
  }

  /** Nobody new gets in. Resolves when all have left, also those that wait now. */
  async close(): Promise<void> {
    this.#closed = true;
    if (this.#taken === 0 && this.#waiting.length === 0) return;
    await new Promise<void>((resolve) => this.#idle.push(resolve));
  }

  #turn(slots: number, signal: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      const leave = () => {
        this.#waiting.splice(this.#waiting.indexOf(waiting), 1);
        waiting.refuse(endReason(signal));
        this.#next(); // who is next may need less
      };
      const waiting: Waiting = {
        slots,
        start: () => {
          signal.removeEventListener("abort", leave);
          resolve();
        },
        refuse: reject,
      };
      signal.addEventListener("abort", leave, { once: true });
      this.#waiting.push(waiting);
    });
  }

  #next(): void {
    for (
      let first = this.#waiting[0];
      first !== undefined && this.#taken + first.slots <= this.#options.concurrency;
      first = this.#waiting[0]
    ) {
      this.#waiting.shift();
      this.#taken += first.slots;
      first.start();
    }
    if (this.#taken === 0 && this.#waiting.length === 0) for (const resolve of this.#idle.splice(0)) resolve();
  }
}

/** What a run that was ended before its start is refused with. */
export function endReason({ reason }: AbortSignal): BelljarError {
  if (reason instanceof BelljarError) return reason;
  return new BelljarError("cancelled", "starting: cancelled before the start", { cause: reason });
}
