import { LayerProblem } from "./problem.ts";

export const blockBytes = 512;

/** Names and links are text of one character per byte, so that every byte survives. */
export interface TarHeader {
  readonly type: string;
  readonly path: string;
  readonly linkPath: string;
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  readonly size: number;
  readonly mtimeSeconds: number;
  readonly devMajor: number;
  readonly devMinor: number;
}

const zero = 0x30;
const space = 0x20;

function text(block: Buffer, at: number, length: number): string {
  const end = block.indexOf(0, at);
  return block.toString("latin1", at, end === -1 || end > at + length ? at + length : end);
}

/** GNU base-256: two's complement, big-endian, marked by the top bit of the first byte. */
function base256(field: Buffer, what: string): number {
  const negative = ((field[0] ?? 0) & 0x40) !== 0;
  let value = BigInt((field[0] ?? 0) & (negative ? 0xff : 0x7f));
  for (const byte of field.subarray(1)) value = (value << 8n) | BigInt(byte);
  if (negative) value -= 1n << BigInt(field.length * 8);
  if (value > 0x7fff_ffff_ffff_ffffn || value < -0x8000_0000_0000_0000n) throw new LayerProblem(`a header with an impossible ${what}`);
  return Number(value);
}

/** Octal digits, perhaps after spaces or NULs, to the first space or NUL; or base-256. An empty field is 0. */
export function tarNumber(block: Buffer, place: { readonly at: number; readonly length: number; readonly what: string }): number {
  const { at, length, what } = place;
  if (((block[at] ?? 0) & 0x80) !== 0) return base256(block.subarray(at, at + length), what);
  const end = at + length;
  let i = at;
  while (i < end && (block[i] === space || block[i] === 0)) i++;
  let value = 0;
  for (; i < end; i++) {
    const byte = block[i] ?? 0;
    if (byte === space || byte === 0) break;
    if (byte < zero || byte > zero + 7) throw new LayerProblem(`a header with a bad ${what}`);
    value = value * 8 + (byte - zero);
  }
  return value;
}

/** The sum of all bytes, its own field taken as spaces; some old programs added them up as signed. */
function checksumHolds(block: Buffer): boolean {
  let unsigned = 0;
  let high = 0;
  for (let i = 0; i < blockBytes; i++) {
    const byte = block[i] ?? 0;
    unsigned += byte;
    high += byte >> 7;
  }
  for (let i = 148; i < 156; i++) {
    const byte = block[i] ?? 0;
    unsigned -= byte;
    high -= byte >> 7;
  }
  unsigned += 8 * space;
  const stored = Number.parseInt(block.toString("latin1", 148, 156).replace(/[\0 ]+$/, ""), 8);
  return stored === unsigned || stored === unsigned - 256 * high;
}

export function isZeroBlock(block: Buffer): boolean {
  for (let i = 0; i < blockBytes; i++) if (block[i] !== 0) return false;
  return true;
}

const isDevice = (type: string): boolean => type === "3" || type === "4";

/** Reads one header block (POSIX ustar, GNU, star or of before 1988). Throws LayerProblem. */
export function readHeader(block: Buffer): TarHeader {
  if (!checksumHolds(block)) throw new LayerProblem("no tar archive, or damaged: a header has the wrong checksum");
  const flag = block[156] ?? 0;
  const type = flag === 0 ? "0" : String.fromCharCode(flag);
  let path = text(block, 0, 100);
  // GNU's own format ("ustar  ") keeps other things where POSIX has the prefix; star keeps times behind it.
  if (block.toString("latin1", 257, 263) === "ustar\0") {
    const prefix = text(block, 345, block.toString("latin1", 508, 512) === "tar\0" ? 131 : 155);
    if (prefix !== "") path = `${prefix}/${path}`;
  }
  const number = (what: string, at: number, length: number): number => tarNumber(block, { at, length, what });
  return {
    type,
    path,
    linkPath: text(block, 157, 100),
    mode: number("mode", 100, 8) & 0o7777,
    uid: number("owner", 108, 8),
    gid: number("group", 116, 8),
    size: number("size", 124, 12),
    mtimeSeconds: number("time", 136, 12),
    // Some programs leave rubbish here for everything that is no device.
    devMajor: isDevice(type) ? number("device number", 329, 8) : 0,
    devMinor: isDevice(type) ? number("device number", 337, 8) : 0,
  };
}
