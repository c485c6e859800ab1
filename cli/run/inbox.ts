import { messageReader } from "./framing.ts";
import type { LaunchOutcome } from "./launcher.ts";

/** What a launcher sends over its control socket. */
export interface Inbox {
  /** Takes what has come; false where it cannot be the launcher's, and nothing more is to be read. */
  readonly read: (chunk: Buffer) => boolean;
  readonly messages: () => Omit<LaunchOutcome, "exitCode" | "signal">;
  /** Resolves when the program's task waits, if it ever does. */
  readonly parked: Promise<void>;
}

export function makeInbox(): Inbox {
  let problem: string | null = null;
  const messages = {
    record: null as Uint8Array | null,
    outputs: [] as Uint8Array[],
    denials: [] as Uint8Array[],
    samples: [] as Uint8Array[],
    terminal: null as Uint8Array | null,
  };
  let sayParked = () => {};
  const parked = new Promise<void>((resolve) => {
    sayParked = resolve;
  });
  const read = messageReader(({ kind, payload }) => {
    if (kind === "record") messages.record = payload;
    else if (kind === "output") messages.outputs.push(payload);
    else if (kind === "denial") messages.denials.push(payload);
    else if (kind === "sample") messages.samples.push(payload);
    else if (kind === "terminal") messages.terminal = payload;
    else if (kind === "parked") sayParked();
  });
  return {
    read: (chunk) => {
      try {
        read(chunk);
        return true;
      } catch (error) {
        problem = (error as Error).message;
        return false;
      }
    },
    messages: () => ({ ...messages, problem }),
    parked,
  };
}
