import { connect } from "node:net";
import { Readable } from "node:stream";
import { wireMaxFrameBytes } from "../../policy/wire/wire.gen.ts";
import { type Message, messageOf, messageReader } from "../run/framing.ts";
import type { Launcher } from "../run/launcher.ts";
import { Answers, type OutputName } from "./answers.ts";
import { framedInput } from "./input.ts";

/** A run of a server's: what it is told besides what every launcher is told. */
export interface ServedLauncher extends Launcher {
  /** A stream could not be written any further, for this reason; ends it as it would in a run of our own. */
  readonly refuse: (name: OutputName, error: NodeJS.ErrnoException) => void;
}

export interface ConnectOptions {
  /** Of the server's socket. */
  readonly socket: string;
  /** Of the launcher that the server runs, for messages. */
  readonly launcher: string;
  /** How long to wait for a sandbox where none is ready. */
  readonly patienceMs: number;
}

interface Outputs {
  readonly streams: Readonly<Record<OutputName, Readable>>;
  readonly push: (name: OutputName, bytes: Uint8Array) => void;
  /** Nothing more comes. */
  readonly end: () => void;
  /** From now on nobody who reads slowly holds anything up. */
  readonly hurry: () => void;
}

/** Both outputs come over one connection, which waits while either is full: as with pipes, whoever leaves one of them unread may hold up the other. */
function framedOutputs(flow: { readonly stop: () => void; readonly go: () => void }, onUnread: (name: OutputName) => void): Outputs {
  const full = new Set<OutputName>();
  const ended = new Set<OutputName>();
  let hurried = false;
  const free = (name: OutputName): void => {
    full.delete(name);
    if (full.size === 0) flow.go();
  };
  const output = (name: OutputName): Readable =>
    new Readable({
      read: () => free(name),
      destroy: (error, callback) => {
        free(name);
        if (!ended.has(name)) onUnread(name);
        callback(error);
      },
    });
  const streams = { stdout: output("stdout"), stderr: output("stderr") };
  const end = (name: OutputName): void => {
    if (ended.has(name)) return;
    ended.add(name);
    streams[name].push(null);
  };
  return {
    streams,
    push: (name, bytes) => {
      if (bytes.length === 0) return end(name);
      if (streams[name].destroyed || ended.has(name) || streams[name].push(bytes) || hurried) return;
      full.add(name);
      flow.stop();
    },
    end: () => {
      end("stdout");
      end("stderr");
    },
    hurry: () => {
      hurried = true;
      full.clear();
      flow.go();
    },
  };
}

const closed = (stream: Readable): Promise<void> => new Promise((resolve) => stream.once("close", () => resolve()));

/**
 * Connects to a run server and waits until one of its sandboxes is ours. null where that does not come about: nothing has run then, nor will.
 * Once it was begun, a connection that ends without a record is a launcher that was killed.
 */
export function connectServer({ socket: path, launcher, patienceMs }: ConnectOptions): Promise<ServedLauncher | null> {
  const socket = connect({ path });
  const send = (bytes: Uint8Array): void => {
    if (socket.writable) socket.write(bytes);
  };
  const answers = new Answers();
  const input = framedInput(send);
  const refuse = (name: OutputName, error: Pick<NodeJS.ErrnoException, "code">): void => send(answers.refusal(name, error));
  const flow = { stop: () => void socket.pause(), go: () => void socket.resume() };
  const outputs = framedOutputs(flow, (name) => refuse(name, { code: "EPIPE" }));
  // Nobody writes to it yet; one that breaks says no more than the end does.
  input.stream.on("error", () => undefined);

  return new Promise((resolve) => {
    const giveUp = setTimeout(() => socket.destroy(), patienceMs);
    let sayExited = () => {};
    const exited = new Promise<void>((said) => {
      sayExited = said;
    });
    const take = (): void => {
      clearTimeout(giveUp);
      const { stdout, stderr } = outputs.streams;
      const outcome = Promise.all([exited, closed(stdout), closed(stderr)]).then(() => answers.outcome());
      resolve({
        path: launcher,
        tidiesItself: true,
        stdin: input.stream,
        stdout,
        stderr,
        begin: async ({ execBytes }) => send(execBytes),
        parked: Promise.resolve(),
        resume: send,
        cancel: () => {
          send(messageOf("cancel"));
          outputs.hurry();
        },
        drop: () => void socket.destroy(),
        refuse,
        undelivered: () => answers.undelivered,
        exited,
        outcome,
      });
    };
    const hear = (message: Message): void => {
      const { kind, payload } = message;
      if (kind === "stdout" || kind === "stderr") outputs.push(kind, payload);
      else if (kind === "parked") take();
      else if (kind === "stdin") input.taken(Buffer.from(payload).readUInt32LE(0));
      else answers.take(message);
      if (kind === "record" || kind === "refused") socket.destroy();
    };
    const read = messageReader(hear, { maxPayloadBytes: wireMaxFrameBytes });
    socket.on("data", (chunk: Buffer) => {
      try {
        read(chunk);
      } catch (error) {
        answers.problem = (error as Error).message;
        socket.destroy();
      }
    });
    // What it means is told by the record that has come, or has not.
    socket.on("error", () => undefined);
    socket.once("close", () => {
      clearTimeout(giveUp);
      outputs.end();
      input.stream.destroy();
      sayExited();
      resolve(null); // where it has not been taken
    });
  });
}
