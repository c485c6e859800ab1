import { framesOf, messageOf } from "../run/framing.ts";

/** Input that is on its way to the launcher, at most: as much as it has room for, so that a cancel never waits behind input that nobody reads. */
const windowBytes = 65_536;

/** A program's input as frames, no faster than it is read. */
export interface InputWindow {
  /** One at a time; calls back when all of it has been sent. */
  readonly pass: (bytes: Uint8Array, done: () => void) => void;
  readonly end: () => void;
  /** The launcher has room again. */
  readonly taken: (bytes: number) => void;
}

export function inputWindow(send: (bytes: Uint8Array) => void): InputWindow {
  let room = windowBytes;
  let rest: Uint8Array = new Uint8Array();
  let done: (() => void) | null = null;
  const go = (): void => {
    const part = rest.subarray(0, room);
    room -= part.length;
    rest = rest.subarray(part.length);
    for (const frame of framesOf("stdin", part)) send(frame);
    if (rest.length > 0 || done === null) return;
    const goOn = done;
    done = null;
    goOn();
  };
  return {
    pass: (bytes, callback) => {
      rest = bytes;
      done = callback;
      go();
    },
    end: () => send(messageOf("stdin")),
    taken: (bytes) => {
      room += bytes;
      go();
    },
  };
}
