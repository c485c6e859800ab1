/**
 * Units at the edge: what people write ("64M", "1.5s", "022", "0-3") and the exact base units that everything else
 * computes with. Decimal text is scaled as integers, so no figure is ever rounded: what does not come out whole is refused.
 */
import { BelljarError } from "./errors.ts";

declare const unit: unique symbol;
export type Bytes = number & { readonly [unit]?: "bytes" };
export type Millis = number & { readonly [unit]?: "milliseconds" };
export type Count = number & { readonly [unit]?: "count" };
export type FileMode = number & { readonly [unit]?: "mode" };
export type CpuList = string & { readonly [unit]?: "cpu list" };

export type Reading<T> = { readonly ok: true; readonly value: T } | { readonly ok: false; readonly problem: string };
export interface Bounds {
  readonly min?: number;
  readonly max?: number;
  /** What else is accepted, said in refusals: "null for no limit". */
  readonly or?: string;
}

/** Longest duration: a year. In nanoseconds it still fits the kernel's 64 bits with room to add. */
export const maxDurationMs = 365 * 24 * 3600 * 1000;
/** Linux's PID_MAX_LIMIT on 64-bit machines. */
export const maxProcesses = 4_194_304;
/** Largest CPU count of a Linux kernel (CONFIG_NR_CPUS with MAXSMP). */
export const maxCpus = 8192;

const sizeUnits: Readonly<Record<string, bigint>> = { "": 1n, b: 1n, k: 1n << 10n, m: 1n << 20n, g: 1n << 30n, t: 1n << 40n };
const durationUnits: Readonly<Record<string, bigint>> = { "": 1n, ms: 1n, s: 1000n, m: 60_000n, min: 60_000n, h: 3_600_000n };
const invisible = /[\u007f-\u009f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff]/g;

/** A value as it may be shown: JSON, short, and with nothing in it that a terminal acts on. */
export function quoteValue(value: unknown): string {
  const json = typeof value === "number" ? String(value) : JSON.stringify(value);
  const text = (json ?? String(value)).replace(invisible, (c) => `\\u${c.charCodeAt(0).toString(16).padStart(4, "0")}`);
  return text.length > 80 ? `${text.slice(0, 72)}…(${text.length} characters)` : text;
}

function refuse(wanted: string, value: unknown, or?: string): { readonly ok: false; readonly problem: string } {
  return { ok: false, problem: `must be ${wanted}${or === undefined ? "" : `, or ${or}`} (got ${quoteValue(value)})` };
}

/** "1.25" times 1000 as an exact integer, or null where it does not come out whole. */
function scale(decimal: string, factor: bigint): bigint | null {
  const [whole = "", fraction = ""] = decimal.split(".");
  const divisor = 10n ** BigInt(fraction.length);
  const scaled = BigInt(whole + fraction) * factor;
  return scaled % divisor === 0n ? scaled / divisor : null;
}

interface Quantity {
  readonly wanted: string;
  readonly pattern: RegExp;
  readonly units: Readonly<Record<string, bigint>>;
  readonly max: number;
  readonly show: (value: number) => string;
}

function readQuantity(value: unknown, quantity: Quantity, bounds: Bounds): Reading<number> {
  const { min = 0, max = quantity.max, or } = bounds;
  const text = typeof value === "number" ? String(value) : value;
  if (typeof text !== "string" || text.length > 64) return refuse(quantity.wanted, value, or);
  const match = quantity.pattern.exec(text.trim());
  if (match === null) {
    // Numbers beyond 10^21 print as "1e+308": too large, not malformed.
    if (typeof value === "number" && value > max) return refuse(`at most ${quantity.show(max)}`, value, or);
    return refuse(quantity.wanted, value, or);
  }
  const factor = quantity.units[(match[2] ?? "").toLowerCase()];
  if (factor === undefined) return refuse(quantity.wanted, value, or);
  const scaled = scale(match[1] ?? "", factor);
  if (scaled === null) return refuse(`a whole number of ${quantity.units["ms"] === undefined ? "bytes" : "milliseconds"}`, value, or);
  if (scaled > BigInt(max)) return refuse(`at most ${quantity.show(max)}`, value, or);
  if (scaled < BigInt(min)) return refuse(min === 1 ? "more than 0" : `at least ${quantity.show(min)}`, value, or);
  return { ok: true, value: Number(scaled) };
}

