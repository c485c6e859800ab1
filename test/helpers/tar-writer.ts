/** Writes tar archives byte by byte: legal ones in every dialect, and every malformed header that a hostile image may hold. */

export type Bytes = string | Uint8Array;

/** Texts stand for one byte per character where they hold such; otherwise for UTF-8. */
export const bytesOf = (value: Bytes): Buffer => (typeof value === "string" ? Buffer.from(value) : Buffer.from(value));

export const block = 512;

export interface RawHeader {
  readonly name?: Bytes;
  readonly mode?: number | Bytes;
  readonly uid?: number | Bytes;
  readonly gid?: number | Bytes;
  readonly size?: number | Bytes;
  readonly mtime?: number | Bytes;
  /** Character of the type; "\0" for the one of before 1988. */
  readonly type?: string;
  readonly link?: Bytes;
  readonly magic?: "ustar" | "gnu" | "v7";
  readonly prefix?: Bytes;
  readonly devMajor?: number;
  readonly devMinor?: number;
  /** "signed": added up as signed bytes. A number: that one, right or wrong. */
  readonly checksum?: "unsigned" | "signed" | number;
  /** Written last over the header, before the checksum. */
  readonly patch?: (header: Buffer) => void;
}

/** GNU base-256, of a field's length; negative numbers in two's complement. */
export function base256(value: number | bigint, length: number): Buffer {
  const out = Buffer.alloc(length);
  let left = BigInt.asUintN(8 * length - 1, BigInt(value)) | (1n << BigInt(8 * length - 1));
  if (BigInt(value) < 0n) left = BigInt.asUintN(8 * length, BigInt(value));
  for (let i = length - 1; i >= 0; i--) {
    out[i] = Number(left & 0xffn);
    left >>= 8n;
  }
  return out;
}

function number(value: number | Bytes, length: number): Buffer {
  if (typeof value !== "number") return bytesOf(value);
  const octal = value.toString(8);
  if (value < 0 || octal.length >= length) return base256(value, length);
  return Buffer.from(`${octal.padStart(length - 1, "0")}\0`);
}

/** One header block. */
export function header(fields: RawHeader): Buffer {
  const out = Buffer.alloc(block);
  const put = (value: Bytes, at: number, length: number): void => {
    bytesOf(value).copy(out, at, 0, length);
  };
  put(fields.name ?? "", 0, 100);
  put(number(fields.mode ?? 0o644, 8), 100, 8);
  put(number(fields.uid ?? 0, 8), 108, 8);
  put(number(fields.gid ?? 0, 8), 116, 8);
  put(number(fields.size ?? 0, 12), 124, 12);
  put(number(fields.mtime ?? 0, 12), 136, 12);
  put(fields.type ?? "0", 156, 1);
  put(fields.link ?? "", 157, 100);
  const magic = fields.magic ?? "ustar";
  if (magic === "ustar") put("ustar\x0000", 257, 8);
  if (magic === "gnu") put("ustar  \0", 257, 8);
  put(fields.prefix ?? "", 345, 155);
  if (fields.devMajor !== undefined) put(number(fields.devMajor, 8), 329, 8);
  if (fields.devMinor !== undefined) put(number(fields.devMinor, 8), 337, 8);
  fields.patch?.(out);
  out.fill(0x20, 148, 156);
  const sum = (signed: boolean): number => out.reduce((total, byte) => total + (signed && byte > 127 ? byte - 256 : byte), 0);
  const checksum = typeof fields.checksum === "number" ? fields.checksum : fields.checksum === "signed" ? sum(true) : sum(false);
  put(`${checksum.toString(8).padStart(6, "0")}\0 `, 148, 8);
  return out;
}

/** To whole blocks. */
export function padded(data: Bytes): Buffer {
  const bytes = bytesOf(data);
  return Buffer.concat([bytes, Buffer.alloc((block - (bytes.length % block)) % block)]);
}

/** One record of an extended header, with its own length in front. */
export function paxRecord(key: string, value: Bytes): Buffer {
  const body = Buffer.concat([Buffer.from(` ${key}=`), bytesOf(value), Buffer.from("\n")]);
  let length = body.length + 1;
  while (String(length).length + body.length !== length) length = String(length).length + body.length;
  return Buffer.concat([Buffer.from(String(length)), body]);
}

export type PaxValues = Readonly<Record<string, Bytes>> | readonly (readonly [string, Bytes])[];

/** An extended header: for the next entry, or ("g") for all that follow. */
export function pax(values: PaxValues, type: "x" | "g" = "x"): Buffer {
  const records = Array.isArray(values) ? values : Object.entries(values);
  const data = Buffer.concat(records.map(([key, value]) => paxRecord(key, value)));
  return Buffer.concat([header({ name: "PaxHeaders/x", type, size: data.length }), padded(data)]);
}

/** GNU's header for a long name ("L") or a long link ("K"). */
export function longName(name: Bytes, type: "L" | "K" = "L"): Buffer {
  const data = Buffer.concat([bytesOf(name), Buffer.from([0])]);
  return Buffer.concat([header({ name: "././@LongLink", type, size: data.length, magic: "gnu" }), padded(data)]);
}

export interface Extra extends Omit<RawHeader, "name" | "size" | "type" | "link"> {
  /** Records of an extended header before the entry. */
  readonly pax?: PaxValues;
}

function entry(fields: RawHeader, data: Bytes, { pax: records }: Extra): Buffer {
  const front = records === undefined ? [] : [pax(records)];
  return Buffer.concat([...front, header(fields), padded(data)]);
}

/** What is longer than its field goes into an extended header: cut off, it would be another name. */
function withNames(extra: Extra, name: Bytes, link: Bytes = ""): Extra {
  const long = Object.entries({ path: name, linkpath: link }).filter(([, value]) => bytesOf(value).length > 100);
  const given = Array.isArray(extra.pax) ? extra.pax : Object.entries(extra.pax ?? {});
  return long.length === 0 ? extra : { ...extra, pax: [...given, ...long] };
}

export function file(name: Bytes, content: Bytes = "", extra: Extra = {}): Buffer {
  return entry({ ...extra, name, size: bytesOf(content).length }, content, withNames(extra, name));
}

export function directory(name: Bytes, mode = 0o755, extra: Extra = {}): Buffer {
  return entry({ mode, ...extra, name, type: "5" }, "", withNames(extra, name));
}

export function symlink(name: Bytes, target: Bytes, extra: Extra = {}): Buffer {
  return entry({ mode: 0o777, ...extra, name, type: "2", link: target }, "", withNames(extra, name, target));
}

export function hardlink(name: Bytes, target: Bytes, extra: Extra = {}): Buffer {
  return entry({ ...extra, name, type: "1", link: target }, "", withNames(extra, name, target));
}

export function fifo(name: Bytes, extra: Extra = {}): Buffer {
  return entry({ ...extra, name, type: "6" }, "", extra);
}

export function device(name: Bytes, numbers: readonly [number, number], extra: Extra = {}): Buffer {
  return entry({ ...extra, name, type: "3", devMajor: numbers[0], devMinor: numbers[1] }, "", extra);
}

/** The two zero blocks that end an archive. */
export const ending = Buffer.alloc(2 * block);

export function archive(...parts: readonly Buffer[]): Buffer {
  return Buffer.concat([...parts, ending]);
}
