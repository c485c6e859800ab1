/** A plan as JSON for people, snapshots and `profile compile --dump`: names for bits and indices, digests for bytes. */
import { createHash } from "node:crypto";
import { mechanismsByLimit } from "./mechanisms.ts";
import { type ExecPlan, enums, type SandboxPlan, wireVersion } from "./wire.gen.ts";

export interface DumpOptions {
  /** Turns filter bytes into a readable listing; without it a filter is shown as its size and digest. */
  readonly disassemble?: (filter: Uint8Array) => string;
}

const filterFields = new Set(["baseFilter", "filter", "auditBaseFilter", "auditFilter"]);
const bitFields = new Set(["boundingSet", "capabilities", "ambientCapabilities", "access", "mask"]);
const modeFields = new Set(["mode", "umask"]);
const u64Max = 0xffff_ffff_ffff_ffffn;

/**
 * Both parts as a JSON value. u64: a number where it is exact, "max" for 2^64-1, else decimal text; capability and access
 * masks as hexadecimal; modes in octal; `mechanisms` and `requiredMask` by the names of the limits.
 */
export function dumpPlan(plan: { readonly sandbox: SandboxPlan; readonly exec: ExecPlan }, options: DumpOptions = {}): unknown {
  return { wireVersion, sandbox: dumpRecord({ ...plan.sandbox }, options), exec: dumpRecord({ ...plan.exec }, options) };
}

function dumpRecord(record: Readonly<Record<string, unknown>>, options: DumpOptions): Record<string, unknown> {
  return Object.fromEntries(Object.entries(record).map(([name, value]) => [name, dumpField(name, value, options)]));
}

function dumpField(name: string, value: unknown, options: DumpOptions): unknown {
  if (name === "mechanisms") return mechanismsByLimit(value as readonly number[]);
  if (name === "requiredMask") return enums.Limit.filter((_, i) => ((value as number) & (1 << i)) !== 0);
  if (typeof value === "number" && modeFields.has(name)) return value.toString(8).padStart(4, "0");
  if (value instanceof Uint8Array) return filterFields.has(name) ? dumpFilter(value, options) : dumpBytes(value);
  if (typeof value === "bigint") return bitFields.has(name) ? `0x${value.toString(16)}` : dumpNumber(value);
  if (Array.isArray(value)) return value.map((item) => (isRecord(item) ? dumpRecord(item, options) : item));
  return value;
}

function dumpNumber(value: bigint): number | string {
  if (value === u64Max) return "max";
  return value <= BigInt(Number.MAX_SAFE_INTEGER) ? Number(value) : value.toString();
}

function dumpFilter(filter: Uint8Array, { disassemble }: DumpOptions): unknown {
  if (filter.length === 0) return null;
  const instructions = filter.length / 8;
  return { instructions, digest: digestOf(filter), ...(disassemble ? { listing: disassemble(filter).split("\n") } : {}) };
}

function dumpBytes(bytes: Uint8Array): unknown {
  if (bytes.length === 0) return null;
  try {
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    return { bytes: bytes.length, digest: digestOf(bytes) };
  }
}

function digestOf(bytes: Uint8Array): string {
  return `sha256:${createHash("sha256").update(bytes).digest("hex")}`;
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