/** Size in bytes: "64K", "64M", "64MiB", "1.5G" (all powers of 1024) or a number of bytes. "64MB" is refused as ambiguous. */
export function readSize(value: unknown, bounds: Bounds = {}): Reading<Bytes> {
  if (typeof value === "string" && /^\s*\d+(\.\d+)?\s*[kmgt]b\s*$/i.test(value)) {
    return refuse(
      `unambiguous: write "${value.trim().replace(/\s*b$/i, "")}" or "${value.trim().replace(/b$/i, "iB")}" for powers of 1024`,
      value,
      bounds.or,
    );
  }
  return readQuantity(
    value,
    {
      wanted: 'a size such as "64M", "1.5G" or 65536 (bytes)',
      pattern: /^(\d+(?:\.\d+)?)\s*(?:([kmgt])(?:ib)?|b)?$/i,
      units: sizeUnits,
      max: Number.MAX_SAFE_INTEGER,
      show: formatSize,
    },
    bounds,
  );
}

/** Duration in milliseconds: "500ms", "2s", "1.5s", "1m", "1h" or a number of milliseconds; at most a year. Small letters only: "64M" is a size. */
export function readDuration(value: unknown, bounds: Bounds = {}): Reading<Millis> {
  return readQuantity(
    value,
    {
      wanted: 'a duration such as "500ms", "2s", "1m" or 1500 (milliseconds)',
      pattern: /^(\d+(?:\.\d+)?)\s*(ms|s|m|min|h)?$/,
      units: durationUnits,
      max: maxDurationMs,
      show: formatDuration,
    },
    bounds,
  );
}

/** A whole number, in decimal digits. */
export function readCount(value: unknown, bounds: Bounds = {}): Reading<Count> {
  return readQuantity(
    value,
    {
      wanted: "a whole number such as 64",
      pattern: /^(\d+)$/,
      units: { "": 1n },
      max: Number.MAX_SAFE_INTEGER,
      show: String,
    },
    bounds,
  );
}

/** CPUs as a fraction: 0.5, "1.5", 2; in hundredths, because the kernel's smallest quota is 1 ms of a 100 ms period. */
export function readCpus(value: unknown, { or }: Bounds = {}): Reading<number> {
  const wanted = `a number of CPUs such as 0.5 or 2, from 0.01 to ${maxCpus}, in steps of 0.01`;
  const text = typeof value === "number" ? String(value) : value;
  if (typeof text !== "string" || !/^\d{1,6}(\.\d+)?$/.test(text.trim())) return refuse(wanted, value, or);
  const hundredths = scale(text.trim(), 100n);
  if (hundredths === null || hundredths < 1n || hundredths > BigInt(maxCpus) * 100n) return refuse(wanted, value, or);
  return { ok: true, value: Number(hundredths) / 100 };
}

/** Linux CPU list ("0-3,8"), canonical: sorted, neighbours joined. */
export function readCpuList(value: unknown, { or }: Bounds = {}): Reading<CpuList> {
  const wanted = `a CPU list such as "0-3,8", of CPUs below ${maxCpus}`;
  const text = typeof value === "number" ? String(value) : value;
  if (typeof text !== "string" || text.length > 4096 || !/^\s*\d+(-\d+)?(\s*,\s*\d+(-\d+)?)*\s*$/.test(text))
    return refuse(wanted, value, or);
  const cpus = new Set<number>();
  for (const range of text.split(",")) {
    const [from = 0, to = from] = range.split("-").map(Number);
    if (to < from || to >= maxCpus) return refuse(wanted, value, or);
    for (let cpu = from; cpu <= to; cpu += 1) cpus.add(cpu);
  }
  return { ok: true, value: formatCpuList([...cpus]) };
}

/** File mode in octal text: "022", "0755", "1777". Numbers are refused: 755 in JSON is not the mode 0755. */
export function readFileMode(value: unknown, bounds: { readonly max?: number } = {}): Reading<FileMode> {
  const { max = 0o7777 } = bounds;
  const mode = typeof value === "string" && /^(0o)?[0-7]{1,5}$/.test(value) ? Number.parseInt(value.replace("0o", ""), 8) : Number.NaN;
  if (!(mode <= max)) return refuse(`an octal mode in quotes such as ${max <= 0o777 ? '"022"' : '"0755"'}`, value);
  return { ok: true, value: mode };
}

