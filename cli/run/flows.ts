import type { Readable, Writable } from "node:stream";
import { BelljarError } from "../../policy/errors.ts";
import { type Capture, capture } from "./capture.ts";
import { reasonOf } from "./files.ts";
import type { Launcher } from "./launcher.ts";

/** What a program reads: all at once, or as it comes. A Readable is an AsyncIterable. */
export type StdinSource = string | Uint8Array | AsyncIterable<string | Uint8Array>;
/** Where output goes as it comes. Nothing more is read from the program until it was taken: a promise is awaited, a Writable drained. */
export type OutputSink = Writable | ((chunk: Uint8Array) => unknown);

export interface FlowOptions {
  /** What goes to a stdin that is a pipe. */
  readonly stdin?: StdinSource | undefined;
  /** Without one, a stream that is a pipe is captured. */
  readonly onStdout?: OutputSink | undefined;
  readonly onStderr?: OutputSink | undefined;
  /** Of each stream that is captured. */
  readonly captureBytes: number;
}

export interface Flows {
  readonly stdout: () => Uint8Array;
  readonly stderr: () => Uint8Array;
  /** No source or sink is waited for any more. */
  readonly giveUp: () => void;
  /** Resolves when the sinks have taken all; throws BelljarError `stream-failed` for what a source or a sink threw. */
  readonly settled: () => Promise<void>;
}

/** Loaded only where somebody has a source: most runs of the command have none, and none of its streams. */
const isReadable = (source: unknown): source is Readable =>
  typeof source === "object" && source instanceof process.getBuiltinModule("node:stream").Readable;

const isReady = (target: Writable): Promise<void> =>
  new Promise((resolve) => {
    const ready = () => {
      target.off("drain", ready);
      target.off("close", ready);
      resolve();
    };
    target.on("drain", ready);
    target.on("close", ready);
  });

function bytesOf(chunk: unknown): string | Uint8Array {
  if (typeof chunk === "string" || chunk instanceof Uint8Array) return chunk;
  throw new TypeError("a chunk is neither a string nor bytes");
}

/** Writes what the source gives, no faster than it is read; lets go of a source that nobody reads to its end. */
async function feed(target: Writable, source: AsyncIterable<unknown>): Promise<void> {
  const iterator = source[Symbol.asyncIterator]();
  let ended = false;
  const copy = async (): Promise<void> => {
    for (let next = await iterator.next(); !target.destroyed; next = await iterator.next()) {
      if (next.done) {
        ended = true;
        target.end();
        return;
      }
      if (!target.write(bytesOf(next.value)) && !target.destroyed) await isReady(target);
    }
  };
  const closed = new Promise<void>((resolve) => target.once("close", resolve));
  try {
    await Promise.race([copy(), closed]);
  } finally {
    // Neither is waited for: a source that is asked for its next chunk may never answer.
    if (!ended) {
      iterator.return?.().catch(() => undefined);
      if (isReadable(source)) source.destroy();
    }
  }
}

/** Writes until the stream has ended. The Writable is the caller's, who may have more to write: it is not ended. (pipeline() leaves listeners on it then.) */
async function passTo(writable: Writable, stream: Readable): Promise<void> {
  let refuse: (reason: unknown) => void = () => undefined;
  const failed = new Promise<never>((_, reject) => {
    refuse = reject;
  });
  const onClose = () => refuse(new Error("the Writable was closed"));
  writable.on("error", refuse);
  writable.on("close", onClose);
  const copy = async (): Promise<void> => {
    for await (const chunk of stream) {
      if (!writable.writable) throw writable.errored ?? new Error("the Writable takes no more");
      if (!writable.write(chunk)) await isReady(writable);
    }
  };
  try {
    await Promise.race([copy(), failed]);
  } finally {
    writable.off("error", refuse);
    writable.off("close", onClose);
  }
}

async function deliver(stream: Readable, sink: OutputSink, signal: AbortSignal): Promise<void> {
  if (typeof sink !== "function") return passTo(sink, stream);
  for await (const chunk of stream) {
    if (signal.aborted) return;
    await sink(chunk as Uint8Array);
  }
}

const nothing: Capture = { bytes: () => new Uint8Array() };

/** Until it is read, an error of a Readable would be nobody's, and end this process; reading it tells the error later. Returns what undoes that. */
export function keepErrors(source: StdinSource | undefined): () => void {
  if (!isReadable(source)) return () => undefined;
  const keep = () => undefined;
  source.on("error", keep);
  return () => source.off("error", keep);
}

/** Connects a launcher's pipes to sources and sinks. `onFailure` is called when one of them fails. */
export function connect(run: Launcher, options: FlowOptions, onFailure: () => void): Flows {
  const stop = new AbortController();
  const stopped = new Promise<void>((resolve) => stop.signal.addEventListener("abort", () => resolve(), { once: true }));
  let failure: BelljarError | null = null;
  const flows: Promise<void>[] = [];
  const add = (what: string, flow: Promise<void>): void => {
    const watched = flow.catch((cause: unknown) => {
      if (failure !== null || stop.signal.aborted) return;
      failure = new BelljarError("stream-failed", `${what}: ${reasonOf(cause)}`, { cause });
      stop.abort();
      onFailure();
    });
    flows.push(Promise.race([watched, stopped]));
  };
  const output = (name: "stdout" | "stderr", sink: OutputSink | undefined): Capture => {
    const stream = run[name];
    if (stream === null) return nothing;
    if (sink === undefined) return capture(stream, options.captureBytes);
    add(`passing on ${name}`, deliver(stream, sink, stop.signal));
    stop.signal.addEventListener("abort", () => stream.destroy(), { once: true });
    return nothing;
  };
  const [stdout, stderr] = [output("stdout", options.onStdout), output("stderr", options.onStderr)];
  const { stdin } = run;
  // A program need not read its input: that breaks the pipe and nothing else.
  stdin?.on("error", () => undefined);
  const { stdin: source = "" } = options;
  if (stdin !== null && (typeof source === "string" || source instanceof Uint8Array)) stdin.end(source);
  else if (stdin !== null) add("reading stdin", feed(stdin, source as AsyncIterable<unknown>));
  return {
    stdout: stdout.bytes,
    stderr: stderr.bytes,
    giveUp: () => stop.abort(),
    settled: async () => {
      await Promise.all(flows);
      if (failure !== null) throw failure;
    },
  };
}
