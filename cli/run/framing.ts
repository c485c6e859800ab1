import { enums, type MessageKind } from "../../policy/wire/wire.gen.ts";

export interface Message {
  readonly kind: MessageKind;
  readonly payload: Uint8Array;
}

/** Larger than any message there is: a launcher that says more is not ours. */
const maxPayloadBytes = 4096;
const headerBytes = 8;

/**
 * Cuts the launcher's byte stream into messages: u32 kind, u32 length, payload, little-endian. Feed it chunks as they
 * come; it hands each whole message on and throws an Error for a stream that cannot be the launcher's.
 */
export function messageReader(onMessage: (message: Message) => void): (chunk: Uint8Array) => void {
  let pending = Buffer.alloc(0);
  return (chunk) => {
    pending = Buffer.concat([pending, chunk]);
    while (pending.length >= headerBytes) {
      const kind = enums.MessageKind[pending.readUInt32LE(0)];
      const length = pending.readUInt32LE(4);
      if (kind === undefined || kind === "none" || length > maxPayloadBytes) throw new Error("the launcher sent a message of unknown form");
      if (pending.length < headerBytes + length) return;
      onMessage({ kind, payload: new Uint8Array(pending.subarray(headerBytes, headerBytes + length)) });
      pending = pending.subarray(headerBytes + length);
    }
  };
}
