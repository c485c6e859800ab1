import { Writable } from "node:stream";
import { framesOf, messageOf } from "../run/framing.ts";

/** Input that is on its way to the launcher, at most: as much as it has room for, so that a cancel never waits behind input that nobody reads. */
const windowBytes = 65_536;

export interface FramedInput {
  readonly stream: Writable;
  /** The launcher has room again. */
  readonly taken: (bytes: number) => void;
}

/** A program's input as frames, no faster than it is read. */
export function framedInput(send: (bytes: Uint8Array) => void): FramedInput {
  let room = windowBytes;
  let rest: Uint8Array = new Uint8Array();
  let done: (() => void) | null = null;
  const pass = (): void => {
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
    stream: new Writable({
      write: (chunk: Buffer, _encoding, callback) => {
        rest = chunk;
        done = callback;
        pass();
      },
      final: (callback) => {
        send(messageOf("stdin"));
        callback();
      },
    }),
    taken: (bytes) => {
      room += bytes;
      pass();
    },
  };
}
