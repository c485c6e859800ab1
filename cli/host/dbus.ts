/**
 * As much of the D-Bus wire protocol (https://dbus.freedesktop.org/doc/dbus-specification.html) as asking systemd for a scope takes: calls
 * over a socket without a bus behind it, and the strings of what comes back. Little-endian only, as both supported machines are.
 */
import { connect } from "node:net";

/** A value with its type: a basic one, or an array of basic ones ("au"). */
export type DbusValue =
  | { readonly type: "s"; readonly value: string }
  | { readonly type: "b"; readonly value: boolean }
  | { readonly type: "t"; readonly value: bigint }
  | { readonly type: "au"; readonly value: readonly number[] };

/** The specification allows 128 MiB; what systemd answers here is far below 1 MiB. */
const maxMessageBytes = 1 << 20;
const fieldTypes = { path: 1, interface: 2, member: 3, errorName: 4, replySerial: 5, signature: 8 } as const;
const methodCall = 1;
export const messageKinds = { reply: 2, error: 3, signal: 4 } as const;

/** Writes values with their alignment, which counts from the start of the message; header and body both start at a multiple of 8. */
class Writer {
  #bytes: number[] = [];

  align(to: number): void {
    while (this.#bytes.length % to !== 0) this.#bytes.push(0);
  }
  byte(value: number): void {
    this.#bytes.push(value);
  }
  #number(buffer: Buffer): void {
    this.align(buffer.length);
    this.#bytes.push(...buffer);
  }
  uint32(value: number): void {
    const buffer = Buffer.alloc(4);
    buffer.writeUInt32LE(value);
    this.#number(buffer);
  }
  uint64(value: bigint): void {
    const buffer = Buffer.alloc(8);
    buffer.writeBigUInt64LE(value);
    this.#number(buffer);
  }
  string(text: string): void {
    const bytes = Buffer.from(text);
    this.uint32(bytes.length);
    this.#bytes.push(...bytes, 0);
  }
  signature(text: string): void {
    this.#bytes.push(text.length, ...Buffer.from(text), 0);
  }
  /** The length of an array does not count the padding before its first element. */
  array(elementAlign: number, write: () => void): void {
    this.align(4);
    const at = this.#bytes.length;
    this.uint32(0);
    this.align(elementAlign);
    const start = this.#bytes.length;
    write();
    const length = Buffer.alloc(4);
    length.writeUInt32LE(this.#bytes.length - start);
    this.#bytes.splice(at, 4, ...length);
  }
  bytes(): Buffer {
    return Buffer.from(this.#bytes);
  }
}

function writeVariant(writer: Writer, value: DbusValue): void {
  writer.signature(value.type);
  if (value.type === "s") writer.string(value.value);
  else if (value.type === "b") writer.uint32(value.value ? 1 : 0);
  else if (value.type === "t") writer.uint64(value.value);
  else
    writer.array(4, () => {
      for (const number of value.value) writer.uint32(number);
    });
}

export interface DbusCall {
  readonly path: string;
  readonly interface: string;
  readonly member: string;
  readonly signature: string;
  readonly body: Buffer;
}

/** The bytes of a method call. */
export function encodeCall(call: DbusCall, serial: number): Buffer {
  const writer = new Writer();
  for (const byte of [0x6c, methodCall, 0, 1]) writer.byte(byte);
  writer.uint32(call.body.length);
  writer.uint32(serial);
  const field = (code: number, type: string, write: () => void) => {
    writer.align(8);
    writer.byte(code);
    writer.signature(type);
    write();
  };
  writer.array(8, () => {
    field(fieldTypes.path, "o", () => writer.string(call.path));
    field(fieldTypes.interface, "s", () => writer.string(call.interface));
    field(fieldTypes.member, "s", () => writer.string(call.member));
    field(fieldTypes.signature, "g", () => writer.signature(call.signature));
  });
  writer.align(8);
  return Buffer.concat([writer.bytes(), call.body]);
}

/** The body of a call with the signature "ssa(sv)a(sa(sv))", the last array empty: what StartTransientUnit of systemd takes. */
export function encodeUnit(name: string, mode: string, properties: Readonly<Record<string, DbusValue>>): Buffer {
  const writer = new Writer();
  writer.string(name);
  writer.string(mode);
  writer.array(8, () => {
    for (const [key, value] of Object.entries(properties)) {
      writer.align(8);
      writer.string(key);
      writeVariant(writer, value);
    }
  });
  writer.array(8, () => undefined);
  return writer.bytes();
}

export interface DbusMessage {
  readonly kind: number;
  readonly member: string | null;
  readonly errorName: string | null;
  readonly replySerial: number | null;
  /** The body's leading and following strings, object paths among them; numbers between them are left out. */
  readonly strings: readonly string[];
}

/** Reads what `Writer` writes; every read checks that the message goes on so far. */
class Reader {
  readonly #bytes: Buffer;
  at: number;

  constructor(bytes: Buffer, at: number) {
    this.#bytes = bytes;
    this.at = at;
  }
  #take(length: number): Buffer {
    if (this.at + length > this.#bytes.length) throw new Error("a message ends too early");
    this.at += length;
    return this.#bytes.subarray(this.at - length, this.at);
  }
  align(to: number): void {
    this.#take((to - (this.at % to)) % to);
  }
  byte(): number {
    return this.#take(1)[0] ?? 0;
  }
  uint32(): number {
    this.align(4);
    return this.#take(4).readUInt32LE();
  }
  string(): string {
    const text = this.#take(this.uint32()).toString();
    this.byte();
    return text;
  }
  signature(): string {
    const text = this.#take(this.byte()).toString();
    this.byte();
    return text;
  }
}

const fixedHeaderBytes = 16;
const aligned = (length: number): number => Math.ceil(length / 8) * 8;

/** Bytes of the message that starts here; null while its header is not complete. Throws for what is no message. */
export function messageLength(bytes: Buffer): number | null {
  if (bytes.length < fixedHeaderBytes) return null;
  if (bytes[0] !== 0x6c || bytes[3] !== 1) throw new Error("answers in another protocol than D-Bus version 1, little-endian");
  const length = aligned(fixedHeaderBytes + bytes.readUInt32LE(12)) + bytes.readUInt32LE(4);
  if (length > maxMessageBytes) throw new Error(`announces a message of ${length} bytes`);
  return length;
}

/** A whole message. Body types other than strings, object paths and uint32 end the reading of the body. */
export function decodeMessage(bytes: Buffer): DbusMessage {
  const reader = new Reader(bytes, 12);
  const end = fixedHeaderBytes + reader.uint32();
  const fields = new Map<number, string | number>();
  while (reader.at < end) {
    reader.align(8);
    const code = reader.byte();
    const type = reader.signature();
    if (type !== "s" && type !== "o" && type !== "g" && type !== "u") throw new Error(`has a header field of type '${type}'`);
    fields.set(code, type === "u" ? reader.uint32() : type === "g" ? reader.signature() : reader.string());
  }
  const text = (code: number): string | null => (typeof fields.get(code) === "string" ? (fields.get(code) as string) : null);
  reader.align(8);
  const strings: string[] = [];
  for (const type of text(fieldTypes.signature) ?? "") {
    if (type === "u") reader.uint32();
    else if (type === "s" || type === "o") strings.push(reader.string());
    else break;
  }
  const replySerial = fields.get(fieldTypes.replySerial);
  return {
    kind: bytes[1] ?? 0,
    member: text(fieldTypes.member),
    errorName: text(fieldTypes.errorName),
    replySerial: typeof replySerial === "number" ? replySerial : null,
    strings,
  };
}

export interface Conversation {
  readonly socket: string;
  /** As the other side sees this process. */
  readonly uid: number;
  readonly call: DbusCall;
  /** After which the other side is given up. */
  readonly silenceMs: number;
  readonly signal?: AbortSignal | undefined;
}

export const callSerial = 1;

/**
 * Connects, calls once, and hands every message that comes to `onMessage` until that returns true. Throws what `onMessage` throws, and Error for
 * a socket that cannot be reached, refuses, says something else than D-Bus, closes too early or keeps silent for too long, or when `signal` says so.
 */
export function converse(
  { socket: path, uid, call, silenceMs, signal }: Conversation,
  onMessage: (message: DbusMessage) => boolean,
): Promise<void> {
  return new Promise((resolve, reject) => {
    const socket = connect(path);
    let pending = Buffer.alloc(0);
    let authenticated = false;
    const timer = setTimeout(() => end(new Error(`says nothing for ${silenceMs / 1000} s`)), silenceMs);
    const giveUp = () => end(new Error("nobody waits for it any more"));
    signal?.addEventListener("abort", giveUp);
    const end = (error: Error | null) => {
      clearTimeout(timer);
      signal?.removeEventListener("abort", giveUp);
      socket.destroy();
      if (error === null) resolve();
      else reject(error);
    };
    const take = (): void => {
      if (!authenticated) {
        const line = pending.indexOf("\r\n");
        if (line < 0) return;
        if (!pending.subarray(0, line).toString().startsWith("OK ")) throw new Error("refuses this user");
        authenticated = true;
        pending = pending.subarray(line + 2);
      }
      for (let length = messageLength(pending); length !== null && length <= pending.length; length = messageLength(pending)) {
        const message = decodeMessage(pending.subarray(0, length));
        pending = pending.subarray(length);
        if (!onMessage(message)) continue;
        end(null);
        return;
      }
    };
    socket.on("data", (chunk: Buffer) => {
      pending = Buffer.concat([pending, chunk]);
      timer.refresh();
      try {
        take();
      } catch (error) {
        end(error as Error);
      }
    });
    socket.on("error", end);
    socket.on("close", () => end(new Error("closes the connection without an answer")));
    // All at once: the other side reads on after BEGIN, and a round trip is saved.
    const authentication = `\0AUTH EXTERNAL ${Buffer.from(String(uid)).toString("hex")}\r\nBEGIN\r\n`;
    socket.write(Buffer.concat([Buffer.from(authentication), encodeCall(call, callSerial)]));
  });
}
