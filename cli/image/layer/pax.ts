import { LayerProblem } from "./problem.ts";

/** Records of a pax extended header (POSIX.1-2001, pax, "pax Extended Header"), keys and values of one character per byte. */
export interface PaxRecords {
  readonly values: ReadonlyMap<string, string>;
  /** GNU.sparse.offset and GNU.sparse.numbytes of sparse format 0.0, which repeats its keys, in order. */
  readonly sparse: readonly string[];
}

export const noPax: PaxRecords = { values: new Map(), sparse: [] };

/** Reads the records `LENGTH KEY=VALUE\n`. Throws LayerProblem. */
export function readPax(bytes: Buffer): PaxRecords {
  const values = new Map<string, string>();
  const sparse: string[] = [];
  for (let at = 0; at < bytes.length; ) {
    let length = 0;
    let i = at;
    for (; i < bytes.length && i - at < 10; i++) {
      const digit = (bytes[i] ?? 0) - 0x30;
      if (digit < 0 || digit > 9) break;
      length = length * 10 + digit;
    }
    const end = at + length;
    if (i === at || bytes[i] !== 0x20 || end > bytes.length || end <= i + 1 || bytes[end - 1] !== 0x0a)
      throw new LayerProblem("a damaged extended header");
    const equals = bytes.indexOf(0x3d, i + 1);
    if (equals === -1 || equals >= end || equals === i + 1)
      throw new LayerProblem("an extended header with a record that is no assignment");
    const key = bytes.toString("latin1", i + 1, equals);
    const value = bytes.toString("latin1", equals + 1, end - 1);
    if (key === "GNU.sparse.offset" || key === "GNU.sparse.numbytes") sparse.push(value);
    else values.set(key, value);
    at = end;
  }
  return { values, sparse };
}

/** Global records hold until others of the same key come; those of one entry go before them, and an empty value takes one away. */
export function mergePax(global: PaxRecords, local: PaxRecords): PaxRecords {
  if (global.values.size === 0) return local;
  return { values: new Map([...global.values, ...local.values]), sparse: local.sparse };
}

/** A decimal number of bytes. */
export function paxSize(value: string, what: string): number {
  const number = Number(value);
  if (!/^\d{1,19}$/.test(value) || !Number.isSafeInteger(number)) throw new LayerProblem(`an extended header with a bad ${what}`);
  return number;
}

/** An owner's number; some programs write negative ones. */
export function paxId(value: string): number {
  if (!/^-?\d{1,19}$/.test(value)) throw new LayerProblem("an extended header with a bad owner");
  return Number(value);
}

export interface Time {
  readonly seconds: number;
  /** 0 to 999,999,999; counts upwards also before 1970. */
  readonly nanoseconds: number;
}

/** Seconds with a fraction, perhaps negative: -1.25 is 1 s and 250 ms before 1970. Finer than nanoseconds is rounded down. */
export function paxTime(value: string): Time {
  const [, minus, whole, fraction] = /^(-?)(\d{1,30})(?:\.(\d*))?$/.exec(value) ?? [];
  if (whole === undefined) throw new LayerProblem("an extended header with a bad time");
  const seconds = Number(whole);
  const nanoseconds = Number((fraction ?? "").slice(0, 9).padEnd(9, "0"));
  if (minus === "") return { seconds, nanoseconds };
  const below = nanoseconds > 0 || /[1-9]/.test((fraction ?? "").slice(9));
  return below
    ? { seconds: -seconds - 1, nanoseconds: (1_000_000_000 - nanoseconds) % 1_000_000_000 }
    : { seconds: -seconds, nanoseconds: 0 };
}
