import { Writable } from "node:stream";
import { inputWindow } from "./window.ts";

export interface FramedInput {
  readonly stream: Writable;
  /** The launcher has room again. */
  readonly taken: (bytes: number) => void;
}

/** A program's input, written by whoever has it. */
export function framedInput(send: (bytes: Uint8Array) => void): FramedInput {
  const { pass, end, taken } = inputWindow(send);
  const stream = new Writable({
    write: (chunk: Buffer, _encoding, callback) => pass(chunk, callback),
    final: (callback) => {
      end();
      callback();
    },
  });
  return { stream, taken };
}
