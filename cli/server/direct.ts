import { closeSync, fstatSync, read, readSync, write, writeSync } from "node:fs";
import { wireMaxFrameBytes } from "../../policy/wire/wire.gen.ts";
import { leavesAtOnce, spawnAddon } from "../host/spawn-addon.ts";
import { type Message, messageOf, messageReader } from "../run/framing.ts";
import type { Launcher } from "../run/launcher.ts";
import type { StreamTarget } from "../run/streams.ts";
import { Answers, type OutputName } from "./answers.ts";
import type { ConnectOptions } from "./connection.ts";
import { inputWindow } from "./window.ts";

const bufferBytes = 65_536;
const retryMs = 5;
/** How long after the end that somebody wished for a reader may take what is left. */
const deliveryMs = 1000;
/** One thread of Node's waits for the server, and one for each of the caller's streams. */
const threads = 4;

const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));
const isAgain = (error: unknown): boolean => (error as NodeJS.ErrnoException).code === "EAGAIN";

/** The caller's streams by number; null where one is a pipe to us, or a terminal to read, which asks for a process in the foreground as soon as somebody waits for it. */
function descriptorsOf(targets: readonly StreamTarget[]): readonly [number, number, number] | null {
  const [stdin, stdout, stderr] = targets.map((target, descriptor) => (target === "inherit" ? descriptor : target));
  if (typeof stdin !== "number" || typeof stdout !== "number" || typeof stderr !== "number") return null;
  const isTerminal = fstatSync(stdin).isCharacterDevice() && spawnAddon()?.isTerminal(stdin) === true;
  return isTerminal ? null : [stdin, stdout, stderr];
}

/** Files and devices like /dev/null do not wait; of all else a thread waits for. */
function isReady(descriptor: number): boolean {
  const status = fstatSync(descriptor);
  return status.isFile() || (status.isCharacterDevice() && status.rdev >> 8 === 1);
}

/** What comes next; none at the end, and after a failure that ends it as well. */
async function next(descriptor: number, buffer: Buffer): Promise<Buffer> {
  for (;;) {
    const length = await new Promise<number>((resolve) =>
      read(descriptor, buffer, 0, buffer.length, null, (error, count) => resolve(error === null ? count : isAgain(error) ? -1 : 0)),
    );
    if (length >= 0) return Buffer.from(buffer.subarray(0, length));
    await pause(retryMs);
  }
}

function nextReady(descriptor: number, buffer: Buffer): Buffer {
  try {
    return Buffer.from(buffer.subarray(0, readSync(descriptor, buffer, 0, buffer.length, null)));
  } catch {
    return Buffer.alloc(0);
  }
}

async function writeAll(descriptor: number, bytes: Uint8Array, waits: boolean): Promise<void> {
  for (let rest = bytes; rest.length > 0; ) {
    const error = await new Promise<unknown>((resolve) => {
      const wrote = (failed: unknown, count: number): void => {
        if (!failed) rest = rest.subarray(count);
        resolve(failed);
      };
      if (waits) return write(descriptor, rest, wrote);
      try {
        wrote(null, writeSync(descriptor, rest));
      } catch (failed) {
        resolve(failed);
      }
    });
    if (error && !isAgain(error)) throw error;
    if (error) await pause(retryMs);
  }
}

/**
 * The same as connectServer, with the caller's own streams, and without Node's modules for sockets and streams: what they take to load is more than what a sandbox
 * that is ready saves. undefined where that cannot be; null where no sandbox came of it.
 */
export async function connectDirect(
  { socket, launcher, patienceMs }: ConnectOptions,
  targets: readonly StreamTarget[],
): Promise<Launcher | null | undefined> {
  const addon = spawnAddon();
  const descriptors = descriptorsOf(targets);
  if (addon === null || descriptors === null || !leavesAtOnce() || Number(process.env["UV_THREADPOOL_SIZE"] ?? threads) < threads)
    return undefined;
  let control: number;
  try {
    control = addon.connect(socket);
  } catch {
    return null;
  }
  const [stdin, ...outputs] = descriptors;
  const answers = new Answers();
  const written: Record<OutputName, Promise<void>> = { stdout: Promise.resolve(), stderr: Promise.resolve() };
  let isOpen = true;
  let hurry = () => {};
  const hurried = new Promise<void>((resolve) => {
    hurry = resolve;
  });
  let take = (_isOurs: boolean) => {};
  const taken = new Promise<boolean>((resolve) => {
    take = resolve;
  });
  const drop = (): void => {
    if (isOpen) addon.hangUp(control);
  };
  const send = (bytes: Uint8Array): void => {
    try {
      for (let done = 0; isOpen && done < bytes.length; ) done += writeSync(control, bytes, done);
    } catch {
      // Its end says all there is to say.
    }
  };
  const input = inputWindow(send);
  const deliver = (name: OutputName, bytes: Uint8Array): void => {
    const descriptor = outputs[name === "stdout" ? 0 : 1] as number;
    written[name] = written[name].then(async () => {
      if (answers.undelivered[name] !== undefined) return;
      try {
        await writeAll(descriptor, bytes, !isReady(descriptor));
      } catch (error) {
        send(answers.refusal(name, error as NodeJS.ErrnoException));
      }
    });
  };
  const hear = messageReader(
    (message: Message) => {
      const { kind, payload } = message;
      if (kind === "stdout" || kind === "stderr") deliver(kind, payload);
      else if (kind === "parked") take(true);
      else if (kind === "stdin") input.taken(Buffer.from(payload).readUInt32LE(0));
      else if (kind === "refused") drop();
      else answers.take(message);
    },
    { maxPayloadBytes: wireMaxFrameBytes },
  );
  const listen = async (): Promise<void> => {
    const buffer = Buffer.allocUnsafe(bufferBytes);
    try {
      for (let chunk = await next(control, buffer); chunk.length > 0 && answers.record === null; ) {
        hear(chunk);
        // No more is read than is taken: so the program waits for a reader that is slow.
        await Promise.race([Promise.all([written.stdout, written.stderr]), hurried]);
        if (answers.record === null) chunk = await next(control, buffer);
      }
    } catch (error) {
      answers.problem = (error as Error).message;
    }
    isOpen = false;
    closeSync(control);
    take(false);
  };
  const feed = async (): Promise<void> => {
    const buffer = Buffer.allocUnsafe(bufferBytes);
    const ready = isReady(stdin);
    while (isOpen) {
      const chunk = ready ? nextReady(stdin, buffer) : await next(stdin, buffer);
      if (chunk.length === 0) return input.end();
      await new Promise<void>((resolve) => input.pass(chunk, resolve));
    }
  };
  process.once("exit", drop);
  const exited = listen();
  const giveUp = setTimeout(drop, patienceMs);
  const isOurs = await taken;
  clearTimeout(giveUp);
  if (!isOurs) return null;
  const delivered = (): Promise<unknown> =>
    Promise.race([Promise.all([written.stdout, written.stderr]), hurried.then(() => pause(deliveryMs))]);
  const outcome = exited.then(delivered).then(() => answers.outcome());
  return {
    path: launcher,
    tidiesItself: true,
    stdin: null,
    stdout: null,
    stderr: null,
    begin: async ({ execBytes }) => {
      send(execBytes);
      void feed();
    },
    parked: Promise.resolve(),
    resume: send,
    cancel: () => {
      send(messageOf("cancel"));
      hurry();
    },
    drop,
    undelivered: () => answers.undelivered,
    exited,
    outcome,
  };
}
