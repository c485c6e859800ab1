import { constants } from "node:os";
import { type Message, messageOf } from "../run/framing.ts";
import type { LaunchOutcome } from "../run/launcher.ts";

export type OutputName = "stdout" | "stderr";

/** Numbers of errors where only a name is at hand. */
const errnoOf = ({ code = "EIO" }: Pick<NodeJS.ErrnoException, "code">): number =>
  (constants.errno as Readonly<Record<string, number>>)[code] ?? constants.errno.EIO;

/** What a sandbox of a server's has said of its run, and which of its streams could not be written any further. */
export class Answers {
  record: Uint8Array | null = null;
  problem = "it ended without a record";
  /** By stream: the errno. */
  readonly undelivered: Partial<Record<OutputName, number>> = {};
  readonly #outputs: Uint8Array[] = [];
  readonly #denials: Uint8Array[] = [];
  readonly #samples: Uint8Array[] = [];

  /** Keeps what belongs to the outcome. */
  take({ kind, payload }: Message): void {
    if (kind === "output") this.#outputs.push(payload);
    else if (kind === "denial") this.#denials.push(payload);
    else if (kind === "sample") this.#samples.push(payload);
    else if (kind === "record") this.record = payload;
  }

  /** Notes that a stream cannot be written; the frame that tells the server. */
  refusal(name: OutputName, error: Pick<NodeJS.ErrnoException, "code">): Uint8Array {
    const errno = Buffer.alloc(4);
    this.undelivered[name] = errnoOf(error);
    errno.writeUInt32LE(this.undelivered[name]);
    return messageOf(name, errno);
  }

  outcome(): LaunchOutcome {
    return {
      record: this.record,
      ...{ outputs: this.#outputs, denials: this.#denials, samples: this.#samples },
      ...{ terminal: null, exitCode: null, signal: null },
      problem: this.record === null ? this.problem : null,
    };
  }
}
