/**
 * Encodes the parts of a plan. One generic walk over the generated layout writes every record; where each byte goes
 * is fixed, so that a plan has exactly one encoding and the launcher can refuse every other. Format: docs/plan-format.md.
 */
import { BelljarError } from "../errors.ts";
import { headerBytes, mechanismsField, splitType, textProblem } from "./checks.ts";
import {
  type ExecPlan,
  enums,
  flags,
  type PlanKind,
  type ReportPlan,
  type SandboxPlan,
  type WireField,
  wireMagic,
  wireMaxListItems,
  wireMaxPlanBytes,
  wireRecords,
  wireVersion,
} from "./wire.gen.ts";

const u32Max = 0xffff_ffff;
const u64Max = 0xffff_ffff_ffff_ffffn;
const textEncoder = new TextEncoder();

type Values = Readonly<Record<string, unknown>>;
interface Writer {
  bytes: Uint8Array;
  view: DataView;
  cursor: number;
}

/** The sandbox part as bytes. Throws BelljarError `internal` with the field's path where a value breaks a rule of the wire. */
export function encodeSandbox(plan: SandboxPlan): Uint8Array {
  return encodePart("sandbox", "SandboxPlan", plan as unknown as Values);
}

/** The exec part as bytes. Throws BelljarError `internal`, or `usage` where the whole is larger than a plan may be. */
export function encodeExec(plan: ExecPlan): Uint8Array {
  return encodePart("exec", "ExecPlan", plan as unknown as Values);
}

/** The report part as bytes. Throws BelljarError `internal`, or `usage` where the whole is larger than a part may be. */
export function encodeReport(plan: ReportPlan): Uint8Array {
  return encodePart("report", "ReportPlan", plan as unknown as Values);
}

function encodePart(kind: PlanKind, root: string, values: Values): Uint8Array {
  const initialBytes = 16 * 1024;
  const bytes = new Uint8Array(initialBytes);
  const writer: Writer = { bytes, view: new DataView(bytes.buffer), cursor: headerBytes };
  const at = take(writer, recordOf(root).size);
  writeRecord(writer, { at, name: root, values, path: kind });
  align(writer);
  writer.view.setBigUint64(0, wireMagic, true);
  writer.view.setUint32(8, enums.PlanKind.indexOf(kind), true);
  writer.view.setUint32(12, wireVersion, true);
  writer.view.setUint32(16, writer.cursor, true);
  writer.view.setUint32(20, headerBytes, true);
  return writer.bytes.slice(0, writer.cursor);
}

function recordOf(name: string): { readonly size: number; readonly fields: readonly WireField[] } {
  const record = wireRecords[name];
  if (record === undefined) throw new BelljarError("internal", `no record '${name}' in the wire table`);
  return record;
}

/** Moves the cursor over `length` fresh zero bytes and returns where they start. */
function take(writer: Writer, length: number): number {
  const at = writer.cursor;
  const end = at + length;
  if (end > wireMaxPlanBytes)
    throw new BelljarError("usage", `arguments, environment and files of the run come to more than ${wireMaxPlanBytes} bytes`);
  if (end > writer.bytes.length) {
    let capacity = writer.bytes.length;
    while (capacity < end) capacity *= 2;
    const grown = new Uint8Array(capacity);
    grown.set(writer.bytes);
    writer.bytes = grown;
    writer.view = new DataView(grown.buffer);
  }
  writer.cursor = end;
  return at;
}

function align(writer: Writer): void {
  take(writer, (8 - (writer.cursor % 8)) % 8);
}

interface Place {
  readonly at: number;
  readonly name: string;
  readonly values: Values;
  readonly path: string;
}

function writeRecord(writer: Writer, place: Place): void {
  for (const field of recordOf(place.name).fields)
    writeField(writer, field, {
      at: place.at + field.offset,
      value: place.values[field.name],
      path: `${place.path}.${field.name}`,
    });
}

interface FieldValue {
  readonly at: number;
  readonly value: unknown;
  readonly path: string;
}

type FieldWriter = (writer: Writer, field: WireField, target: FieldValue, argument: string) => void;

const putU32 = ({ view }: Writer, { at }: FieldValue, value: number): void => view.setUint32(at, value, true);

