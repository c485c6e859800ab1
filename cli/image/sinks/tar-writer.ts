import type { Readable } from "node:stream";

const blockBytes = 512;
const maxNameBytes = 100;
/** What eleven octal digits can say. */
const maxOctalSize = 8 ** 11 - 1;

/**
 * One file of an archive that is written. The same content gives the same bytes: no times, owners or names of this host.
 * A library would bring its own kind of streams, with other rules about errors than Node's pipelines have.
 */
export interface TarFile {
  /** A folder when it ends with a slash. */
  readonly name: string;
  readonly size: number;
  readonly content: Uint8Array | (() => Promise<Readable>);
}

const octal = (value: number, width: number): string => `${value.toString(8).padStart(width - 1, "0")}\0`;

/** A header as POSIX.1-1988 (ustar) has it. */
function header(name: string, options: { readonly size: number; readonly type: "0" | "5" | "x" }): Buffer {
  const { size, type } = options;
  const block = Buffer.alloc(blockBytes);
  block.write(name, 0, maxNameBytes, "utf8");
  block.write(octal(type === "5" ? 0o755 : 0o644, 8), 100, "latin1");
  block.write(octal(0, 8) + octal(0, 8) + octal(size, 12) + octal(0, 12), 108, "latin1");
  block.write("        ", 148, "latin1"); // its own field counts as spaces
  block.write(type, 156, "latin1");
  block.write("ustar\u000000", 257, "latin1");
  const sum = block.reduce((total, byte) => total + byte, 0);
  block.write(`${sum.toString(8).padStart(6, "0")}\0 `, 148, "latin1");
  return block;
}

/** "27 path=…": the length counts its own digits. */
function paxRecord(key: string, value: string): string {
  const rest = ` ${key}=${value}\n`;
  const bytes = Buffer.byteLength(rest);
  let length = bytes + String(bytes).length;
  if (bytes + String(length).length > length) length = bytes + String(length).length;
  return `${length}${rest}`;
}

const padding = (size: number): Buffer => Buffer.alloc((blockBytes - (size % blockBytes)) % blockBytes);

/** Headers of a file, with an extended one (POSIX.1-2001) where name or size do not fit. */
function headers({ name, size }: TarFile): Buffer {
  const isLong = Buffer.byteLength(name) > maxNameBytes;
  const isLarge = size > maxOctalSize;
  const plain = header(isLong ? name.slice(-maxNameBytes) : name, { size: isLarge ? 0 : size, type: name.endsWith("/") ? "5" : "0" });
  if (!isLong && !isLarge) return plain;
  const records = Buffer.from(`${isLong ? paxRecord("path", name) : ""}${isLarge ? paxRecord("size", String(size)) : ""}`);
  return Buffer.concat([header("pax", { size: records.length, type: "x" }), records, padding(records.length), plain]);
}

/** The bytes of an archive. Errors of the contents end it. A content must have the size that was said. */
export async function* tarBytes(files: AsyncIterable<TarFile> | Iterable<TarFile>): AsyncGenerator<Buffer> {
  for await (const file of files) {
    yield headers(file);
    if (file.content instanceof Uint8Array) yield Buffer.from(file.content);
    else for await (const chunk of await file.content()) yield chunk as Buffer;
    yield padding(file.size);
  }
  yield Buffer.alloc(2 * blockBytes);
}
