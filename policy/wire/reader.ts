/** The decoder's walk over the generated layout: reads one record and everything out of line that it points to. */
import { BelljarError } from "../errors.ts";
import { mechanismsField, splitType, textProblem } from "./checks.ts";
import { enums, flags, steps, type WireField, wireMaxListItems, wireRecords } from "./wire.gen.ts";

export interface Reader {
  readonly bytes: Uint8Array;
  readonly view: DataView;
  /** Where the next out-of-line data must lie; stays null for records of fixed size, which have none. */
  cursor: number | null;
}

// Fatal and without dropping a leading byte order mark: every accepted text encodes to the same bytes again.
const strictText = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });
const lenientText = new TextDecoder("utf-8", { ignoreBOM: true });

export function recordOf(name: string): { readonly size: number; readonly fields: readonly WireField[] } {
  const record = wireRecords[name];
  if (record === undefined) throw bad(name, "is no record of the wire table");
  return record;
}

/** Takes `length` bytes, which must lie where the walk has come to. */
export function take(reader: Reader, { off, length, path }: { off: number; length: number; path: string }): number {
  must(reader.cursor === off && length <= reader.bytes.length - off, path, "data in the wrong place");
  reader.cursor = off + length;
  return off;
}

/** Moves to the next multiple of 8 over bytes that must be zero. */
export function align(reader: Reader, path: string): void {
  while (reader.cursor !== null && reader.cursor % 8 !== 0) {
    must(reader.bytes[reader.cursor] === 0, path, "padding is not zero");
    reader.cursor++;
  }
}

export interface RecordPlace {
  readonly at: number;
  readonly name: string;
  readonly path: string;
}

/** Throws BelljarError `internal` where the bytes are not what the encoder writes. */
export function readRecord(reader: Reader, { at, name, path }: RecordPlace): Record<string, unknown> {
  const record = recordOf(name);
  const values: Record<string, unknown> = {};
  let end = 0;
  const skipPadding = (to: number): void => {
    for (; end < to; end++) must(reader.cursor === null || reader.bytes[at + end] === 0, path, "padding is not zero");
  };
  for (const field of record.fields) {
    skipPadding(field.offset);
    values[field.name] = readField(reader, field, { at: at + field.offset, path: `${path}.${field.name}` });
    end = field.offset + field.size;
  }
  skipPadding(record.size);
  return values;
}

interface FieldPlace {
  readonly at: number;
  readonly path: string;
}

function readField(reader: Reader, field: WireField, { at, path }: FieldPlace): unknown {
  const [head, argument] = splitType(field.type);
  const word = reader.view.getUint32(at, true);
  switch (head) {
    case "u32":
      must(word >= (field.min ?? 0) && word <= (field.max ?? 0xffff_ffff), path, "out of range");
      return word;
    case "i32":
      return reader.view.getInt32(at, true);
    case "bool":
      must(word <= 1, path, "not a boolean");
      return word === 1;
    case "enum":
      return nameOf(word, (enums as Readonly<Record<string, readonly string[]>>)[argument] ?? [], path);
    case "step":
      return nameOf(word, stepNames, path);
    case "flags":
      return flagNames(word, argument, path);
    case "u64": {
      const wide = reader.view.getBigUint64(at, true);
      must(wide >= BigInt(field.min ?? 0) && (field.max === undefined || wide <= BigInt(field.max)), path, "out of range");
      return wide;
    }
    case "str":
      return readText(reader, field, { at, path });
    case "bytes":
      return readBytes(reader, { at, path });
    case "list":
      return readList(reader, argument, { at, path });
    case "array":
      return readArray(reader, field, { at, path });
    case "text": {
      // Written by the launcher: a path of any bytes, cut to fit, so perhaps not whole characters.
      const raw = reader.bytes.subarray(at, at + field.size);
      const end = raw.indexOf(0);
      return lenientText.decode(end < 0 ? raw : raw.subarray(0, end));
    }
    default:
      throw bad(path, `unknown type '${field.type}'`);
  }
}

function pairAt(reader: Reader, at: number): { off: number; count: number } {
  return { off: reader.view.getUint32(at, true), count: reader.view.getUint32(at + 4, true) };
}

function readText(reader: Reader, field: WireField, { at, path }: FieldPlace): string {
  const { off, count: length } = pairAt(reader, at);
  let text = "";
  if (length === 0) must(off === 0, path, "an empty text has no place");
  else {
    take(reader, { off, length: length + 1, path });
    must(reader.bytes[off + length] === 0, path, "no NUL at the end");
    try {
      text = strictText.decode(reader.bytes.subarray(off, off + length));
    } catch {
      throw bad(path, "not UTF-8");
    }
  }
  const problem = textProblem(field.check, text);
  must(problem === null, path, problem ?? "");
  return text;
}

function readBytes(reader: Reader, { at, path }: FieldPlace): Uint8Array {
  const { off, count: length } = pairAt(reader, at);
  if (length === 0) {
    must(off === 0, path, "empty bytes have no place");
    return new Uint8Array();
  }
  align(reader, path);
  take(reader, { off, length, path });
  return reader.bytes.slice(off, off + length);
}

function readList(reader: Reader, element: string, { at, path }: FieldPlace): readonly unknown[] {
  const { off, count } = pairAt(reader, at);
  if (count === 0) {
    must(off === 0, path, "an empty list has no place");
    return [];
  }
  must(count <= wireMaxListItems, path, "too many entries");
  align(reader, path);
  const { size } = recordOf(element);
  take(reader, { off, length: count * size, path });
  return Array.from({ length: count }, (_, i) => {
    const values = readRecord(reader, { at: off + i * size, name: element, path: `${path}[${i}]` });
    if (element === "Text") return values["text"];
    return element === "Number" ? values["value"] : values;
  });
}

function readArray(reader: Reader, field: WireField, { at, path }: FieldPlace): readonly number[] {
  const max = field.name === mechanismsField ? enums.Mechanism.length - 1 : 0xffff_ffff;
  return Array.from({ length: field.size / 4 }, (_, i) => {
    const value = reader.view.getUint32(at + 4 * i, true);
    must(value <= max, `${path}[${i}]`, "out of range");
    return value;
  });
}

const stepNames: readonly string[] = steps.map((step) => step.name);

function nameOf(index: number, names: readonly string[], path: string): string {
  const name = names[index];
  if (name === undefined) throw bad(path, "unknown value");
  return name;
}

function flagNames(bits: number, table: string, path: string): readonly string[] {
  const entries = Object.entries((flags as Readonly<Record<string, Readonly<Record<string, number>>>>)[table] ?? {});
  const known = entries.reduce((mask, [, bit]) => mask | bit, 0);
  must((bits & ~known) === 0, path, "unknown flag");
  return entries.filter(([, bit]) => (bits & bit) !== 0).map(([name]) => name);
}

export function must(condition: boolean, path: string, problem: string): void {
  if (!condition) throw bad(path, problem);
}

export function bad(path: string, problem: string): BelljarError {
  return new BelljarError("internal", `plan: ${path}: ${problem}`);
}