const fieldWriters: Readonly<Record<string, FieldWriter>> = {
  u32: (writer, field, target) => putU32(writer, target, u32(target, field.min ?? 0, field.max ?? u32Max)),
  bool: (writer, _field, target) => {
    if (typeof target.value !== "boolean") throw bad(target.path, "must be a boolean");
    putU32(writer, target, target.value ? 1 : 0);
  },
  enum: (writer, _field, target, name) =>
    putU32(writer, target, indexIn(target, (enums as Readonly<Record<string, readonly string[]>>)[name] ?? [])),
  flags: (writer, _field, target, name) => putU32(writer, target, flagBits(target, name)),
  u64: (writer, field, target) => writer.view.setBigUint64(target.at, u64(target, field), true),
  str: writeText,
  bytes: (writer, _field, target) => writeBytes(writer, target),
  list: (writer, _field, target, element) => writeList(writer, element, target),
  array: writeArray,
};

function writeField(writer: Writer, field: WireField, target: FieldValue): void {
  const [head, argument] = splitType(field.type);
  const write = fieldWriters[head];
  if (write === undefined) throw bad(target.path, `has the type '${field.type}', which no plan carries`);
  write(writer, field, target, argument);
}

function writeText(writer: Writer, field: WireField, { at, value, path }: FieldValue): void {
  if (typeof value !== "string") throw bad(path, "must be a string");
  const problem = textProblem(field.check, value);
  if (problem !== null) throw bad(path, problem);
  if (value === "") return;
  const encoded = textEncoder.encode(value);
  const off = take(writer, encoded.length + 1);
  writer.bytes.set(encoded, off);
  writePair(writer, at, [off, encoded.length]);
}

function writeBytes(writer: Writer, { at, value, path }: FieldValue): void {
  if (!(value instanceof Uint8Array)) throw bad(path, "must be bytes");
  if (value.length === 0) return;
  align(writer);
  const off = take(writer, value.length);
  writer.bytes.set(value, off);
  writePair(writer, at, [off, value.length]);
}

function writeList(writer: Writer, element: string, { at, value, path }: FieldValue): void {
  if (!Array.isArray(value)) throw bad(path, "must be a list");
  const items: readonly unknown[] = value;
  if (items.length > wireMaxListItems) throw new BelljarError("usage", `${path}: more than ${wireMaxListItems} entries`);
  if (items.length === 0) return;
  align(writer);
  const { size } = recordOf(element);
  const off = take(writer, items.length * size);
  writePair(writer, at, [off, items.length]);
  items.forEach((item, i) => {
    writeRecord(writer, { at: off + i * size, name: element, values: asValues(element, item), path: `${path}[${i}]` });
  });
}

function writeArray(writer: Writer, field: WireField, { at, value, path }: FieldValue): void {
  const count = field.size / 4;
  if (!Array.isArray(value) || value.length !== count) throw bad(path, `must be a list of ${count} numbers`);
  const items: readonly unknown[] = value;
  const max = field.name === mechanismsField ? enums.Mechanism.length - 1 : u32Max;
  items.forEach((item, i) => {
    writer.view.setUint32(at + 4 * i, u32({ at, value: item, path: `${path}[${i}]` }, 0, max), true);
  });
}

function writePair(writer: Writer, at: number, [off, length]: readonly [number, number]): void {
  writer.view.setUint32(at, off, true);
  writer.view.setUint32(at + 4, length, true);
}

/** Lists of plain strings and numbers are records of one field on the wire. */
function asValues(element: string, item: unknown): Values {
  if (element === "Text") return { text: item };
  if (element === "Number") return { value: item };
  return item as Values;
}

function u32({ value, path }: FieldValue, min: number, max: number): number {
  if (typeof value !== "number" || !Number.isInteger(value) || value < min || value > max)
    throw bad(path, `must be an integer from ${min} to ${max}`);
  return value;
}

function u64({ value, path }: FieldValue, field: WireField): bigint {
  const min = BigInt(field.min ?? 0);
  const max = field.max === undefined ? u64Max : BigInt(field.max);
  if (typeof value !== "bigint" || value < min || value > max) throw bad(path, `must be a bigint from ${min} to ${max}`);
  return value;
}

function indexIn({ value, path }: FieldValue, names: readonly string[]): number {
  const index = typeof value === "string" ? names.indexOf(value) : -1;
  if (index < 0) throw bad(path, `must be one of ${names.join(", ")}`);
  return index;
}

function flagBits({ value, path }: FieldValue, name: string): number {
  const table = (flags as Readonly<Record<string, Readonly<Record<string, number>>>>)[name] ?? {};
  if (!Array.isArray(value)) throw bad(path, "must be a list of flags");
  let bits = 0;
  for (const flag of value as readonly string[]) {
    const bit = Object.hasOwn(table, flag) ? table[flag] : undefined;
    if (bit === undefined) throw bad(path, `must hold only ${Object.keys(table).join(", ")}`);
    bits |= bit;
  }
  return bits >>> 0;
}

function bad(path: string, problem: string): BelljarError {
  return new BelljarError("internal", `plan: ${path}: ${problem}`);
}
