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
  /** Which field is being written: made into a text only where something is wrong with it, since a plan has a thousand. */
  readonly path: (string | number)[];
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
  const writer: Writer = { bytes, view: new DataView(bytes.buffer), cursor: headerBytes, path: [kind] };
  const at = take(writer, recordOf(root).size);
  writeRecord(writer, { at, name: root, values });
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
}

function writeRecord(writer: Writer, { at, name, values }: Place): void {
  const { fields } = recordOf(name);
  const depth = writer.path.length;
  // By index, as in all that is walked here: an iterator takes longer than what it walks over.
  for (let i = 0; i < fields.length; i++) {
    const field = fields[i] as WireField;
    writer.path[depth] = field.name;
    writeField(writer, field, { at: at + field.offset, value: values[field.name] });
  }
  writer.path.length = depth;
}

interface FieldValue {
  readonly at: number;
  readonly value: unknown;
}

type FieldWriter = (writer: Writer, field: WireField, target: FieldValue, argument: string) => void;

const putU32 = ({ view }: Writer, { at }: FieldValue, value: number): void => view.setUint32(at, value, true);

const fieldWriters: Readonly<Record<string, FieldWriter>> = {
  u32: (writer, field, target) => putU32(writer, target, u32(writer, target, [field.min ?? 0, field.max ?? u32Max])),
  bool: (writer, _field, target) => {
    if (typeof target.value !== "boolean") throw bad(writer, "must be a boolean");
    putU32(writer, target, target.value ? 1 : 0);
  },
  enum: (writer, _field, target, name) =>
    putU32(writer, target, indexIn(writer, target, (enums as Readonly<Record<string, readonly string[]>>)[name] ?? [])),
  flags: (writer, _field, target, name) => putU32(writer, target, flagBits(writer, target, name)),
  u64: (writer, field, target) => writer.view.setBigUint64(target.at, u64(writer, target, field), true),
  str: writeText,
  bytes: (writer, _field, target) => writeBytes(writer, target),
  list: (writer, _field, target, element) => writeList(writer, element, target),
  array: writeArray,
};

function writeField(writer: Writer, field: WireField, target: FieldValue): void {
  const [head, argument] = splitType(field.type);
  const write = fieldWriters[head];
  if (write === undefined) throw bad(writer, `has the type '${field.type}', which no plan carries`);
  write(writer, field, target, argument);
}

function writeText(writer: Writer, field: WireField, { at, value }: FieldValue): void {
  if (typeof value !== "string") throw bad(writer, "must be a string");
  const problem = textProblem(field.check, value);
  if (problem !== null) throw bad(writer, problem);
  if (value === "") return;
  const encoded = textEncoder.encode(value);
  const off = take(writer, encoded.length + 1);
  writer.bytes.set(encoded, off);
  writePair(writer, at, [off, encoded.length]);
}

function writeBytes(writer: Writer, { at, value }: FieldValue): void {
  if (!(value instanceof Uint8Array)) throw bad(writer, "must be bytes");
  if (value.length === 0) return;
  align(writer);
  const off = take(writer, value.length);
  writer.bytes.set(value, off);
  writePair(writer, at, [off, value.length]);
}

function writeList(writer: Writer, element: string, { at, value }: FieldValue): void {
  if (!Array.isArray(value)) throw bad(writer, "must be a list");
  const items: readonly unknown[] = value;
  if (items.length > wireMaxListItems) throw new BelljarError("usage", `${pathOf(writer)}: more than ${wireMaxListItems} entries`);
  if (items.length === 0) return;
  align(writer);
  const { size } = recordOf(element);
  const off = take(writer, items.length * size);
  writePair(writer, at, [off, items.length]);
  const depth = writer.path.length;
  for (let i = 0; i < items.length; i++) {
    writer.path[depth] = i;
    writeRecord(writer, { at: off + i * size, name: element, values: asValues(element, items[i]) });
  }
  writer.path.length = depth;
}

function writeArray(writer: Writer, field: WireField, { at, value }: FieldValue): void {
  const count = field.size / 4;
  if (!Array.isArray(value) || value.length !== count) throw bad(writer, `must be a list of ${count} numbers`);
  const items: readonly unknown[] = value;
  const max = field.name === mechanismsField ? enums.Mechanism.length - 1 : u32Max;
  const depth = writer.path.length;
  for (let i = 0; i < count; i++) {
    writer.path[depth] = i;
    writer.view.setUint32(at + 4 * i, u32(writer, { at, value: items[i] }, [0, max]), true);
  }
  writer.path.length = depth;
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

function u32(writer: Writer, { value }: FieldValue, [min, max]: readonly [number, number]): number {
  if (typeof value !== "number" || !Number.isInteger(value) || value < min || value > max)
    throw bad(writer, `must be an integer from ${min} to ${max}`);
  return value;
}

function u64(writer: Writer, { value }: FieldValue, field: WireField): bigint {
  const min = BigInt(field.min ?? 0);
  const max = field.max === undefined ? u64Max : BigInt(field.max);
  if (typeof value !== "bigint" || value < min || value > max) throw bad(writer, `must be a bigint from ${min} to ${max}`);
  return value;
}

function indexIn(writer: Writer, { value }: FieldValue, names: readonly string[]): number {
  const index = typeof value === "string" ? names.indexOf(value) : -1;
  if (index < 0) throw bad(writer, `must be one of ${names.join(", ")}`);
  return index;
}

function flagBits(writer: Writer, { value }: FieldValue, name: string): number {
  const table = (flags as Readonly<Record<string, Readonly<Record<string, number>>>>)[name] ?? {};
  if (!Array.isArray(value)) throw bad(writer, "must be a list of flags");
  let bits = 0;
  for (const flag of value as readonly string[]) {
    const bit = Object.hasOwn(table, flag) ? table[flag] : undefined;
    if (bit === undefined) throw bad(writer, `must hold only ${Object.keys(table).join(", ")}`);
    bits |= bit;
  }
  return bits >>> 0;
}

/** exec.argv[2].text */
const pathOf = ({ path }: Writer): string =>
  path.map((part, i) => (typeof part === "number" ? `[${part}]` : i === 0 ? part : `.${part}`)).join("");

function bad(writer: Writer, problem: string): BelljarError {
  return new BelljarError("internal", `plan: ${pathOf(writer)}: ${problem}`);
}