function orThrow<T>(what: string, reading: Reading<T>): T {
  if (reading.ok) return reading.value;
  throw new BelljarError("usage", `${what}: ${reading.problem}`);
}

/** As {@link readSize} for options: throws BelljarError "usage" that names `what`. */
export const parseSize = (value: unknown, what = "size", bounds: Bounds = {}): Bytes => orThrow(what, readSize(value, bounds));
/** As {@link readDuration} for options: throws BelljarError "usage" that names `what`. */
export const parseDuration = (value: unknown, what = "duration", bounds: Bounds = {}): Millis => orThrow(what, readDuration(value, bounds));
/** As {@link readCount} for options: throws BelljarError "usage" that names `what`. */
export const parseCount = (value: unknown, what = "number", bounds: Bounds = {}): Count => orThrow(what, readCount(value, bounds));
/** As {@link readFileMode} for options: throws BelljarError "usage" that names `what`. */
export const parseFileMode = (value: unknown, what = "mode"): FileMode => orThrow(what, readFileMode(value));
/** As {@link readCpuList} for options: throws BelljarError "usage" that names `what`. */
export const parseCpuList = (value: unknown, what = "CPU list"): CpuList => orThrow(what, readCpuList(value));

/** The CPUs of a canonical list, ascending. */
export function cpusOfList(list: CpuList): readonly number[] {
  return list.split(",").flatMap((range) => {
    const [from = 0, to = from] = range.split("-").map(Number);
    return Array.from({ length: to - from + 1 }, (_, index) => from + index);
  });
}

export function formatCpuList(cpus: readonly number[]): CpuList {
  const ranges: { from: number; to: number }[] = [];
  for (const cpu of [...cpus].sort((a, b) => a - b)) {
    const last = ranges.at(-1);
    if (last !== undefined && cpu <= last.to + 1) last.to = cpu;
    else ranges.push({ from: cpu, to: cpu });
  }
  return ranges.map(({ from, to }) => (from === to ? `${from}` : `${from}-${to}`)).join(",");
}

function decimals(value: number, places: number): string {
  return String(Number(value.toFixed(places)));
}

/** For people: "64 MiB", "1.5 GiB", "100 bytes"; two decimals at most. */
export function formatSize(bytes: Bytes): string {
  const names = ["KiB", "MiB", "GiB", "TiB", "PiB"];
  if (bytes < 1024) return bytes === 1 ? "1 byte" : `${bytes} bytes`;
  let value = bytes / 1024;
  let index = 0;
  while (Number(value.toFixed(2)) >= 1024 && index < names.length - 1) {
    value /= 1024;
    index += 1;
  }
  return `${decimals(value, 2)} ${names[index]}`;
}

/** For people: "500 ms", "1.5 s", "60 s", "5 min", "2 h"; three decimals at most. */
export function formatDuration(milliseconds: Millis): string {
  if (milliseconds < 1000) return `${decimals(milliseconds, 1)} ms`;
  if (milliseconds < 120_000) return `${decimals(milliseconds / 1000, 3)} s`;
  if (milliseconds < 7_200_000) return `${decimals(milliseconds / 60_000, 2)} min`;
  return `${decimals(milliseconds / 3_600_000, 2)} h`;
}

/** For people: "0022", "1777". */
export function formatFileMode(mode: FileMode): string {
  return mode.toString(8).padStart(4, "0");
}

/** As profiles spell it, without loss: "64M", "1536K", "100". `readSize` gives the same number back. */
export function spellSize(bytes: Bytes): string {
  const steps: readonly (readonly [string, number])[] = [
    ["T", 2 ** 40],
    ["G", 2 ** 30],
    ["M", 2 ** 20],
    ["K", 2 ** 10],
  ];
  const step = bytes === 0 ? undefined : steps.find(([, size]) => bytes % size === 0);
  return step === undefined ? String(bytes) : `${bytes / step[1]}${step[0]}`;
}

/** As profiles spell it, without loss: "2s", "1500ms", "1m". `readDuration` gives the same number back. */
export function spellDuration(milliseconds: Millis): string {
  if (milliseconds === 0 || milliseconds % 1000 !== 0) return `${milliseconds}ms`;
  if (milliseconds % 3_600_000 === 0) return `${milliseconds / 3_600_000}h`;
  return milliseconds % 60_000 === 0 ? `${milliseconds / 60_000}m` : `${milliseconds / 1000}s`;
}
