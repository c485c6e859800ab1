import {
  beginFlag,
  beginLayout,
  dataLayout,
  entriesVersion,
  entryLayout,
  entryLimits,
  entryType,
  frameKind,
  frameLayout,
} from "./entries.gen.ts";
import type { Xattr } from "./xattrs.ts";

/** An entry as belljar-apply takes it. Texts have one character per byte. */
export interface ApplyEntry {
  readonly index: number;
  readonly type: Exclude<keyof typeof entryType, "none">;
  readonly path: string;
  readonly linkPath: string;
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  readonly mtimeSeconds: number;
  readonly mtimeNanoseconds: number;
  readonly size: number;
  readonly xattrs: readonly Xattr[];
}

export interface FrameWriter {
  /** The directory of the next layer; that of the first one is an argument. */
  root(path: string): void;
  lower(path: string): void;
  begin(options: { readonly chown: boolean }): void;
  entry(entry: ApplyEntry): void;
  data(bytes: Buffer, offset: number): void;
  end(): void;
  /** Sends what has gathered. */
  flush(): void;
}

const batchBytes = 256 * 1024;
/** Data of at least this size is sent as it is, without a copy. */
const directBytes = 32 * 1024;
const maxDataBytes = 1024 * 1024;

/**
 * Encodes frames and gives them out in large pieces. The table is entries.def.json; belljar-apply checks everything again.
 */
export function frameWriter(send: (bytes: Buffer) => void): FrameWriter {
  let batch = Buffer.allocUnsafe(batchBytes);
  let used = 0;

  const flush = (): void => {
    if (used === 0) return;
    send(batch.subarray(0, used));
    // What was sent belongs to the stream until it is written.
    batch = Buffer.allocUnsafe(batchBytes);
    used = 0;
  };
  const frame = (kind: keyof typeof frameKind, length: number): number => {
    const total = frameLayout.size + length;
    if (used + total > batch.length) flush();
    if (total > batch.length) batch = Buffer.allocUnsafe(total);
    batch.writeUInt32LE(frameKind[kind], used + frameLayout.kind);
    batch.writeUInt32LE(length, used + frameLayout.length);
    const at = used + frameLayout.size;
    used += total;
    return at;
  };
  const putText = (text: string, at: number): number => {
    batch.write(text, at, "latin1");
    batch[at + text.length] = 0;
    return at + text.length + 1;
  };

  const path = (kind: "root" | "lower", name: string): void => {
    const bytes = Buffer.from(name);
    const at = frame(kind, bytes.length + 1);
    bytes.copy(batch, at);
    batch[at + bytes.length] = 0;
  };

  return {
    flush,
    root: (name) => path("root", name),
    lower: (name) => path("lower", name),
    begin({ chown }) {
      const at = frame("begin", beginLayout.size);
      batch.writeUInt32LE(entriesVersion, at + beginLayout.version);
      batch.writeUInt32LE(chown ? beginFlag.chown : 0, at + beginLayout.flags);
    },
    entry(entry) {
      const pathBytes = entry.path.length + 1;
      const linkBytes = entry.linkPath.length + 1;
      let xattrBytes = 0;
      for (const { name, value } of entry.xattrs) xattrBytes += 8 + name.length + 1 + value.length;
      const length = entryLayout.size + pathBytes + linkBytes + xattrBytes;
      if (length > entryLimits.maxFrameBytes) throw new RangeError("an entry that no frame holds");
      const at = frame("entry", length);
      batch.writeUInt32LE(entry.index, at + entryLayout.index);
      batch.writeUInt32LE(entryType[entry.type], at + entryLayout.type);
      batch.writeUInt32LE(entry.mode, at + entryLayout.mode);
      batch.writeUInt32LE(entry.uid, at + entryLayout.uid);
      batch.writeUInt32LE(entry.gid, at + entryLayout.gid);
      batch.writeUInt32LE(entry.mtimeNanoseconds, at + entryLayout.mtimeNs);
      // Two halves: a BigInt for each entry would cost more than all the rest.
      batch.writeUInt32LE(entry.mtimeSeconds >>> 0, at + entryLayout.mtimeS);
      batch.writeInt32LE(Math.floor(entry.mtimeSeconds / 2 ** 32), at + entryLayout.mtimeS + 4);
      batch.writeUInt32LE(entry.size % 2 ** 32, at + entryLayout.fileBytes);
      batch.writeUInt32LE(Math.floor(entry.size / 2 ** 32), at + entryLayout.fileBytes + 4);
      batch.writeUInt32LE(pathBytes, at + entryLayout.pathBytes);
      batch.writeUInt32LE(linkBytes, at + entryLayout.linkBytes);
      batch.writeUInt32LE(xattrBytes, at + entryLayout.xattrBytes);
      batch.writeUInt32LE(0, at + entryLayout.reserved);
      let to = putText(entry.linkPath, putText(entry.path, at + entryLayout.size));
      for (const { name, value } of entry.xattrs) {
        batch.writeUInt32LE(name.length + 1, to);
        batch.writeUInt32LE(value.length, to + 4);
        to = putText(name, to + 8);
        value.copy(batch, to);
        to += value.length;
      }
    },
    data(bytes, offset) {
      for (let from = 0; from < bytes.length; from += maxDataBytes) {
        const piece = bytes.subarray(from, from + maxDataBytes);
        const direct = piece.length >= directBytes;
        const at = frame("data", dataLayout.size + (direct ? 0 : piece.length));
        if (direct) batch.writeUInt32LE(dataLayout.size + piece.length, at - frameLayout.size + frameLayout.length);
        const place = offset + from;
        batch.writeUInt32LE(place % 2 ** 32, at + dataLayout.offset);
        batch.writeUInt32LE(Math.floor(place / 2 ** 32), at + dataLayout.offset + 4);
        if (direct) {
          flush();
          send(piece);
        } else piece.copy(batch, at + dataLayout.size);
      }
    },
    end() {
      frame("end", 0);
      flush();
    },
  };
}
