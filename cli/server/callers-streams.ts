import { closeSync, constants, fstatSync, openSync, readSync, writeSync } from "node:fs";
import { Socket } from "node:net";
import { isatty, ReadStream } from "node:tty";
import { leaveToNode } from "../host/spawn-addon.ts";
import type { FlowOptions, OutputSink, StdinSource } from "../run/flows.ts";
import type { StreamTarget } from "../run/streams.ts";
import type { ServedLauncher } from "./connection.ts";

/** What the command moves between its caller's streams and a server; a launcher of its own has the descriptors themselves. */
export interface CallersStreams {
  /** Begins to read and write: not before a run is certain, since what was read is gone for others. */
  readonly connect: (run: Pick<ServedLauncher, "refuse">) => Pick<FlowOptions, "stdin" | "onStdout" | "onStderr">;
  /** Where it does not come to that. */
  readonly close: () => void;
}

const chunkBytes = 65_536;
const retryMs = 5;
const bits = 8;
/** Devices that never wait: null, zero, full, random, urandom (Documentation/admin-guide/devices.txt). */
const readyDevices: readonly number[] = [3, 5, 7, 8, 9].map((minor) => (1 << bits) | minor);

type Kind = "ready" | "pipe" | "socket" | "terminal";

/** null for a device that may wait: nothing here may. */
function kindOf(descriptor: number): Kind | null {
  const status = fstatSync(descriptor);
  if (status.isFile() || (status.isCharacterDevice() && readyDevices.includes(status.rdev))) return "ready";
  if (status.isFIFO()) return "pipe";
  if (status.isSocket()) return "socket";
  return isatty(descriptor) ? "terminal" : null;
}

/** A description of our own, which alone does not wait. null where it cannot be had. */
function reopened(descriptor: number, access: number): number | null {
  try {
    return openSync(`/proc/self/fd/${descriptor}`, access | constants.O_NONBLOCK | constants.O_NOCTTY);
  } catch {
    return null;
  }
}

async function* contentOf(descriptor: number): AsyncGenerator<Uint8Array> {
  for (;;) {
    const buffer = Buffer.allocUnsafe(chunkBytes);
    const length = readSync(descriptor, buffer, 0, chunkBytes, null);
    if (length === 0) return;
    yield buffer.subarray(0, length);
  }
}

/** A stream of the caller's that can be moved, and the descriptor to move it by. */
interface Place {
  readonly kind: Kind;
  readonly descriptor: number;
}

/**
 * O_NONBLOCK belongs to the open file description, which the caller shares with its other children: a pipe or a terminal gets one of our own. A
 * socket cannot be opened again, nor does Node know MSG_DONTWAIT; it is as `process.stdin` has it, and when this process ends, Node puts back how it was.
 */
function placeOf(descriptor: number, access: number): Place | null {
  const kind = kindOf(descriptor);
  if (kind === null) return null;
  if (kind === "ready" || kind === "socket") return { kind, descriptor };
  const own = reopened(descriptor, access);
  return own === null ? null : { kind, descriptor: own };
}

function sourceOf({ kind, descriptor }: Place): StdinSource {
  if (kind === "ready") return contentOf(descriptor);
  return kind === "terminal" ? new ReadStream(descriptor) : new Socket({ fd: descriptor, readable: true, writable: false });
}

type Write = (chunk: Uint8Array) => Promise<void> | void;

/** A terminal that was stopped takes nothing for a while; signals are heard meanwhile. */
async function writeAll(descriptor: number, chunk: Uint8Array): Promise<void> {
  for (let rest = chunk; rest.length > 0; ) {
    try {
      rest = rest.subarray(writeSync(descriptor, rest));
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== "EAGAIN") throw error;
      await new Promise((resolve) => setTimeout(resolve, retryMs));
    }
  }
}

function writerOf({ kind, descriptor }: Place): Write {
  if (kind === "ready" || kind === "terminal") return (chunk) => writeAll(descriptor, chunk);
  const socket = new Socket({ fd: descriptor, readable: false, writable: true });
  socket.on("error", () => undefined); // told by the write
  return (chunk) => new Promise((resolve, reject) => socket.write(chunk, (error) => (error ? reject(error) : resolve())));
}

/** The program finds out about a stream that cannot be written as it would if it wrote there itself. */
function sinkTo(write: Write, refuse: (error: NodeJS.ErrnoException) => void): OutputSink {
  let refused = false;
  return async (chunk) => {
    if (refused) return;
    try {
      await write(chunk);
    } catch (error) {
      refused = true;
      refuse(error as NodeJS.ErrnoException);
    }
  };
}

const descriptorOf = (target: StreamTarget, number: number): number | null =>
  target === "inherit" ? number : typeof target === "number" ? target : null;

/** null where one of the streams is better left to a launcher of our own. */
export function callersStreams(targets: readonly [StreamTarget, StreamTarget, StreamTarget]): CallersStreams | null {
  const own: number[] = [];
  const close = (): void => {
    for (const descriptor of own.splice(0)) closeSync(descriptor);
  };
  const places: (Place | undefined)[] = [];
  for (const [number, target] of targets.entries()) {
    const descriptor = descriptorOf(target, number);
    const place = descriptor === null ? undefined : placeOf(descriptor, number === 0 ? constants.O_RDONLY : constants.O_WRONLY);
    if (place === null) {
      close();
      return null;
    }
    if (place !== undefined && place.descriptor !== descriptor) own.push(place.descriptor);
    places.push(place);
  }
  const [input, output, errors] = places;
  return {
    close,
    connect: ({ refuse }) => {
      if (places.some((place) => place?.kind === "socket")) leaveToNode();
      return {
        ...(input === undefined ? {} : { stdin: sourceOf(input) }),
        ...(output === undefined ? {} : { onStdout: sinkTo(writerOf(output), (error) => refuse("stdout", error)) }),
        ...(errors === undefined ? {} : { onStderr: sinkTo(writerOf(errors), (error) => refuse("stderr", error)) }),
      };
    },
  };
}
