import { enums, type MessageKind, wireMaxFrameBytes } from "../../policy/wire/wire.gen.ts";

export interface Message {
  readonly kind: MessageKind;
  /** A view of what was read: whoever keeps it for long copies it. */
  readonly payload: Uint8Array;
}

/** Larger than any message of a launcher that carries no streams: one that says more is not ours. */
const maxMessageBytes = 4096;
const headerBytes = 8;
const kindOf = (kind: MessageKind): number => enums.MessageKind.indexOf(kind);

/** One message as bytes: u32 kind, u32 length, payload, little-endian. */
export function messageOf(kind: MessageKind, payload: Uint8Array = new Uint8Array()): Uint8Array {
  const bytes = Buffer.allocUnsafe(headerBytes + payload.length);
  bytes.writeUInt32LE(kindOf(kind), 0);
  bytes.writeUInt32LE(payload.length, 4);
  bytes.set(payload, headerBytes);
  return bytes;
}

/** The same for a stream's bytes, in as many frames as they need. No bytes: no frame, for an empty one means the end. */
export function framesOf(kind: MessageKind, bytes: Uint8Array): readonly Uint8Array[] {
  const frames: Uint8Array[] = [];
  for (let at = 0; at < bytes.length; at += wireMaxFrameBytes) frames.push(messageOf(kind, bytes.subarray(at, at + wireMaxFrameBytes)));
  return frames;
}

/**
 * Cuts a byte stream of the launcher's into messages. Feed it chunks as they come; it hands each whole message on and throws an Error for a
 * stream that cannot be the launcher's.
 */
export function messageReader(
  onMessage: (message: Message) => void,
  { maxPayloadBytes = maxMessageBytes }: { readonly maxPayloadBytes?: number } = {},
): (chunk: Buffer) => void {
  let pending: Buffer[] = [];
  let held = 0;
  let wanted = headerBytes;
  return (chunk) => {
    pending.push(chunk);
    held += chunk.length;
    // A message that comes in many pieces is put together once.
    if (held < wanted) return;
    let bytes = pending.length === 1 ? chunk : Buffer.concat(pending, held);
    wanted = headerBytes;
    while (bytes.length >= headerBytes) {
      const kind = enums.MessageKind[bytes.readUInt32LE(0)];
      const length = bytes.readUInt32LE(4);
      if (kind === undefined || kind === "none" || length > maxPayloadBytes) throw new Error("the launcher sent a message of unknown form");
      wanted = headerBytes + length;
      if (bytes.length < wanted) break;
      onMessage({ kind, payload: bytes.subarray(headerBytes, wanted) });
      bytes = bytes.subarray(wanted);
      wanted = headerBytes;
    }
    pending = bytes.length === 0 ? [] : [bytes];
    held = bytes.length;
  };
}
